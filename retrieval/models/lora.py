"""Low-rank adaptation (LoRA): train small factors beside a backbone's frozen weights.

Hu et al. (2022), "LoRA: Low-Rank Adaptation of Large Language Models": a dense layer of kernel W
computes with W + A B, in which A and B of rank r are trained and W is not. The layers are Keras'
own, through ``enable_lora``.

A file holds what was trained alone: the factors, the head and a trainable pooling. What it was
trained on is known by a digest, and other base weights are refused: the factors mean nothing there.
"""

import fnmatch
import hashlib
from pathlib import Path

import h5py
import keras
import numpy as np

from retrieval.errors import UserError
from retrieval.models.families import QUERIES_AND_VALUES
from retrieval.models.freezing import freeze_batch_norm

DIGEST, TRAINED = "lora_base", "trained"  # in the file
SHOWN = 12  # characters of a digest in an error
LAYERS = (keras.layers.Dense, keras.layers.EinsumDense)


def add_lora(backbone: keras.Model, rank: int, patterns: str) -> int:
    """Freeze a backbone and give some of its dense layers trainable factors.

    Batch normalizations then run in inference mode. A pooling with a weight of its own stays
    trained.

    Args:
        backbone: A built backbone; changed in place.
        rank: Rank r of the factors.
        patterns: Names of layers, separated by commas, with ``*`` for any text, e.g.
            ``query,value`` or ``fc*``. Those of :data:`QUERIES_AND_VALUES` may be absent, as
            families differ in them.

    Returns:
        Number of layers with factors.

    Raises:
        UserError: No dense layer has one of the names; lists those that there are.
    """
    dense = [
        layer
        for layer in backbone._flatten_layers(include_self=False)  # see models.freezing
        if isinstance(layer, LAYERS)
    ]
    wanted = [pattern.strip() for pattern in patterns.split(",") if pattern.strip()]
    chosen = [d for d in dense if any(fnmatch.fnmatchcase(d.name, each) for each in wanted)]
    unknown = [
        each
        for each in wanted
        if each not in QUERIES_AND_VALUES
        and not any(fnmatch.fnmatchcase(d.name, each) for d in dense)
    ]
    if unknown or not chosen:
        names = ", ".join(sorted({layer.name for layer in dense}))
        has = f"its dense layers are {names}" if names else "it has no dense layers"
        given = ",".join(unknown) or patterns
        raise UserError(f"--lora-layers {given}: no such layer in this backbone; {has}")
    for layer in backbone.layers:
        if layer.name != "pool":
            for weight in layer.trainable_weights:
                weight.trainable = False
    freeze_batch_norm(backbone)
    for layer in chosen:
        layer.enable_lora(rank)
    return len(chosen)


def has_lora(network: keras.Model) -> bool:
    """Tell whether some layer of a network, at any depth, has low-rank factors."""
    return any(
        getattr(layer, "lora_enabled", False)
        for layer in network._flatten_layers(include_self=False)
    )


def trained_weights(network: keras.Model) -> list[keras.Variable]:
    """Return what a training with LoRA changes: all of a network but the backbone's base."""
    base = set(map(id, _base(network)))
    return [weight for weight in network.weights if id(weight) not in base]


def base_digest(network: keras.Model) -> str:
    """Return the SHA-256 of the frozen weights of a network's backbone, as hexadecimal digits."""
    digest = hashlib.sha256()
    for weight in _base(network):
        # Not its path: Keras numbers weights without a name, differently in every process.
        digest.update(repr(tuple(weight.shape)).encode())
        digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()


def save_weights(network: keras.Model, path: Path) -> None:
    """Save a network's weights: all of them, or with LoRA what was trained.

    Keras would save the product of the factors added to the kernel, and not the factors.

    Args:
        network: Any network; with LoRA, one with a sub-model ``backbone``.
        path: The file, ``.weights.h5``.
    """
    if not has_lora(network):
        network.save_weights(path)
        return
    with h5py.File(path, "w") as file:
        file.attrs[DIGEST] = base_digest(network)
        for number, weight in enumerate(trained_weights(network)):
            file[f"{TRAINED}/{number:04d}"] = np.asarray(weight)
            file[f"{TRAINED}/{number:04d}"].attrs["path"] = weight.path


def load_weights(network: keras.Model, path: Path) -> None:
    """Load what :func:`save_weights` saved into a network of the same settings.

    Raises:
        UserError: The factors were trained beside other base weights than the network has.
        ValueError: The file holds the weights of another network.
    """
    if not has_lora(network):
        network.load_weights(path)
        return
    with h5py.File(path, "r") as file:
        if DIGEST not in file.attrs:
            raise ValueError("it holds no LoRA weights")
        given, here = str(file.attrs[DIGEST]), base_digest(network)
        if given != here:
            raise UserError(
                f"{path}: its LoRA weights were trained beside other base weights "
                f"({given[:SHOWN]}) than the backbone has here ({here[:SHOWN]}): put the preset "
                "that the run was trained with back in place"
            )
        weights = trained_weights(network)
        stored = [np.asarray(file[f"{TRAINED}/{i:04d}"]) for i in range(len(file[TRAINED]))]
        if [a.shape for a in stored] != [tuple(w.shape) for w in weights]:
            raise ValueError(f"it holds {len(stored)} arrays, {len(weights)} of other shapes fit")
    for weight, array in zip(weights, stored, strict=True):
        weight.assign(array)


def _base(network: keras.Model) -> list[keras.Variable]:
    """Return the frozen weights of the backbone."""
    return [w for w in network.get_layer("backbone").weights if not w.trainable]

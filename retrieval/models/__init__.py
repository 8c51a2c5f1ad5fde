"""Backbones and heads by name; nothing here loads TensorFlow until a network is built.

To add a backbone: write ``retrieval/models/<name>.py`` with ``build(image_size, weights) -> feature
map`` and add its line to ``BACKBONES``.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import UserError, unknown_option

if TYPE_CHECKING:
    import keras

__all__ = ["BACKBONES", "HEADS", "Backbone", "build_backbone", "build_head", "build_model"]

HEADS = ("direct", "direct_normalize", "fc1024", "fc1024_normalize")


@dataclass(frozen=True)
class Backbone:
    """A backbone in the registry.

    Attributes:
        image_size: Default side of its input, pixels.
        module: File in ``retrieval/models`` that builds it; empty: ``keras.applications``.
        pretrained: Whether it has ImageNet weights.
        own_format: Suffix of a published weight file that its module reads by itself.
    """

    image_size: int
    module: str = ""
    pretrained: bool = True
    own_format: str = ""


BACKBONES: dict[str, Backbone] = {
    "conv4": Backbone(32, "conv4", pretrained=False),
    "efficientnet_lite0": Backbone(160, "efficientnet_lite0", own_format=".pth"),
    "densenet169": Backbone(224),
    "resnet50": Backbone(224),
    "resnet50_v2": Backbone(224),
    "mobilenet_v2": Backbone(224),
    "mobilenet_v3_small": Backbone(224),
    "mobilenet_v3_large": Backbone(224),
    "efficientnet_v2_b0": Backbone(224),
    "convnext_tiny": Backbone(224),
    "xception": Backbone(224),
}


def build_backbone(
    name: str,
    image_size: int | None = None,
    *,
    weights: str = "imagenet",
    pooling: str = "average",
) -> "keras.Model":
    """Build a backbone with its preprocessing and pooling.

    Args:
        name: A key of :data:`BACKBONES`.
        image_size: Side of the square input, pixels; default: the backbone's own.
        weights: ``imagenet``, ``none``, or a weight file.
        pooling: ``average``, ``gem`` or ``max``.

    Returns:
        images (B, S, S, 3), RGB in 0..255 -> features (B, F); the model is named ``backbone``.

    Raises:
        UserError: Unknown name, or the weights cannot be had or do not fit.
    """
    if name not in BACKBONES:
        raise unknown_option("backbone", name, BACKBONES)
    import keras

    from retrieval.models.pooling import POOLINGS

    if pooling not in POOLINGS:
        raise unknown_option("pooling", pooling, POOLINGS)
    network = _feature_map(name, image_size or BACKBONES[name].image_size, weights)
    features = POOLINGS[pooling]()(network.output)
    return keras.Model(network.input, features, name="backbone")


def _feature_map(name: str, size: int, weights: str) -> "keras.Model":
    entry = BACKBONES[name]
    if weights == "imagenet" and not entry.pretrained:
        weights = "none"
    file = Path(weights) if weights not in ("imagenet", "none") else None
    if file is not None and not Path(f"{file}.index").exists() and not file.exists():
        raise UserError(f"no weight file at {file}; --weights takes imagenet, none or a file")
    named = None if weights == "none" else weights
    keras_file = file is not None and file.suffix in (".h5", ".keras")
    given = None if keras_file else named
    if entry.module:
        module = importlib.import_module(f"retrieval.models.{entry.module}")
        network = module.build(size, given)
    else:
        from retrieval.models import applications

        network = applications.build(name, size, given)
    if keras_file:
        _load_keras_weights(network, file)
    return network


def _load_keras_weights(network: "keras.Model", file: Path) -> None:
    inner = [layer for layer in network.layers if hasattr(layer, "layers")]
    target = inner[0] if inner else network
    try:
        target.load_weights(file)
    except (ValueError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{file}: these weights do not fit {network.name}: {reason}") from error


def build_head(
    head: str, feature_size: int, embedding_size: int = 128, *, normalize: bool | None = None
) -> "keras.Model":
    """Build a head: features (B, F) -> embeddings (B, D); see :mod:`retrieval.models.heads`.

    Args:
        head: One of :data:`HEADS`.
        feature_size: F.
        embedding_size: D.
        normalize: L2-normalise; None: as the head's name says.

    Returns:
        The model, named ``head``.

    Raises:
        UserError: Unknown head.
    """
    if head not in HEADS:
        raise unknown_option("head", head, HEADS)
    from retrieval.models import heads

    kind = head.removesuffix("_normalize")
    wanted = head.endswith("_normalize") if normalize is None else normalize
    return heads.build_head(kind, feature_size, embedding_size, normalize=wanted)


def build_model(
    backbone: str,
    *,
    head: str = "direct",
    embedding_size: int = 128,
    normalize: bool | None = None,
    image_size: int | None = None,
    weights: str = "imagenet",
    pooling: str = "average",
) -> "keras.Model":
    """Build a whole network: head(backbone(images)).

    Args:
        backbone: A key of :data:`BACKBONES`.
        head: One of :data:`HEADS`.
        embedding_size: Width D of the embedding.
        normalize: L2-normalise the embedding; None: as the head's name says.
        image_size: Side S of the square input, pixels; default: the backbone's own.
        weights: ``imagenet``, ``none``, or a weight file for the backbone.
        pooling: ``average``, ``gem`` or ``max``.

    Returns:
        images (B, S, S, 3), RGB in 0..255 -> embeddings (B, D), float32; with the sub-models
        ``backbone`` and ``head``.

    Raises:
        UserError: Unknown name, or the weights cannot be had.
    """
    import keras

    body = build_backbone(backbone, image_size, weights=weights, pooling=pooling)
    top = build_head(head, int(body.output_shape[-1]), embedding_size, normalize=normalize)
    images = keras.Input(body.input_shape[1:], name="images")
    return keras.Model(images, top(body(images)), name=backbone)

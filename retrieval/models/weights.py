"""Load the weights of a network from a file."""

import tempfile
from pathlib import Path

import h5py
import keras

from retrieval.errors import UserError

# The group of the backbone in a .weights.h5 file of a whole model: Keras names groups after their
# classes, in order, so "functional" is the first sub-model.
BACKBONE_GROUP = "layers/functional"


def load_weights(network: keras.Model, path: Path) -> None:
    """Load weights into a network. A file that does not fit is refused.

    Args:
        network: The backbone to fill.
        path: One of

            - ``.keras``: a backbone saved by Keras, or a model of :func:`build_model`;
            - ``.weights.h5``: the weights of either, such as a run's checkpoint;
            - ``.h5``: the older format, in which Keras publishes its ImageNet weights. Take the
              file without the classifier (``..._notop.h5``).

    Raises:
        UserError: There is no such file, or it has another format or holds the weights of another
            network.
    """
    check_exists(path)
    if not path.name.endswith((".keras", ".h5", ".hdf5")):
        raise UserError(f"{path}: unknown format of weights; give a .keras or .weights.h5 file")
    try:
        if path.suffix == ".keras":
            _from_model(network, path)
        elif path.name.endswith(".weights.h5"):
            _from_weights(network, path)
        else:
            network.load_weights(path)
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: does not hold the weights of {network.name} ({reason}); give a file saved "
            "from the same backbone"
        ) from error


def check_exists(path: Path) -> None:
    """Raise a UserError if there is no file ``path``."""
    if not path.is_file():
        raise UserError(f"{path}: no such weights file; give a path, `imagenet` or `none`")


def _from_model(network: keras.Model, path: Path) -> None:
    saved = keras.saving.load_model(path, compile=False)
    if "backbone" in [layer.name for layer in saved.layers]:
        saved = saved.get_layer("backbone")
    given = saved.get_weights()
    wanted = network.get_weights()
    # The exponent of a trainable pooling comes last, and is not part of the backbone.
    given = given[: len(wanted)]
    if [a.shape for a in given] != [a.shape for a in wanted]:
        raise ValueError(f"{len(given)} arrays where {len(wanted)} of other shapes are needed")
    network.set_weights(given)


def _from_weights(network: keras.Model, path: Path) -> None:
    """Load a ``.weights.h5`` file of the network, or of a whole model around it."""
    with h5py.File(path, "r") as file:
        inner = file.get(BACKBONE_GROUP)
        group = inner if inner is not None and "layers" in inner else file
        # Keras loads what it finds and leaves the rest random, so compare the shapes first.
        found, wanted = _shapes(group), sorted(tuple(w.shape) for w in network.weights)
        if wanted not in (found, found[1:]):  # (), a trainable pooling's exponent, sorts first
            raise ValueError(f"{len(found)} arrays, {len(wanted)} of other shapes are needed")
        with tempfile.TemporaryDirectory() as folder:
            copied = Path(folder) / "backbone.weights.h5"
            with h5py.File(copied, "w") as copy:
                for name in group:
                    group.copy(name, copy)
            network.load_weights(copied)


def _shapes(group: h5py.Group) -> list[tuple[int, ...]]:
    """Return the sorted shapes of all weights in a group, without the seeds of dropout."""
    shapes = []

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and "seed_generator" not in name:
            shapes.append(item.shape)

    group.visititems(visit)
    return sorted(shapes)

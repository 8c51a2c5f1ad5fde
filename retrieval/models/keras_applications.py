"""Networks of ``keras.applications``, each with the preprocessing its weights were trained with."""

import re
import warnings
from pathlib import Path

import keras

from retrieval.errors import UserError
from retrieval.models.folders import keras_models
from retrieval.models.weights import load_weights
from retrieval.validation import ImageSize, sides_of

# How pixels 0..255 become the input of each network (keras.applications.imagenet_utils). "own": the
# first layers of the network do it.
PREPROCESSING = {
    "DenseNet169": "torch",
    "ResNet50": "caffe",
    "ResNet101": "caffe",
    "ResNet50V2": "symmetric",
    "InceptionV3": "symmetric",
    "Xception": "symmetric",
    "MobileNet": "symmetric",
    "MobileNetV2": "symmetric",
    "MobileNetV3Small": "own",
    "MobileNetV3Large": "own",
    "EfficientNetV2B0": "own",
    "ConvNeXtTiny": "own",
}
TORCH_MEAN, TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def build(constructor: str, image_size: ImageSize, weights: str | None = "imagenet") -> keras.Model:
    """Build a network of ``keras.applications`` without its classifier.

    Args:
        constructor: Name of the constructor, e.g. ``"DenseNet169"``.
        image_size: Size of the input in pixels: the side of a square, or (height, width). Most
            networks need at least 32 on each side.
        weights: ``"imagenet"`` for the weights in Keras' cache, to which they are downloaded; None
            for random weights; or a path (see :mod:`retrieval.models.weights`). Defaults to
            "imagenet".

    Returns:
        images (B, H, W, 3), RGB in 0..255 -> feature map (B, h, w, F).

    Raises:
        UserError: The weights are neither in the cache nor could be downloaded, or do not fit.
    """
    shape = (*sides_of(image_size), 3)
    images = keras.Input(shape, name="images")
    try:
        with warnings.catch_warnings():
            # Of MobileNets there are weights for a few square sizes; any other size takes those of
            # 224 px, which is what we want.
            warnings.filterwarnings("ignore", ".*input_shape. is undefined or non-square")
            network = getattr(keras.applications, constructor)(
                include_top=False,
                weights="imagenet" if weights == "imagenet" else None,
                input_shape=shape,  # selects the weights if there are several
                input_tensor=preprocess(images, PREPROCESSING[constructor]),
            )
    except Exception as error:
        # Keras' get_file raises a bare Exception if a download fails.
        url = re.search(r"https?://\S+?\.(?:h5|keras)\b", str(error))
        if url is None:
            raise
        raise UserError(_no_download(constructor, url.group())) from error
    if weights not in (None, "imagenet"):
        load_weights(network, Path(weights))
    # With preprocessing before it, `network.input` is a list of one; we want the input itself.
    return keras.Model(images, network.output, name=network.name)


def _no_download(constructor: str, url: str) -> str:
    cache = keras_models()
    return (
        f"cannot download the ImageNet weights of {constructor}: fetch {url} on a machine that can "
        f"and put the file into {cache}, or pass it with --weights FILE"
    )


def preprocess(images: keras.KerasTensor, kind: str) -> keras.KerasTensor:
    """Add a network's preprocessing, equal to ``keras.applications.<family>.preprocess_input``.

    Args:
        images: (B, H, W, 3), RGB in 0..255.
        kind: ``"torch"`` (ImageNet mean and standard deviation), ``"caffe"`` (BGR minus the mean),
            ``"symmetric"`` (-1..1) or ``"own"`` (unchanged).

    Returns:
        The network's input, (B, H, W, 3).
    """
    if kind == "own":
        return images
    scale: float | list[float]
    offset: float | list[float]
    if kind == "caffe":
        images = keras.ops.flip(images, axis=-1)
        scale, offset = 1.0, [-mean for mean in CAFFE_MEAN_BGR]
    elif kind == "torch":
        scale = [1 / (255 * std) for std in TORCH_STD]
        offset = [-mean / std for mean, std in zip(TORCH_MEAN, TORCH_STD, strict=True)]
    else:
        scale, offset = 1 / 127.5, -1.0
    return keras.layers.Rescaling(scale, offset, name="preprocessing")(images)

"""Backbones of ``keras.applications``, each with its own preprocessing inside the model."""

from collections.abc import Callable

import keras

from retrieval.errors import UserError

# What each family does to pixels in 0..255 before its first layer.
CAFFE_MEAN = [103.939, 116.779, 123.68]
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

CLASSES = {
    "densenet169": "DenseNet169",
    "resnet50": "ResNet50",
    "resnet50_v2": "ResNet50V2",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3_small": "MobileNetV3Small",
    "mobilenet_v3_large": "MobileNetV3Large",
    "efficientnet_v2_b0": "EfficientNetV2B0",
    "convnext_tiny": "ConvNeXtTiny",
    "xception": "Xception",
}


def to_caffe(x: keras.KerasTensor) -> keras.KerasTensor:
    """RGB to BGR, minus the ImageNet mean."""
    return keras.layers.Normalization(mean=CAFFE_MEAN, variance=[1.0] * 3, name="centre")(
        keras.ops.flip(x, axis=-1)
    )


def to_unit(x: keras.KerasTensor) -> keras.KerasTensor:
    """0..255 to -1..1."""
    return keras.layers.Rescaling(1 / 127.5, -1.0, name="preprocessing")(x)


def to_standard(x: keras.KerasTensor) -> keras.KerasTensor:
    """0..1, then minus the ImageNet mean, over its standard deviation."""
    scale = [1 / (255 * s) for s in IMAGENET_STD]
    offset = [-m / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    return keras.layers.Rescaling(scale, offset, name="preprocessing")(x)


PREPROCESSING: dict[str, Callable[[keras.KerasTensor], keras.KerasTensor]] = {
    "densenet169": to_standard,
    "resnet50": to_caffe,
    "resnet50_v2": to_unit,
    "mobilenet_v2": to_unit,
    "xception": to_unit,
}  # the other networks carry theirs inside


def build(name: str, image_size: int, weights: str | None) -> keras.Model:
    """Build one of ``keras.applications``' networks without its classifier.

    Args:
        name: A key of :data:`CLASSES`.
        image_size: Side of the square input, pixels.
        weights: ``"imagenet"`` (downloaded by Keras once, then cached), None, or the path of a
            ``.weights.h5``, ``.h5`` or ``.keras`` file.

    Returns:
        images (B, S, S, 3) in 0..255 -> feature map.

    Raises:
        UserError: The weights cannot be had; says where the file is published.
    """
    images = keras.Input((image_size, image_size, 3), name="images")
    x = PREPROCESSING.get(name, lambda x: x)(images)
    make = getattr(keras.applications, CLASSES[name])
    try:
        network = make(
            include_top=False,
            weights=weights if weights == "imagenet" else None,
            input_shape=(image_size, image_size, 3),
        )
    except Exception as error:  # a download fails in many ways
        reason = " ".join(str(error).split())[:200]
        if weights != "imagenet":
            raise UserError(f"{name} cannot be built at {image_size} px: {reason}") from error
        raise UserError(
            f"ImageNet weights of {name} cannot be downloaded ({reason}); get the `notop` file "
            f"that keras.io/api/applications names for {CLASSES[name]} and pass --weights FILE, or "
            "use --backbone efficientnet_lite0, whose weights are installed"
        ) from None
    return keras.Model(images, network(x), name=name)

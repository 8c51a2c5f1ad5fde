"""Backbones and heads by name. Add a backbone: one file with ``build``, one line here.

Reading the registries does not load TensorFlow; building something does.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrieval.errors import UserError, unknown_option

if TYPE_CHECKING:
    import keras


__all__ = ["BACKBONES", "HEADS", "Backbone", "Head", "build_backbone", "build_head", "build_model"]


@dataclass(frozen=True)
class Backbone:
    """A network from images to a feature map.

    Attributes:
        build: ``build(image_size, weights) -> keras.Model``: images (B, S, S, 3), RGB in 0..255, ->
            feature map (B, h, w, F). ``weights`` is ``"imagenet"``, a path or None (random).
        image_size: Default side of the square input, pixels.
        feature_size: Number of channels F of the feature map.
        source: The paper, and where the ImageNet weights come from.
        pretrained: Whether there are ImageNet weights. A backbone without them starts from random
            weights, also where ``weights="imagenet"`` is the default.
        offline: Whether its ImageNet weights are installed with this package.
    """

    build: Callable[[int, str | None], "keras.Model"]
    image_size: int
    feature_size: int
    source: str
    pretrained: bool = True
    offline: bool = False


@dataclass(frozen=True)
class Head:
    """Layers from pooled features to the embedding.

    Attributes:
        hidden: Width of a dense layer + batch norm + ReLU before the linear one; None: no such.
        normalize: Whether the embedding is L2-normalized unless ``normalize`` says otherwise.
    """

    hidden: int | None = None
    normalize: bool = False


def _own(module: str) -> Callable[[int, str | None], "keras.Model"]:
    """Return the ``build`` of a file in this folder, imported on the first call."""

    def build(image_size: int, weights: str | None) -> "keras.Model":
        return importlib.import_module(f"retrieval.models.{module}").build(image_size, weights)

    return build


def _application(constructor: str) -> Callable[[int, str | None], "keras.Model"]:
    """Return a function that builds a network of ``keras.applications``."""

    def build(image_size: int, weights: str | None) -> "keras.Model":
        from retrieval.models import keras_applications

        return keras_applications.build(constructor, image_size, weights)

    return build


BACKBONES: dict[str, Backbone] = {
    "conv4": Backbone(
        _own("conv4"),
        64,
        256,
        "four convolutions, as in Vinyals 2016; no weights",
        pretrained=False,
    ),
    "efficientnet_lite0": Backbone(
        _own("efficientnet_lite0"), 160, 1280, "Tan & Le 2019; weights installed", offline=True
    ),
    "inception_v1": Backbone(
        _own("inception_v1"), 224, 1024, "Szegedy 2015 with batch norm; TF-slim checkpoint"
    ),
    "densenet169": Backbone(_application("DenseNet169"), 224, 1664, "Huang 2017; Keras"),
    "resnet50": Backbone(_application("ResNet50"), 224, 2048, "He 2016; Keras"),
    "resnet50_v2": Backbone(_application("ResNet50V2"), 224, 2048, "He 2016b; Keras"),
    "inception_v3": Backbone(_application("InceptionV3"), 299, 2048, "Szegedy 2016; Keras"),
    "xception": Backbone(_application("Xception"), 299, 2048, "Chollet 2017; Keras"),
    "mobilenet_v2": Backbone(_application("MobileNetV2"), 224, 1280, "Sandler 2018; Keras"),
    "mobilenet_v3_small": Backbone(
        _application("MobileNetV3Small"), 224, 576, "Howard 2019; Keras"
    ),
    "mobilenet_v3_large": Backbone(
        _application("MobileNetV3Large"), 224, 960, "Howard 2019; Keras"
    ),
    "efficientnet_v2_b0": Backbone(
        _application("EfficientNetV2B0"), 224, 1280, "Tan & Le 2021; Keras"
    ),
    "convnext_tiny": Backbone(_application("ConvNeXtTiny"), 224, 768, "Liu 2022; Keras"),
    "dinov2_small": Backbone(_own("dinov2"), 224, 384, "Oquab 2024, ViT-S/14; keras-hub"),
}
HEADS: dict[str, Head] = {
    "direct": Head(),
    "direct_normalize": Head(normalize=True),
    "fc1024": Head(hidden=1024),
    "fc1024_normalize": Head(hidden=1024, normalize=True),
}


def build_backbone(
    name: str,
    image_size: int | None = None,
    *,
    weights: str | None = "imagenet",
    pooling: str = "average",
) -> "keras.Model":
    """Build a backbone with its pooling; preprocessing is its first layer.

    Args:
        name: A name in :data:`BACKBONES`.
        image_size: Side S of the square input, pixels; None: the backbone's own.
        weights: ``"imagenet"``, ``"none"`` or None for random ones, or the path of a file (see
            :mod:`retrieval.models.weights`).
        pooling: ``average``, ``gem`` or ``max``.

    Returns:
        Model ``backbone``: images (B, S, S, 3), RGB in 0..255, uint8 or float32 -> features (B, F)
        float32.

    Raises:
        UserError: Unknown name or pooling, or weights that cannot be had or do not fit.
    """
    import keras

    from retrieval.models.pooling import pool

    if name not in BACKBONES:
        raise unknown_option("backbone", name, BACKBONES)
    entry = BACKBONES[name]
    size = image_size or entry.image_size
    if weights == "none" or (weights == "imagenet" and not entry.pretrained):
        weights = None
    try:
        network = entry.build(size, weights)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"cannot build {name} for images of {size} px: {reason}") from error
    return keras.Model(network.input, pool(network.output, pooling), name="backbone")


def build_head(
    head: str, feature_size: int, embedding_size: int = 128, *, normalize: bool | None = None
) -> "keras.Model":
    """Build a head.

    Args:
        head: A name in :data:`HEADS`.
        feature_size: Width F of the pooled features.
        embedding_size: Width D of the embedding.
        normalize: L2-normalize the embedding; None: as the head's name says.

    Returns:
        Model ``head``: features (B, F) -> embeddings (B, D), float32.

    Raises:
        UserError: Unknown head.
    """
    from retrieval.models.heads import embed

    if head not in HEADS:
        raise unknown_option("head", head, HEADS)
    entry = HEADS[head]
    wanted = entry.normalize if normalize is None else normalize
    return embed(feature_size, embedding_size, hidden=entry.hidden, normalize=wanted)


def build_model(
    backbone: str,
    *,
    head: str = "direct",
    embedding_size: int = 128,
    normalize: bool | None = None,
    image_size: int | None = None,
    weights: str | None = "imagenet",
    pooling: str = "average",
) -> "keras.Model":
    """Build the whole network: ``head(backbone(images))``.

    The sub-models are named ``backbone`` and ``head``, so a head that was trained on cached
    features is put in with ``model.get_layer("head").set_weights(head.get_weights())``.

    Args:
        backbone: A name in :data:`BACKBONES`.
        head: A name in :data:`HEADS`.
        embedding_size: Width D of the embedding.
        normalize: L2-normalize the embedding; None: as the head's name says.
        image_size: Side S of the square input, pixels; None: the backbone's own.
        weights: ``"imagenet"``, ``"none"`` or None, or a path: see :func:`build_backbone`.
        pooling: ``average``, ``gem`` or ``max``.

    Returns:
        images (B, S, S, 3), RGB in 0..255, uint8 or float32 -> embeddings (B, D), float32.
    """
    import keras

    body = build_backbone(backbone, image_size, weights=weights, pooling=pooling)
    top = build_head(head, int(body.output_shape[-1]), embedding_size, normalize=normalize)
    images = keras.Input(body.input_shape[1:], name="images")
    return keras.Model(images, top(body(images)), name=backbone)

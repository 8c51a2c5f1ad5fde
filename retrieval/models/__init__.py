"""Backbones and heads by name. Add a backbone: one file, one line here."""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrieval.errors import unknown_option

if TYPE_CHECKING:
    import keras

__all__ = ["BACKBONES", "Backbone", "build_backbone", "build_head", "build_model"]


@dataclass(frozen=True)
class Backbone:
    """A backbone in the registry.

    Attributes:
        module: File in ``retrieval/models`` with ``build(image_size, weights) -> feature map``.
        image_size: Default side of its input, pixels.
        pretrained: Whether it has ImageNet weights.
    """

    module: str
    image_size: int
    pretrained: bool = True


BACKBONES: dict[str, Backbone] = {
    "conv4": Backbone("conv4", 32, pretrained=False),
    "efficientnet_lite0": Backbone("efficientnet_lite0", 160),
}


def build_backbone(
    name: str, image_size: int | None = None, *, weights: str = "imagenet", pooling: str = "average"
) -> "keras.Model":
    """Build a backbone: images (B, S, S, 3) in 0..255 -> pooled features (B, F)."""
    import keras

    if name not in BACKBONES:
        raise unknown_option("backbone", name, BACKBONES)
    entry = BACKBONES[name]
    module = importlib.import_module(f"retrieval.models.{entry.module}")
    chosen = None if weights == "none" or not entry.pretrained else weights
    network = module.build(image_size or entry.image_size, chosen)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(network.output)
    return keras.Model(network.input, x, name="backbone")


def build_head(*args, **options):
    """See :func:`retrieval.models.heads.build_head`."""
    from retrieval.models.heads import build_head

    return build_head(*args, **options)


def build_model(
    backbone: str,
    *,
    head: str = "direct",
    embedding_size: int = 128,
    normalize: bool = True,
    image_size: int | None = None,
    weights: str = "imagenet",
    pooling: str = "average",
) -> "keras.Model":
    """Build images -> embeddings, with the sub-models ``backbone`` and ``head``."""
    import keras

    body = build_backbone(backbone, image_size, weights=weights, pooling=pooling)
    top = build_head(head, int(body.output_shape[-1]), embedding_size, normalize=normalize)
    images = keras.Input(body.input_shape[1:], name="images")
    return keras.Model(images, top(body(images)), name=backbone)

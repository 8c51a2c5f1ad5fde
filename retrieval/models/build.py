"""Build networks by name: ``head(backbone(images))``, from the registries of both."""

from typing import TYPE_CHECKING

from retrieval.errors import UserError, unknown_option
from retrieval.models.registry import HEADS, backbone_of
from retrieval.validation import ImageSize, as_size, sides_of

if TYPE_CHECKING:
    import keras


def build_backbone(
    name: str,
    image_size: ImageSize | None = None,
    *,
    weights: str | None = "imagenet",
    pooling: str | None = None,
) -> "keras.Model":
    """Build a backbone and its pooling. Preprocessing is its first layer.

    Args:
        name: A key of :data:`retrieval.models.BACKBONES`, or a preset of keras-hub,
            ``"hub:NAME"``.
        image_size: Size of the input in pixels: the side of a square, or (height, width), or text
            such as "256x128". Defaults to None, the backbone's own square.
        weights: ``"imagenet"`` for the pretrained weights (of a preset, its own), ``"none"`` or
            None for random ones, or the path of a file (see :mod:`retrieval.models.weights`).
            Defaults to "imagenet".
        pooling: How the feature map is pooled: ``"average"``, ``"average+max"`` (their sum),
            ``"gem"`` (generalized mean) or ``"max"``; a preset may also have ``"cls"`` (class
            token), ``"cls+average"`` (both, one after the other) and ``"head"`` (that it was
            trained with). Defaults to None, as its paper does: "average" but for presets.

    Returns:
        Model ``backbone``: images (B, H, W, 3), RGB in 0..255, uint8 or float32 -> features (B, F),
        float32.

    Raises:
        UserError: An unknown name or pooling, or weights that are not available or do not fit.
    """
    import keras  # loads TensorFlow

    from retrieval.models.pooling import pool

    entry = backbone_of(name)
    pooling = pooling or entry.pooling
    sides = sides_of(entry.image_size if image_size is None else image_size)
    size = as_size(sides)
    if weights == "none" or (weights == "imagenet" and not entry.pretrained):
        weights = None
    entry.check(size, pooling)
    if entry.build_pooled is not None:
        return entry.build_pooled(size, weights, pooling)
    try:
        network = entry.build(size if isinstance(size, int) else sides, weights)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"cannot build {name} for images of {size} px: {reason}") from error
    return keras.Model(network.input, pool(network.output, pooling), name="backbone")


def build_head(
    head: str, feature_size: int, embedding_size: int = 128, *, normalize: bool | None = None
) -> "keras.Model":
    """Build a head.

    Args:
        head: A key of :data:`HEADS`.
        feature_size: Size F of the pooled features.
        embedding_size: Size D of the embedding. Defaults to 128.
        normalize: Whether to L2-normalize the embedding. Defaults to None, as the head's name says.

    Returns:
        Model ``head``: features (B, F) -> embeddings (B, D), float32.

    Raises:
        UserError: An unknown head, or one without a linear layer and D is not F.
    """
    from retrieval.models.heads import embed  # loads TensorFlow

    if head not in HEADS:
        raise unknown_option("head", head, HEADS)
    entry = HEADS[head]
    wanted = entry.normalize if normalize is None else normalize
    if not entry.linear and embedding_size != feature_size:
        raise UserError(
            f"--head {head} keeps the {feature_size:,} dimensions of the pooled features: give "
            f"--embedding-size {feature_size}"
        )
    return embed(
        feature_size, embedding_size, hidden=entry.hidden, normalize=wanted, linear=entry.linear
    )


def build_model(
    backbone: str,
    *,
    head: str = "direct",
    embedding_size: int = 128,
    normalize: bool | None = None,
    image_size: ImageSize | None = None,
    weights: str | None = "imagenet",
    pooling: str | None = None,
) -> "keras.Model":
    """Build the whole network: ``head(backbone(images))``.

    The two sub-models are named ``backbone`` and ``head``, so a head that was trained on cached
    features is put in with ``model.get_layer("head").set_weights(head.get_weights())``.

    Args:
        backbone: A key of :data:`retrieval.models.BACKBONES`, or a preset of keras-hub,
            ``"hub:NAME"``.
        head: A key of :data:`HEADS`. Defaults to "direct".
        embedding_size: Size D of the embedding. Defaults to 128.
        normalize: Whether to L2-normalize the embedding. Defaults to None, as the head's name says.
        image_size: Size of the input in pixels: the side of a square, or (height, width), or text
            such as "256x128". Defaults to None, the backbone's own square.
        weights: ``"imagenet"``, ``"none"`` or None, or a path, see :func:`build_backbone`. Defaults
            to "imagenet".
        pooling: ``"average"``, ``"cls"``, ..., see :func:`build_backbone`. Defaults to None, as
            its paper does.

    Returns:
        images (B, H, W, 3), RGB in 0..255, uint8 or float32 -> embeddings (B, D), float32.

    Raises:
        UserError: An unknown name, or weights that are not available or do not fit.
    """
    import keras  # loads TensorFlow

    features = build_backbone(backbone, image_size, weights=weights, pooling=pooling)
    top = build_head(head, int(features.output_shape[-1]), embedding_size, normalize=normalize)
    images = keras.Input(features.input_shape[1:], name="images")
    return keras.Model(
        images, top(features(images)), name=backbone.rpartition("/")[2].replace(":", "_")
    )

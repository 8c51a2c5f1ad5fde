"""DINOv2 ViT-S/14, a vision transformer, through keras-hub (the extra ``vit``).

Oquab et al. (2024), "DINOv2: Learning Robust Visual Features without Supervision". The network was
trained without labels on LVD-142M; ``weights="imagenet"`` stands for these published weights. The
feature map has one position, the class token, so that every pooling gives the same features
(``average+max`` gives twice them).
"""

import math
from pathlib import Path

import keras

from retrieval.errors import UserError, how_to_install
from retrieval.models.keras_applications import preprocess
from retrieval.models.weights import load_weights
from retrieval.validation import ImageSize, as_size, sides_of

PRESET = "dinov2_small"
PATCH, WIDTH = 14, 384
SOURCE = "kaggle.com/models/keras/dinov2 (Keras, dinov2_small)"


def build(image_size: ImageSize = 224, weights: str | None = "imagenet") -> keras.Model:
    """Build the network.

    Args:
        image_size: Side S of the square input, in pixels, a multiple of 14. Position embeddings are
            interpolated to it. keras-hub's network takes no other shape. Defaults to 224.
        weights: ``"imagenet"`` for the preset ``dinov2_small``, from keras-hub's cache or
            downloaded; None for random weights; or a path: the folder of a preset, or a Keras file.
            Defaults to "imagenet".

    Returns:
        images (B, S, S, 3), RGB in 0..255 -> class token as a feature map (B, 1, 1, 384).

    Raises:
        UserError: keras-hub is not installed, the size is no square or not a multiple of 14, or the
            weights are not available or do not fit.
    """
    height, width = sides_of(image_size)
    # Of a square of about as many pixels, the number of patches along a side.
    patches = max(1, round(math.sqrt(height * width) / PATCH))
    if height != width:
        raise UserError(
            f"dinov2_small takes square images only, because keras-hub interpolates its position "
            f"embeddings to squares: give an --image-size such as {patches * PATCH} instead of "
            f"{as_size((height, width))}"
        )
    if height % PATCH:
        raise UserError(
            f"dinov2_small cuts images into patches of {PATCH} px: give an --image-size that is a "
            f"multiple of it, such as {patches * PATCH}"
        )
    images = keras.Input((height, width, 3), name="images")
    transformer = _transformer(height, weights)
    tokens = transformer({"images": preprocess(images, "torch")})
    class_token = keras.layers.Reshape((1, 1, WIDTH), name="class_token")(tokens[:, 0])
    network = keras.Model(images, class_token, name=PRESET)
    if weights is not None and Path(weights).is_file():
        load_weights(network, Path(weights))
    return network


def _transformer(image_size: int, weights: str | None) -> keras.Model:
    try:
        from keras_hub.models import DINOV2Backbone as KerasHubBackbone

        from retrieval.models.dinov2_backbone import DINOV2Backbone, copy_of
    except ImportError as error:
        raise UserError(f"dinov2_small needs keras-hub: {how_to_install('vit')}") from error
    shape = (image_size, image_size, 3)
    if weights is None or Path(weights).is_file():
        return DINOV2Backbone(
            patch_size=PATCH,
            num_layers=12,
            hidden_dim=WIDTH,
            num_heads=6,
            intermediate_dim=4 * WIDTH,
            position_embedding_shape=(518, 518),
            image_shape=shape,
        )
    try:
        # As keras-hub loads: interpolated to the image size.
        pretrained = KerasHubBackbone.from_preset(
            PRESET if weights == "imagenet" else weights, image_shape=shape
        )
    except Exception as error:  # kagglehub lets every exception of its many layers through
        reason = " ".join(str(error).split())[:120]
        if weights == "imagenet":
            raise UserError(
                f"cannot download the weights of dinov2_small: fetch {SOURCE} on a machine that "
                f"can and pass its folder with --weights ({reason})"
            ) from error
        raise UserError(
            f"{weights}: not the folder of a DINOv2 preset of keras-hub ({reason}); give one, or a "
            "Keras weights file"
        ) from error
    return copy_of(pretrained)

"""Conv4: four convolutions that train from scratch in under a minute on a CPU, for the demo."""

from pathlib import Path

import keras

from retrieval.models.weights import load_weights
from retrieval.validation import ImageSize, sides_of

IMAGE_SIZE = 64
WIDTHS = (32, 64, 128, 256)


def build(image_size: ImageSize = IMAGE_SIZE, weights: str | None = None) -> keras.Model:
    """Build the network: four blocks of convolution, batch norm and ReLU, with max-pooling between.

    It follows the four-block network of Vinyals et al. (2016), "Matching Networks for One Shot
    Learning", section 4.1.1. The first convolution is strided, which makes it several times
    cheaper, and the widths double where the resolution halves.

    Args:
        image_size: Size of the input in pixels: the side of a square, or (height, width).
            Defaults to 64.
        weights: Path of a weights file of this network. Defaults to None, random weights.

    Returns:
        images (B, H, W, 3) in 0..255 -> feature map (B, H / 16, W / 16, 256).
    """
    images = keras.Input((*sides_of(image_size), 3), name="images")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="preprocessing")(images)
    for number, width in enumerate(WIDTHS):
        first = number == 0
        x = keras.layers.Conv2D(
            width,
            5 if first else 3,
            strides=2 if first else 1,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"conv{number}",
        )(x)
        x = keras.layers.BatchNormalization(name=f"norm{number}")(x)
        x = keras.layers.ReLU(name=f"relu{number}")(x)
        if width != WIDTHS[-1]:
            x = keras.layers.MaxPooling2D(padding="same", name=f"pool{number}")(x)
    network = keras.Model(images, x, name="conv4")
    if weights is not None:
        load_weights(network, Path(weights))
    return network

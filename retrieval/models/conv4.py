"""Conv4: four convolution blocks, trained from scratch; small enough for a CPU."""

import keras

IMAGE_SIZE = 32
WIDTHS = (32, 64, 96, 128)


def build(image_size: int = IMAGE_SIZE, weights: None = None) -> keras.Model:
    """Build the network: four times convolution 3x3, batch norm, ReLU, max-pool (Vinyals 2016).

    Args:
        image_size: Side of the square input, pixels.
        weights: None; it has no pretrained weights.

    Returns:
        images (B, S, S, 3) in 0..255 -> feature map (B, S / 8, S / 8, 128).
    """
    images = keras.Input((image_size, image_size, 3), name="images")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="preprocessing")(images)
    for number, width in enumerate(WIDTHS):
        x = keras.layers.Conv2D(
            width,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"conv{number}",
        )(x)
        x = keras.layers.BatchNormalization(name=f"norm{number}")(x)
        x = keras.layers.ReLU(name=f"relu{number}")(x)
        if number < 3:
            x = keras.layers.MaxPooling2D(name=f"pool{number}")(x)
    return keras.Model(images, x, name="conv4")

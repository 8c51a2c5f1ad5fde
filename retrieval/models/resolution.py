"""Run a network at another image size than the one it was built for."""

import keras

from retrieval.errors import UserError
from retrieval.validation import ImageSize, as_size, sides_of


def at_resolution(network: keras.Model, image_size: ImageSize) -> keras.Model:
    """Return a network that shares all weights and takes images of another size.

    Args:
        network: A model of :func:`retrieval.models.build_model`: images (B, H, W, 3) -> (B, D).
        image_size: The new size in pixels: the side of a square, or (height, width).

    Returns:
        images (B, H', W', 3) -> embeddings (B, D). Training or loading either network changes both.

    Raises:
        UserError: The network is bound to its image size, as a vision transformer is.
    """
    body = network.get_layer("backbone")
    sides = sides_of(image_size)
    images = keras.Input((*sides, 3), name="images")
    # Each layer is its own clone, so the same layers are applied to the new input.
    try:
        body = keras.models.clone_model(
            body, input_tensors=images, clone_function=lambda layer: layer
        )
    except ValueError as error:
        raise UserError(
            f"{network.name} cannot take images of {as_size(sides)} px instead of "
            f"{as_size(body.input_shape[1:3])} px: choose test-time views other than average_pool"
        ) from error
    return keras.Model(images, network.get_layer("head")(body(images)), name=network.name)

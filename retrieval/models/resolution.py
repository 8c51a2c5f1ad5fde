"""Run a network at another image size than the one it was built for."""

import keras

from retrieval.errors import UserError


def at_resolution(network: keras.Model, image_size: int) -> keras.Model:
    """Return a network that shares all weights and takes images of another size.

    Args:
        network: A model of :func:`retrieval.models.build_model`: images (B, S, S, 3) -> (B, D).
        image_size: The new side S', in pixels.

    Returns:
        images (B, S', S', 3) -> embeddings (B, D). Training or loading either network changes both.

    Raises:
        UserError: The network is bound to its image size, as a vision transformer is.
    """
    body = network.get_layer("backbone")
    images = keras.Input((image_size, image_size, 3), name="images")
    # Each layer is its own clone, so the same layers are applied to the new input.
    try:
        body = keras.models.clone_model(
            body, input_tensors=images, clone_function=lambda layer: layer
        )
    except ValueError as error:
        raise UserError(
            f"{network.name} cannot take images of {image_size} px instead of "
            f"{body.input_shape[1]} px: choose test-time views other than average_pool"
        ) from error
    return keras.Model(images, network.get_layer("head")(body(images)), name=network.name)

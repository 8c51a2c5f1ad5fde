"""Run a network at another image size than it was built for."""

import keras

from retrieval.errors import UserError


def at_resolution(network: keras.Model, image_size: int) -> keras.Model:
    """Return the same network, weights shared, for images of another size.

    Args:
        network: A model of :func:`retrieval.models.build_model`: images (B, S, S, 3) -> (B, D).
        image_size: The new side S', pixels.

    Returns:
        images (B, S', S', 3) -> embeddings (B, D); trains and loads as one with ``network``.

    Raises:
        UserError: A network that is bound to its image size, such as a vision transformer.
    """
    body = network.get_layer("backbone")
    images = keras.Input((image_size, image_size, 3), name="images")
    # Layers that "clone" to themselves are applied again, to the new input.
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

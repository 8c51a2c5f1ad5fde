"""Run a network at another image size than it was built for."""

import keras


def at_resolution(network: keras.Model, image_size: int) -> keras.Model:
    """Return the same network, weights shared, for images of another size.

    Args:
        network: A model of :func:`retrieval.models.build_model`: images (B, S, S, 3) -> (B, D).
        image_size: The new side S', pixels.

    Returns:
        images (B, S', S', 3) -> embeddings (B, D); trains and loads as one with ``network``.
    """
    body = network.get_layer("backbone")
    images = keras.Input((image_size, image_size, 3), name="images")
    # Layers that "clone" to themselves are applied again, to the new input.
    body = keras.models.clone_model(body, input_tensors=images, clone_function=lambda layer: layer)
    return keras.Model(images, network.get_layer("head")(body(images)), name=network.name)

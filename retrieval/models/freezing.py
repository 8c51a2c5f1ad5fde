"""Keep batch normalizations of a network fixed while the rest is trained."""

import contextlib
from collections.abc import Iterator, Sequence

import keras


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Return every batch normalization of a model, at any depth.

    Args:
        model: Any Keras model, with nested ones.

    Returns:
        The layers, including those held by nested models and by other layers.
    """
    # Private, because there is no public list: `Model.layers` does not see the layers that another
    # layer holds, such as those of keras-hub's blocks, and Keras 3 has no `submodules`
    # (tensorflow/tensorflow#97403).
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


def freeze_batch_norm(model: keras.Model) -> int:
    """Run every batch normalization of a model in inference mode, also in training.

    The pretrained statistics are used and kept, and scale and offset stay fixed. The statistics of
    a ranking batch (few classes, near-duplicate images) are poor, and using them would make the
    network at test time differ from the one in training. This is usual in metric learning (Musgrave
    et al. 2020, "A Metric Learning Reality Check"). Call it before ``compile``, and on the
    pretrained backbone only: the batch norm of a head has no pretrained statistics.

    Args:
        model: Any Keras model; changed in place.

    Returns:
        Number of frozen layers.
    """
    layers = batch_norms(model)
    for layer in layers:
        layer.trainable = False
    return len(layers)


@contextlib.contextmanager
def inference_mode(layers: Sequence[keras.layers.BatchNormalization]) -> Iterator[None]:
    """Run batch normalizations in inference mode within a ``with`` block, even in training.

    Calls that are made or traced in the block normalize by the moving statistics and do not update
    them.

    Args:
        layers: Trainable batch normalizations; they are trainable again after the block.

    Yields:
        Nothing.
    """
    try:
        for layer in layers:
            layer.trainable = False
        yield
    finally:
        for layer in layers:
            layer.trainable = True

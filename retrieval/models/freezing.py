"""Keep parts of a network fixed while the rest is trained."""

import contextlib
from collections.abc import Iterator, Sequence

import keras


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Return every batch normalization of a model, those in nested models included."""
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


def freeze_batch_norm(model: keras.Model) -> int:
    """Run every batch normalization of a model in inference mode, also in training.

    The pretrained statistics are used and kept, and scale and offset stay fixed: statistics of a
    ranking batch (few classes, near-duplicate images) are poor, and with them the network of the
    test differs from that of training. Usual in metric learning (Musgrave et al. 2020, "A Metric
    Learning Reality Check"). Call it before ``compile``, on the pretrained backbone
    alone: a head's batch norm starts untrained and must stay trainable.

    Args:
        model: Any Keras model; changed in place.

    Returns:
        How many layers were frozen.
    """
    layers = batch_norms(model)
    for layer in layers:
        layer.trainable = False
    return len(layers)


@contextlib.contextmanager
def inference_mode(layers: Sequence[keras.layers.BatchNormalization]) -> Iterator[None]:
    """Run batch normalizations in inference mode within the block, whatever ``training`` says.

    For what is traced in the block: they normalize by their moving statistics and leave them.

    Args:
        layers: Batch normalizations that are trainable.

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

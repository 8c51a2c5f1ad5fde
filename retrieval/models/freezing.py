"""Keep parts of a network fixed while the rest trains."""

import keras


def all_layers(network: keras.Model) -> list[keras.Layer]:
    """Return every layer of a network, those of nested models too."""
    found = []
    for layer in network.layers:
        found += all_layers(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def freeze_batch_norm(network: keras.Model) -> int:
    """Keep batch norms at their pretrained statistics, scale and shift.

    Small batches of few classes give poor statistics; fine-tuning with fixed ones is the usual
    practice in metric learning (e.g. Roth 2020, section 4).

    Args:
        network: Changed in place.

    Returns:
        How many batch norms were frozen.
    """
    norms = [x for x in all_layers(network) if isinstance(x, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.trainable = False
    return len(norms)

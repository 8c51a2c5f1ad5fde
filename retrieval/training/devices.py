"""Training on every local device: the strategy of a process, and batches that it can divide."""

import functools

import tensorflow as tf

from retrieval.errors import UserError
from retrieval.settings.resolve import resolved
from retrieval.settings.schema import TrainSettings


@functools.cache
def mirrored_strategy() -> tf.distribute.MirroredStrategy:
    """Return the strategy that trains on all local devices, the same one for the whole process.

    Every strategy numbers its exchanges between devices from the same start, and TensorFlow refuses
    a number whose tensors had other shapes before (tensorflow/tensorflow#62790). With a new
    strategy, the second training of a process would therefore fail.
    """
    return tf.distribute.MirroredStrategy()


def strategy_of(settings: TrainSettings) -> tf.distribute.Strategy | None:
    """Return the distribution strategy of a run; None for a single device.

    Args:
        settings: Resolved settings of a training.

    Raises:
        UserError: The devices cannot share a batch equally, which adding up their gradients needs.
            Names the batch, the devices and the fix.
    """
    if settings.distribute != "mirrored":
        return None
    strategy = mirrored_strategy()
    devices = strategy.num_replicas_in_sync
    p, k = resolved(settings.classes_per_batch), resolved(settings.samples_per_class)
    if p * k % devices:
        raise UserError(
            f"--distribute mirrored cannot share {p} x {k} = {p * k} images equally among "
            f"{devices} devices: give --classes-per-batch and --samples-per-class whose product "
            f"is a multiple of {devices}, or drop --distribute"
        )
    return strategy

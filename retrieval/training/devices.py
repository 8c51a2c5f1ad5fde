"""Training on every local device: the strategy of a session, and the batches it can share out."""

import functools

import tensorflow as tf

from retrieval.errors import UserError
from retrieval.settings.schema import TrainSettings


@functools.cache
def mirrored_strategy() -> tf.distribute.MirroredStrategy:
    """Return the strategy that trains on every local device, the same one for a whole session.

    Each strategy numbers its exchanges between devices from the start, and TensorFlow checks a
    number's shapes against those it had before: the second training of a session would fail.
    """
    return tf.distribute.MirroredStrategy()


def strategy_of(settings: TrainSettings) -> tf.distribute.Strategy | None:
    """Return what a run is trained by; None is one device without a strategy.

    Args:
        settings: Resolved settings of a training.

    Raises:
        UserError: The devices cannot have equal parts of a batch.
    """
    if settings.distribute != "mirrored":
        return None
    strategy = mirrored_strategy()
    check_shares(settings, strategy.num_replicas_in_sync)
    return strategy


def check_shares(settings: TrainSettings, devices: int) -> None:
    """Refuse a batch that devices cannot share equally: gradients could not be added.

    Args:
        settings: Resolved settings of a training.
        devices: How many there are.

    Raises:
        UserError: Names the batch, the devices and the fix.
    """
    p, k = settings.classes_per_batch, settings.samples_per_class
    if p * k % devices:
        raise UserError(
            f"--distribute mirrored cannot share {p} x {k} = {p * k} images equally among "
            f"{devices} devices: give --classes-per-batch and --samples-per-class whose product "
            f"is a multiple of {devices}, or drop --distribute"
        )

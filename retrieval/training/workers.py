"""The workers that share the batches of a training, before TensorFlow is loaded."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrieval.errors import UserError
from retrieval.quiet import hold_back_stderr, quiet_import

if TYPE_CHECKING:
    import tensorflow as tf

CLUSTER = "TF_CONFIG"  # where TensorFlow finds the workers


@dataclass(frozen=True)
class Workers:
    """The workers of a training, as one of them sees them.

    Attributes:
        rank: Number of this one, from 0.
        count: How many there are.
        strategy: What connects them.
    """

    rank: int
    count: int
    strategy: "tf.distribute.Strategy"

    @property
    def is_chief(self) -> bool:
        """Whether this one writes, evaluates and decides."""
        return self.rank == 0

    @property
    def devices(self) -> int:
        """Number of devices of this worker."""
        return int(self.strategy.num_replicas_in_sync) // self.count

    def share_of(self, batch: int) -> slice:
        """Return the rows of a batch that this worker takes.

        Raises:
            UserError: The batch is not a multiple of the devices.
        """
        check_shares(batch, self.count, self.devices)
        own = batch // self.count
        return slice(self.rank * own, (self.rank + 1) * own)


def check_shares(batch: int, workers: int, devices: int = 1) -> None:
    """Refuse a batch that workers cannot share equally, which sums over their parts need.

    Args:
        batch: Number of images of a batch.
        workers: Number of workers.
        devices: Number of devices of each. Defaults to 1.

    Raises:
        UserError: Names the batch, the workers and the fix.
    """
    if batch % (workers * devices):
        each = "" if devices == 1 else f" with {devices} GPUs each"
        raise UserError(
            f"--distribute workers cannot share {batch} images equally among {workers} "
            f"workers{each}: give --classes-per-batch and --samples-per-class whose product is a "
            f"multiple of {workers * devices}, or other --workers"
        )


def join_workers(rank: int, addresses: Sequence[str]) -> Workers:
    """Load TensorFlow and connect to the other workers, before anything else is computed.

    Args:
        rank: Number of this worker.
        addresses: ``HOST:PORT`` of every worker.

    Returns:
        The workers, all of which have joined.
    """
    task = {"type": "worker", "index": rank}
    os.environ[CLUSTER] = json.dumps({"cluster": {"worker": [*addresses]}, "task": task})
    with quiet_import():
        import tensorflow as tf
    with hold_back_stderr():  # what it says about devices
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Workers(rank, len(addresses), strategy)

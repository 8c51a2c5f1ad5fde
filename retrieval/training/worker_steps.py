"""Train on several workers: every loss sees the global batch, every worker holds all weights.

Keras' ``fit`` fails under ``MultiWorkerMirroredStrategy`` (keras-team/keras#20585), so the steps
are taken here. The first worker is the chief: it alone reads and writes checkpoints, keeps the
history, evaluates, and decides when to stop. The others take the same steps with their share of
every batch, and wait for it in the exchange of the next step. They are told nothing: who started
the workers ends them as soon as the chief is done.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from retrieval.models.freezing import batch_norms
from retrieval.training.model import RankingModel
from retrieval.training.workers import Workers

# What TensorFlow raises in a worker when another one is gone.
GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnknownError,
)


class ExchangeFailed(Exception):
    """The workers could not exchange their parts of a step, as when one of them is gone."""


@contextlib.contextmanager
def exchanging() -> Iterator[None]:
    """Tell a worker that is gone from an error of this machine, which a user would be shown.

    Yields:
        Nothing.

    Raises:
        ExchangeFailed: The block could not reach another worker. It has no cause, as it is no
            answer to what this worker was asked: whoever started the workers knows who is gone.
    """
    try:
        yield
    except GONE as error:
        raise ExchangeFailed(" ".join(str(error).split())[:300]) from None


def synchronize_batch_norms(network: keras.Model) -> None:
    """Let batch normalizations normalize by the statistics of the global batch.

    Args:
        network: A network before its first step; changed in place.
    """
    for layer in batch_norms(network):
        layer.synchronized = True


def share_state(workers: Workers, model: RankingModel, steps_done: int) -> int:
    """Give all workers the state of the chief: weights, optimizer, loss and random numbers.

    Args:
        workers: The workers, all of which call this.
        model: The model; the chief's may be restored from a checkpoint.
        steps_done: Number of steps that the chief's has taken.

    Returns:
        That number, of the chief.
    """
    # The network's weights, the loss's, the states of random numbers; but not Keras' metrics.
    variables = [*model.network.variables, *model.loss_weights, *model.loss_state]
    variables += model.optimizer.variables
    values = [np.asarray(variable) for variable in variables] + [np.asarray(steps_done)]
    is_real = [value.dtype.kind not in "iub" for value in values]
    # The widest type of each kind; there is no sum of every type of integer.
    for kind, wide in ((True, np.float32), (False, np.int64)):
        own = [n for n, real in enumerate(is_real) if real == kind]
        flat = np.concatenate([values[n].astype(wide).ravel() for n in own])
        parts = np.split(_of_chief(workers, flat), np.cumsum([values[n].size for n in own])[:-1])
        for n, part in zip(own, parts, strict=True):
            values[n] = part.reshape(values[n].shape)
    *shared, step = values
    for variable, value in zip(variables, shared, strict=True):
        variable.assign(tf.cast(value, variable.dtype))
    return int(step)


def _of_chief(workers: Workers, values: np.ndarray) -> np.ndarray:
    """Return the chief's values on every worker: the sum of its own and of zeros elsewhere."""
    own = tf.constant(values if workers.is_chief else np.zeros_like(values))

    @tf.function(autograph=False)
    def total(given: tf.Tensor) -> Any:
        def of_replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            # Of several devices of the chief, only the first counts.
            counts = tf.cast(context.replica_id_in_sync_group == 0, given.dtype)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, given * counts)

        return workers.strategy.run(of_replica)

    with exchanging():
        found: np.ndarray = _local(workers, total(own)).numpy()
    return found


def _local(workers: Workers, value: Any) -> tf.Tensor:
    return workers.strategy.experimental_local_results(value)[0]


class WorkerSteps:
    """Takes the steps of a training as one of several workers.

    Args:
        workers: The workers.
        model: The model, with the same weights on all of them.
        batches: This worker's share of every batch, in parts for its devices.
        steps_done: Number of steps already taken. Defaults to 0.
    """

    def __init__(
        self,
        workers: Workers,
        model: RankingModel,
        batches: tf.data.Dataset,
        steps_done: int = 0,
    ) -> None:
        self.workers, self.model, self.steps_done = workers, model, steps_done
        # Without an end, TensorFlow need not ask all workers whether there is another batch.
        endless = batches.repeat()
        self.batches: Iterator[Any] = iter(
            workers.strategy.distribute_datasets_from_function(lambda _: endless)
        )
        self._steps = {frozen: self._traced(freezes_norms=frozen) for frozen in (True, False)}

    def _traced(self, *, freezes_norms: bool) -> Callable[..., Any]:
        step = functools.partial(self.model.replica_step, freezes_norms=freezes_norms)
        run = self.workers.strategy.run
        return tf.function(lambda inputs, labels: run(step, (inputs, labels)), autograph=False)

    def take(self) -> dict[str, float]:
        """Take one step.

        Returns:
            Loss and spread of the global batch.

        Raises:
            ExchangeFailed: Another worker is gone.
        """
        inputs, labels = next(self.batches)
        step = self._steps[self.steps_done < self.model.freeze_batch_norm_steps]
        self.steps_done += 1
        with exchanging():
            found = step(inputs, labels)
            return {name: float(_local(self.workers, each)) for name, each in found.items()}

    def fit(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        *,
        initial_epoch: int,
        epochs: int,
        steps_per_epoch: int,
    ) -> None:
        """Take all steps, as Keras' ``fit`` does, with its callbacks in the same order.

        Args:
            callbacks: The callbacks, of the chief.
            initial_epoch: Number of the first interval.
            epochs: Number of the one after the last.
            steps_per_epoch: Number of steps of an interval.
        """
        every = keras.callbacks.CallbackList(list(callbacks), model=self.model)
        self.model.stop_training = False
        every.on_train_begin()
        logs: dict[str, float] = {}
        for epoch in range(initial_epoch, epochs):
            every.on_epoch_begin(epoch)
            taken = []
            for number in range(steps_per_epoch):
                every.on_train_batch_begin(number)
                taken.append(self.take())
                every.on_train_batch_end(number, dict(taken[-1]))
                if self.model.stop_training:
                    break
            logs = {name: float(np.mean([each[name] for each in taken])) for name in taken[0]}
            every.on_epoch_end(epoch, logs)
            if self.model.stop_training:
                break
        every.on_train_end(logs)

"""Keras callbacks with which tests interrupt, break or steer a training."""

from collections.abc import Callable, Iterable

import keras
import numpy as np


class Killed(BaseException):
    """Stands for the end of the process: nothing may handle it."""


class KillAfter(keras.callbacks.Callback):
    """End the process after a step of the run.

    Args:
        step: The step, counted from 1.
    """

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            raise Killed


class NotANumber(keras.callbacks.Callback):
    """Make a weight NaN after a step of the run, as a gradient that overflows would.

    Args:
        step: The step, counted from 1.
        weights: Function from the model to its variables, of which the last is made NaN. Defaults
            to the trainable variables of the network.
    """

    def __init__(
        self, step: int, weights: Callable = lambda model: model.network.trainable_variables
    ) -> None:
        super().__init__()
        self.step, self.weights = step, weights

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            variable = self.weights(self.model)[-1]
            variable.assign(np.full(variable.shape, np.nan))


class Scores(keras.callbacks.Callback):
    """Replace a metric of every evaluation by given values.

    Args:
        values: Value of each evaluation, in order.
        metric: Name of the metric. Defaults to ``recall@1``.
    """

    def __init__(self, values: Iterable[float], metric: str = "recall@1") -> None:
        super().__init__()
        self.values, self.metric = iter(values), metric

    def on_epoch_end(self, epoch, logs=None):
        logs[self.metric] = next(self.values)

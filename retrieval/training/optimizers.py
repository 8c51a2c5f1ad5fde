"""Optimizers and learning-rate schedules by name, and a learning rate per part of the model."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras.optimizers.schedules import (
    CosineDecay,
    ExponentialDecay,
    LearningRateSchedule,
    PolynomialDecay,
)

from retrieval.validation import Optimizer, Schedule, check_choice

FINAL_RATE = 1e-7  # of the polynomial schedule; that of the TF 1 baseline

OPTIMIZERS: dict[Optimizer, Callable[..., keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "momentum": functools.partial(keras.optimizers.SGD, momentum=0.9),
}


@dataclass(frozen=True)
class Shape:
    """What a schedule needs to know besides its initial rate and the number of steps.

    Attributes:
        power: Power of the polynomial.
        every: Number of steps between two decays of the step schedule.
        factor: What each of these decays multiplies the rate by.
    """

    power: float
    every: int
    factor: float


# Each makes a schedule from the initial rate, the steps it takes and its shape.
SCHEDULES: dict[Schedule, Callable[[float, int, Shape], LearningRateSchedule]] = {
    "constant": lambda rate, steps, shape: PolynomialDecay(rate, steps, rate),
    "polynomial": lambda rate, steps, shape: PolynomialDecay(rate, steps, FINAL_RATE, shape.power),
    "cosine": lambda rate, steps, shape: CosineDecay(rate, steps),
    "step": lambda rate, steps, shape: ExponentialDecay(
        rate, shape.every, shape.factor, staircase=True
    ),
}


def build_optimizer(
    name: str,
    learning_rate: float | LearningRateSchedule,
    *,
    epsilon: float = 1e-7,
    weight_decay: float = 0.0,
    clip_norm: float | None = None,
) -> keras.optimizers.Optimizer:
    """Make a Keras optimizer.

    Args:
        name: ``adam``, ``adamw`` or ``momentum`` (SGD with momentum 0.9).
        learning_rate: A rate or a schedule.
        epsilon: Constant in the denominator of Adam's step; momentum has none. Defaults to 1e-7.
        weight_decay: Decoupled weight decay. Defaults to 0.0, none.
        clip_norm: Largest global norm of the gradient; longer gradients are scaled down to it.
            Within the scope of a strategy this is the norm of the sum over replicas, each of which
            must be given the mean gradient (see :func:`shared_gradients`). Defaults to None, no
            limit.

    Returns:
        The optimizer, not built yet.

    Raises:
        UserError: An unknown name.
    """
    make = OPTIMIZERS[check_choice("optimizer", name, OPTIMIZERS)]
    # Keras' AdamW decays by 0.004 by default; the others refuse a decay of 0.
    decay = weight_decay if name == "adamw" else (weight_decay or None)
    if clip_norm is not None:
        clip_norm /= tf.distribute.get_strategy().num_replicas_in_sync
    own = {} if name == "momentum" else {"epsilon": epsilon}
    return make(learning_rate, weight_decay=decay, global_clipnorm=clip_norm, **own)


def slot_count(name: str) -> int:
    """Return how many copies of each trained weight an optimizer keeps, e.g. 2 for ``adam``."""
    optimizer = OPTIMIZERS[check_choice("optimizer", name, OPTIMIZERS)](0.1)
    own = len(optimizer.variables)  # the step and the learning rate
    optimizer.build([keras.Variable(0.0)])
    return len(optimizer.variables) - own


def build_schedule(
    name: str,
    learning_rate: float,
    steps: int,
    *,
    warmup_steps: int = 0,
    power: float = 1.0,
    decay_every: int | None = None,
    decay_factor: float = 0.1,
) -> float | LearningRateSchedule:
    """Make a learning-rate schedule for a Keras optimizer.

    Args:
        name: ``constant``, ``polynomial`` (falls to 1e-7, as in the TF 1 baseline), ``cosine``
            (falls to 0) or ``step`` (multiplied by a factor at equal intervals).
        learning_rate: The rate at the end of the warm-up.
        steps: Number of training steps in all.
        warmup_steps: Number of first steps, out of ``steps``, in which the rate rises linearly.
            Defaults to 0.
        power: Power of the polynomial. Defaults to 1.0, a straight line.
        decay_every: Number of steps between two decays of ``step``, counted from the end of the
            warm-up. Defaults to None: the rate never decays.
        decay_factor: What each decay of ``step`` multiplies the rate by. Defaults to 0.1.

    Returns:
        A schedule, or the rate itself if it never changes.

    Raises:
        UserError: An unknown name.
    """
    make = SCHEDULES[check_choice("schedule", name, SCHEDULES)]
    if name == "constant" and not warmup_steps:
        return learning_rate
    left = max(1, steps - warmup_steps)
    shape = Shape(power, decay_every or left + 1, decay_factor)
    schedule = make(learning_rate, left, shape)
    return WarmUp(schedule, learning_rate, warmup_steps) if warmup_steps else schedule


@keras.saving.register_keras_serializable("retrieval")
class WarmUp(LearningRateSchedule):
    """A linear warm-up followed by another schedule.

    Args:
        after: Schedule that follows the warm-up, and starts from its own step 0.
        first: Learning rate at the end of the warm-up.
        steps: Number of warm-up steps.
    """

    def __init__(self, after: LearningRateSchedule, first: float, steps: int) -> None:
        self.after, self.first, self.steps = after, first, steps

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step, counted from 0."""
        step = keras.ops.cast(step, "float32")
        rising = self.first * (step + 1) / self.steps
        return keras.ops.where(step < self.steps, rising, self.after(step - self.steps))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, the other schedule serialized."""
        after = keras.optimizers.schedules.serialize(self.after)
        return {"after": after, "first": self.first, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WarmUp":
        """Make a schedule from :meth:`get_config`."""
        after = keras.optimizers.schedules.deserialize(config["after"])
        return cls(after, config["first"], config["steps"])


def apply_scaled(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    multipliers: Sequence[float | tf.Tensor],
) -> None:
    """Take one optimizer step with a learning rate per variable.

    The step itself is scaled, weight decay included. Scaling the gradients instead would have no
    effect under Adam, which divides their scale out. The moments of the optimizer follow the
    gradients whatever the multiplier, so that a part which is frozen (multiplier 0) for the first
    steps starts with moments that fit.

    Args:
        optimizer: A built optimizer.
        gradients: One gradient per variable.
        variables: The variables to update.
        multipliers: Learning rate of each variable relative to the optimizer's: a number, or a
            scalar tensor that may change from step to step.
    """
    scaled = [
        (variable, multiplier)
        for variable, multiplier in zip(variables, multipliers, strict=True)
        if not isinstance(multiplier, float | int) or multiplier != 1
    ]
    before = [keras.ops.copy(variable) for variable, _ in scaled]
    optimizer.apply(gradients, variables)
    for old, (variable, multiplier) in zip(before, scaled, strict=True):
        variable.assign(old + keras.ops.cast(multiplier, variable.dtype) * (variable - old))


def shared_gradients(
    optimizer: keras.optimizers.Optimizer, gradients: list[tf.Tensor], replicas: int
) -> list[tf.Tensor]:
    """Return the gradients that an optimizer is given on each of several replicas.

    Keras clips the gradients of each replica, and checks them for overflow in float16, before it
    sums them over the replicas. An optimizer that does either is given the mean over the replicas,
    so that the sum is clipped exactly as a single device would clip it. Any other is given those of
    the replica, so that gradients are sent once.

    Args:
        optimizer: The optimizer.
        gradients: Gradients of this replica, one per variable, which sum over the replicas to the
            gradient of the loss.
        replicas: Number of replicas in sync; with 1 the gradients are returned as they are.

    Returns:
        One tensor per variable, whose sum over the replicas is the gradient of the loss.
    """
    if replicas == 1:
        return gradients
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    clips = (optimizer.clipnorm, optimizer.clipvalue, optimizer.global_clipnorm)
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if not scales and all(limit is None for limit in clips):
        return dense
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, dense)

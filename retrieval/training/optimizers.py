"""Optimizers by name, with weight decay, clipping and a learning rate per part of the model.

Learning-rate schedules by name.
"""

import keras
import tensorflow as tf
from keras.optimizers.schedules import CosineDecay, LearningRateSchedule, PolynomialDecay

from retrieval.validation import check_choice

OPTIMIZERS = {
    "adam": lambda rate, **common: keras.optimizers.Adam(rate, **common),
    "adamw": lambda rate, **common: keras.optimizers.AdamW(rate, **common),
    "momentum": lambda rate, **common: keras.optimizers.SGD(rate, momentum=0.9, **common),
}


def build_optimizer(
    name: str,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    *,
    weight_decay: float = 0.0,
    clip_norm: float | None = None,
) -> keras.optimizers.Optimizer:
    """Make a Keras optimizer.

    Args:
        name: ``adam``, ``adamw`` or ``momentum`` (SGD with momentum 0.9).
        learning_rate: A rate or a schedule.
        weight_decay: Decoupled weight decay; 0 is off.
        clip_norm: Clip the global norm of the gradient; None is off. In a strategy's scope: of the
            sum over replicas, of which each must pass the mean (see :func:`replica_mean`).

    Returns:
        The optimizer, not built yet.

    Raises:
        UserError: Unknown name.
    """
    check_choice("optimizer", name, OPTIMIZERS)
    # Keras' AdamW decays by 0.004 unless told otherwise.
    decay = weight_decay if name == "adamw" else (weight_decay or None)
    if clip_norm is not None:
        clip_norm /= tf.distribute.get_strategy().num_replicas_in_sync
    return OPTIMIZERS[name](learning_rate, weight_decay=decay, global_clipnorm=clip_norm)


def replica_mean(gradients: list, replicas: int) -> list:
    """Return the mean over replicas of each gradient, to be passed to the optimizer.

    Keras sums gradients over replicas after it has clipped those of each, and looked whether they
    are finite (float16). Of equal gradients the sum is clipped as one device would have done.

    Args:
        gradients: One per variable, of this replica; their sum over replicas is the gradient.
        replicas: Replicas in sync; 1 returns the gradients.

    Returns:
        One tensor per variable, the same on every replica.
    """
    if replicas == 1:
        return gradients
    context = tf.distribute.get_replica_context()
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, dense)


def apply_scaled(
    optimizer: keras.optimizers.Optimizer, gradients: list, variables: list, factors: list
) -> None:
    """Take one optimizer step with a learning rate per variable.

    The step itself is scaled, weight decay included. Scaling gradients would do nothing under
    Adam, which divides their scale out again. The optimizer's moments follow the gradient whatever
    the factor, so a part that is held (factor 0) for a while starts with moments that fit.

    Args:
        optimizer: A built optimizer.
        gradients: One per variable.
        variables: What to update.
        factors: Learning rate of each variable relative to the optimizer's; a number or a scalar
            tensor, which may change from step to step.
    """
    scaled = [
        (variable, factor)
        for variable, factor in zip(variables, factors, strict=True)
        if not isinstance(factor, float | int) or factor != 1
    ]
    before = [keras.ops.copy(variable) for variable, _ in scaled]
    optimizer.apply(gradients, variables)
    for old, (variable, factor) in zip(before, scaled, strict=True):
        variable.assign(old + keras.ops.cast(factor, variable.dtype) * (variable - old))


FINAL_RATE = 1e-7


@keras.saving.register_keras_serializable("retrieval")
class WarmUp(LearningRateSchedule):
    """Rise linearly to the schedule's first value, then follow it."""

    def __init__(self, after: LearningRateSchedule, first: float, steps: int) -> None:
        self.after, self.first, self.steps = after, first, steps

    def __call__(self, step: object) -> object:
        """Return the learning rate of a step (counted from 0)."""
        step = keras.ops.cast(step, "float32")
        rising = self.first * (step + 1) / self.steps
        return keras.ops.where(step < self.steps, rising, self.after(step - self.steps))

    def get_config(self) -> dict:
        """Return the constructor's arguments, JSON-able."""
        after = keras.optimizers.schedules.serialize(self.after)
        return {"after": after, "first": self.first, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict) -> "WarmUp":
        """Rebuild from :meth:`get_config`."""
        after = keras.optimizers.schedules.deserialize(config["after"])
        return cls(after, config["first"], config["steps"])


def build_schedule(
    name: str, learning_rate: float, steps: int, *, warmup_steps: int = 0, power: float = 1.0
) -> float | LearningRateSchedule:
    """Return a learning rate or a schedule for a Keras optimizer.

    Args:
        name: ``constant``; ``polynomial`` (to 1e-7, as the TF 1 baseline); ``cosine`` (to 0).
        learning_rate: The rate after warm-up.
        steps: Training steps in all.
        warmup_steps: Steps of linear warm-up, part of ``steps``.
        power: Power of the polynomial.

    Returns:
        A float when nothing varies, else a schedule.

    Raises:
        UserError: Unknown name.
    """
    decay = max(1, steps - warmup_steps)
    makers = {
        "constant": lambda: PolynomialDecay(learning_rate, decay, learning_rate),
        "polynomial": lambda: PolynomialDecay(learning_rate, decay, FINAL_RATE, power),
        "cosine": lambda: CosineDecay(learning_rate, decay),
    }
    check_choice("schedule", name, makers)
    if name == "constant" and not warmup_steps:
        return learning_rate
    schedule = makers[name]()
    return WarmUp(schedule, learning_rate, warmup_steps) if warmup_steps else schedule

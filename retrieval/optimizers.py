"""Optimisers by name, with weight decay, clipping and a learning rate per part of the model."""

import keras

from retrieval.errors import unknown_option

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
    """Make a Keras optimiser.

    Args:
        name: ``adam``, ``adamw`` or ``momentum`` (SGD with momentum 0.9).
        learning_rate: A rate or a schedule.
        weight_decay: Decoupled weight decay; 0 is off.
        clip_norm: Clip the global norm of the gradient; None is off.

    Returns:
        The optimiser, not built yet.

    Raises:
        UserError: Unknown name.
    """
    if name not in OPTIMIZERS:
        raise unknown_option("optimizer", name, OPTIMIZERS)
    # Keras' AdamW decays by 0.004 unless told otherwise.
    decay = weight_decay if name == "adamw" else (weight_decay or None)
    return OPTIMIZERS[name](learning_rate, weight_decay=decay, global_clipnorm=clip_norm)


def scale_updates(before: list, variables: list, multipliers: list[float]) -> None:
    """Scale the step just taken, variable by variable: a learning rate per part of the model.

    Scaling gradients would do nothing under Adam, which divides their scale out again.

    Args:
        before: Values the variables had before the step.
        variables: The variables, after the step.
        multipliers: One factor per variable.
    """
    for old, variable, factor in zip(before, variables, multipliers, strict=True):
        variable.assign(old + factor * (variable - old))

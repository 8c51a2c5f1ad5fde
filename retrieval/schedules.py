"""Learning-rate schedules by name."""

import keras
from keras.optimizers.schedules import CosineDecay, LearningRateSchedule, PolynomialDecay

from retrieval.errors import unknown_option

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
    """Return a learning rate or a schedule for a Keras optimiser.

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
    if name not in makers:
        raise unknown_option("schedule", name, makers)
    if name == "constant" and not warmup_steps:
        return learning_rate
    schedule = makers[name]()
    return WarmUp(schedule, learning_rate, warmup_steps) if warmup_steps else schedule

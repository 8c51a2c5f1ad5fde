"""Settings that would do nothing are refused rather than ignored."""

from retrieval.errors import UserError
from retrieval.settings import UNTRAINED, TrainSettings

PARTS_OF_THE_TRAINING = ("warmup_steps", "freeze_steps", "freeze_batch_norm_steps")
# Of the loss, and what each is where it was not given.
NOT_GIVEN = {"loss_options": {}, "memory_batches": 0, "memory_start": None, "memory_weight": None}


def check_effect(settings: TrainSettings) -> None:
    """Refuse settings that cannot act, given the others.

    Args:
        settings: Settings as the user gave them.

    Raises:
        UserError: Names the first such setting and the fix.
    """
    given = [name for name, idle in NOT_GIVEN.items() if getattr(settings, name) != idle]
    if settings.loss == UNTRAINED and given:
        raise UserError(
            f"{flag(given[0])} has no effect with --loss none, which trains nothing: drop it, or "
            "choose a loss"
        )
    for name in PARTS_OF_THE_TRAINING:
        if (value := getattr(settings, name)) > settings.steps:
            raise UserError(
                f"{flag(name)} {value} is longer than the training: give at most {settings.steps}, "
                "or more --steps"
            )
    if not settings.memory_batches and given and given[-1].startswith("memory"):
        raise UserError(
            f"{flag(given[-1])} has no effect without a cross-batch memory: drop it, or add "
            "--memory-batches"
        )
    if (settings.memory_start or 0) >= settings.steps:
        raise UserError(
            f"--memory-start {settings.memory_start}: the memory would never be used: give less "
            f"than the {settings.steps} of --steps"
        )


def without_loss_settings(settings: TrainSettings) -> TrainSettings:
    """Return settings of the untrained network that other runs' are the model of."""
    return settings.with_(loss=UNTRAINED, **NOT_GIVEN)


def flag(name: str) -> str:
    """Return a setting's flag on the command line."""
    flag = "--" + name.replace("_", "-")
    return "--loss-option" if name == "loss_options" else flag

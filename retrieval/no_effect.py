"""Settings that would do nothing are refused rather than ignored."""

from retrieval.errors import UserError
from retrieval.losses import LOSSES
from retrieval.recipes import load_recipe
from retrieval.settings import UNTRAINED, TrainSettings

PARTS_OF_THE_TRAINING = ("warmup_steps", "freeze_steps", "freeze_batch_norm_steps")
MEMORY = {"memory_batches": 0, "memory_start": None, "memory_weight": None}
# What an untrained network has no use for, and what each is where it was not given.
NOT_GIVEN = {
    "loss_options": {},
    **MEMORY,
    "loss_multiplier": None,
    "patience": 0,
    "use_checkpoint": "latest",
    "eval_split": "none",
    "monitor": TrainSettings.monitor,
    "validation_fraction": TrainSettings.validation_fraction,
}


def check_effect(settings: TrainSettings) -> None:
    """Refuse settings that cannot act, given the others.

    Args:
        settings: Settings as the user gave them.

    Raises:
        UserError: Names the first such setting and the fix.
    """
    if settings.loss == UNTRAINED:
        _check_untrained(settings)
    else:
        _check_watching(settings)
        _check_loss_multiplier(settings)
        if settings.optimizer == "adamw" and not settings.weight_decay:
            raise UserError(
                "--optimizer adamw without weight decay is adam: add --weight-decay, or give "
                "--optimizer adam"
            )
    for name in PARTS_OF_THE_TRAINING:
        if (value := getattr(settings, name)) > settings.steps:
            raise UserError(
                f"{flag(name)} {value} is longer than the training: give at most {settings.steps}, "
                "or more --steps"
            )
    given = [name for name, idle in MEMORY.items() if getattr(settings, name) != idle]
    if given and not settings.memory_batches:
        raise UserError(
            f"{flag(given[-1])} has no effect without a cross-batch memory: drop it, or add "
            "--memory-batches"
        )
    if (settings.memory_start or 0) >= settings.steps:
        raise UserError(
            f"--memory-start {settings.memory_start}: the memory would never be used: give less "
            f"than the {settings.steps} of --steps"
        )


def _check_untrained(settings: TrainSettings) -> None:
    """Refuse what a user gave for a training to a network that has none."""
    for name, idle in NOT_GIVEN.items():
        if getattr(settings, name) != idle and not from_recipe(settings, name):
            raise UserError(
                f"{flag(name)} has no effect with --loss none, which trains nothing: drop it, or "
                "choose a loss"
            )


def _check_watching(settings: TrainSettings) -> None:
    """Refuse settings of an in-training evaluation that there is not."""
    if settings.eval_split == "none" and settings.monitor != TrainSettings.monitor:
        raise UserError(
            "--monitor has no effect without in-training evaluation: drop it, or add --eval-split "
            "test or validation"
        )
    own = settings.validation_fraction != TrainSettings.validation_fraction
    if own and settings.eval_split != "validation":
        raise UserError(
            "--validation-fraction has no effect without validation: drop it, or add --eval-split "
            "validation"
        )


def _check_loss_multiplier(settings: TrainSettings) -> None:
    """Refuse a learning rate of weights that the loss does not own."""
    if settings.loss_multiplier is None or settings.loss not in LOSSES:
        return
    learns = settings.loss_options.get("learn_beta", True)
    if not learns or "learning_rate_multiplier" not in LOSSES[settings.loss].options():
        raise UserError(
            f"--loss-multiplier has no effect with --loss {settings.loss}, which owns no weights "
            "to train: drop it, or choose another loss"
        )


def from_recipe(settings: TrainSettings, name: str) -> bool:
    """Tell whether a setting has the recipe's value rather than one that the user chose."""
    if settings.recipe is None:
        return False
    return load_recipe(settings.recipe).settings.get(name) == getattr(settings, name)


def without_loss_settings(settings: TrainSettings) -> TrainSettings:
    """Return settings of the untrained network that other runs' are the model of."""
    return settings.with_(loss=UNTRAINED, **NOT_GIVEN)


def flag(name: str) -> str:
    """Return a setting's flag on the command line; of one that is on by default, its opposite."""
    words = {"loss_options": "loss-option", "freeze_batch_norm": "no-freeze-batch-norm"}
    return "--" + words.get(name, name.replace("_", "-"))

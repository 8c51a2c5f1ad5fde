"""Settings that would do nothing are refused rather than ignored."""

from pathlib import Path

from retrieval.datasets import DATASETS
from retrieval.errors import UserError, unknown_option
from retrieval.evaluation.metrics import measured_in_training
from retrieval.input_pipeline.test_time import parse_views
from retrieval.losses import LOSSES, check_loss_options, get_loss, recommended_options
from retrieval.models import BACKBONES, HEADS
from retrieval.settings.identity import REFUSED_UNTRAINED
from retrieval.settings.recipes import from_recipe, load_recipe
from retrieval.settings.schema import UNTRAINED, TrainSettings, default_of
from retrieval.validation import check_choice

PARTS_OF_THE_TRAINING = ("warmup_steps", "freeze_steps", "freeze_batch_norm_steps")
OF_THE_MEMORY = ("memory_batches", "memory_start", "memory_weight")


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
    given = [name for name in OF_THE_MEMORY if getattr(settings, name) != default_of(name)]
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
    # In reverse: what needs another setting comes after it, and is the better one to name.
    for name, idle in reversed(REFUSED_UNTRAINED.items()):
        if getattr(settings, name) != idle and not from_recipe(settings, name):
            raise UserError(
                f"{flag(name)} has no effect with --loss none, which trains nothing: drop it, or "
                "choose a loss"
            )


def _check_watching(settings: TrainSettings) -> None:
    """Refuse settings of an in-training evaluation that there is not."""
    if settings.eval_split == "none" and settings.monitor != default_of("monitor"):
        raise UserError(
            "--monitor has no effect without in-training evaluation: drop it, or add --eval-split "
            "test or validation"
        )
    own = settings.validation_fraction != default_of("validation_fraction")
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
    if not learns or "learning_rate_multiplier" not in recommended_options(settings.loss):
        raise UserError(
            f"--loss-multiplier has no effect with --loss {settings.loss}, which owns no weights "
            "to train: drop it, or choose another loss"
        )


def without_loss_settings(settings: TrainSettings) -> TrainSettings:
    """Return settings of the untrained network that other runs' are the model of."""
    return settings.with_(loss=UNTRAINED, **REFUSED_UNTRAINED)


def flag(name: str) -> str:
    """Return a setting's flag on the command line; of one that is on by default, its opposite."""
    words = {"loss_options": "loss-option", "freeze_batch_norm": "no-freeze-batch-norm"}
    return "--" + words.get(name, name.replace("_", "-"))


WEIGHTS = ("imagenet", "none")


def check_names(settings: TrainSettings) -> None:
    """Check the names of data set, loss, loss options and network before any work is done.

    Raises:
        UserError: An unknown name, with the closest valid one; a recipe that is not followed; or
            what has no effect.
    """
    if settings.recipe is not None:
        _check_recipe(settings)
    for what, given, registry in (
        ("data set", settings.dataset, DATASETS),
        ("loss", settings.loss, [*LOSSES, UNTRAINED]),
        ("backbone", settings.backbone, BACKBONES),
        ("head", settings.head, HEADS),
    ):
        if given not in registry:
            raise unknown_option(what, given, registry)
    check_choice("monitor", settings.monitor, measured_in_training(DATASETS[settings.dataset].ks))
    parse_views(settings.test_time)
    check_effect(settings)
    check_frozen(settings)
    files = (Path(settings.weights), Path(f"{settings.weights}.index"))  # TensorFlow checkpoints
    if settings.weights not in WEIGHTS and not any(file.is_file() for file in files):
        raise UserError(
            f"--weights {settings.weights}: no such file; give a file or one of "
            f"{', '.join(WEIGHTS)}"
        )
    if settings.loss != UNTRAINED:
        check_loss_options(settings.loss, settings.loss_options)
        memory = {"size": 1} if settings.memory_batches else None
        get_loss(settings.loss, cross_batch_memory=memory, **settings.loss_options)
        check_batch(settings)


def check_batch(settings: TrainSettings) -> None:
    """Refuse a P x K batch without the pairs its loss is made of; the loss would not show it.

    Raises:
        UserError: Names the loss, and the K or P it can train with.
    """
    entry = LOSSES[settings.loss]
    k = settings.samples_per_class or entry.samples_per_class
    if entry.layout == "pairs" and k % 2:
        raise UserError(
            f"--samples-per-class {k}: {settings.loss} takes rows two by two, which would then "
            "be of different classes: give an even number"
        )
    blocks = settings.loss_options.get("pairs", "blocks") == "blocks"
    if entry.layout == "blocks" and blocks and k % 4:
        raise UserError(
            f"--samples-per-class {k}: {settings.loss} pairs rows four by four: give a multiple "
            "of 4, or --loss-option pairs=all"
        )
    if entry.needs_classes or settings.memory_batches:
        return  # positives and negatives are proxies, or come from earlier batches
    p = settings.classes_per_batch or entry.classes_per_batch
    for option, given, lacking in (
        ("--samples-per-class", k, "positive"),
        ("--classes-per-batch", p, "negative"),
    ):
        if given < 2:
            raise UserError(
                f"{option} {given}: {settings.loss} would have no {lacking} pairs: give 2 or more"
            )


def _check_recipe(settings: TrainSettings) -> None:
    """Refuse settings that only bear a recipe's name: the run would be labeled with it."""
    recipe = load_recipe(settings.recipe)
    full = recipe.train_settings()
    for name in recipe.settings:
        given, wanted = getattr(settings, name), getattr(full, name)
        if given != wanted and not settings.scaled:
            raise UserError(
                f"recipe {recipe.name} has {name} = {wanted}, the settings have {given}: make them "
                f"with load_recipe({recipe.name!r}).train_settings(changes)"
            )


def check_frozen(settings: TrainSettings) -> None:
    """Refuse what cannot act on cached features, rather than ignore it.

    Args:
        settings: Settings as the user gave them.

    Raises:
        UserError: Names the first such setting.
    """
    if not settings.freeze_backbone or settings.loss == UNTRAINED:
        return
    idle = {
        "augment": "none",
        "test_time": "none",
        "freeze_steps": 0,
        "freeze_batch_norm_steps": 0,
        "backbone_multiplier": 1.0,
        "chunk_size": 0,
    }
    acting = [name for name, value in idle.items() if getattr(settings, name) != value]
    if settings.flip and not from_recipe(settings, "flip"):
        acting.append("flip")
    if not settings.freeze_batch_norm and not from_recipe(settings, "freeze_batch_norm"):
        acting.append("freeze_batch_norm")
    if acting:
        raise UserError(
            f"{flag(acting[0])} has no effect with --freeze-backbone, which trains on cached "
            "features: drop one of the two"
        )
    if settings.mixed_precision and settings.head == "direct":
        raise UserError(
            "--mixed-precision has no effect with --freeze-backbone and --head direct, whose one "
            "layer is computed in 32 bit: drop one of them"
        )

"""Fill the settings left open with what the loss, the backbone and the data set recommend."""

from pathlib import Path

from retrieval.augmentation import parse_views
from retrieval.datasets import DATASETS
from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError, unknown_option
from retrieval.losses import LOSSES, check_loss_options, get_loss
from retrieval.models import BACKBONES, HEADS
from retrieval.no_effect import check_effect, flag, from_recipe
from retrieval.recipes import load_recipe
from retrieval.settings import UNTRAINED, TrainSettings

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
    if settings.monitor not in (valid := in_training_metrics(settings.dataset)):
        raise unknown_option("value of monitor", settings.monitor, valid)
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


def in_training_metrics(dataset: str) -> tuple[str, ...]:
    """Return what is measured in training; the K of Recall@K are those the field reports."""
    return (*(f"recall@{k}" for k in DATASETS[dataset].ks), "map@r", "nmi")


def check_batch(settings: TrainSettings) -> None:
    """Refuse a P x K batch without the pairs its loss is made of; the loss would not show it.

    Raises:
        UserError: Names the loss, and the K or P it can train with.
    """
    entry = LOSSES[settings.loss]
    k = settings.samples_per_class or entry.samples_per_class
    if entry.layout == "pairs" and k % 2:
        raise UserError(
            f"--samples-per-class {k}: {entry.name} takes rows two by two, which would then be of "
            "different classes: give an even number"
        )
    blocks = settings.loss_options.get("pairs", "blocks") == "blocks"
    if entry.layout == "blocks" and blocks and k % 4:
        raise UserError(
            f"--samples-per-class {k}: {entry.name} pairs rows four by four: give a multiple of 4, "
            "or --loss-option pairs=all"
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
                f"{option} {given}: {entry.name} would have no {lacking} pairs: give 2 or more"
            )


def _check_recipe(settings: TrainSettings) -> None:
    """Refuse settings that only bear a recipe's name: the run would be labelled with it."""
    recipe = load_recipe(settings.recipe)
    full = recipe.train_settings()
    for name in recipe.settings:
        given, wanted = getattr(settings, name), getattr(full, name)
        if given != wanted and not settings.scaled:
            raise UserError(
                f"recipe {recipe.name} has {name} = {wanted}, the settings have {given}: make them "
                f"with load_recipe({recipe.name!r}).train_settings(changes)"
            )


def resolve(settings: TrainSettings, catalog: Catalog) -> TrainSettings:
    """Return settings with every ``None`` replaced by its recommendation.

    A recommended P larger than the number of training classes is lowered to it, and so is a
    recipe's (the run is then marked as scaled); a P the user chose is not.

    Args:
        settings: Settings as the user gave them.
        catalog: The data set they are for.

    Returns:
        Settings that say everything.

    Raises:
        UserError: More classes per batch asked for than the training split has.
    """
    backbone = BACKBONES[settings.backbone]
    size = settings.image_size or backbone.image_size
    changes: dict = {"image_size": size}
    if settings.weights == "imagenet" and not backbone.pretrained:
        changes["weights"] = "none"
    if settings.flip is None:
        changes["flip"] = DATASETS[settings.dataset].mirror
    if settings.pre_crop is not None and settings.pre_crop < size:
        raise UserError(
            f"pre_crop = {settings.pre_crop} is smaller than the image size: give {size} or more"
        )
    if settings.loss == UNTRAINED:
        return settings.with_(**changes, normalize=True, freeze_backbone=True)
    if settings.freeze_backbone:
        changes["flip"] = False
    if settings.same_super_class and "super_label" not in catalog.items:
        raise UserError(f"data set {catalog.name!r} has no super-classes; drop --same-super-class")
    entry = LOSSES[settings.loss]
    classes = _training_classes(settings, catalog)
    wanted = settings.classes_per_batch
    if wanted is not None and wanted > classes and from_recipe(settings, "classes_per_batch"):
        # The recipe's P was not chosen by the user; on a smaller data set it cannot hold.
        changes["scaled"], wanted = True, None
    if wanted is not None and wanted > classes:
        raise UserError(
            f"--classes-per-batch {wanted}, but {catalog.name!r} has {classes} training "
            f"classes: give at most {classes}"
        )
    if settings.normalize is None:
        changes["normalize"] = entry.normalize or HEADS[settings.head].normalize
    changes["classes_per_batch"] = wanted or min(entry.classes_per_batch, classes)
    changes["samples_per_class"] = settings.samples_per_class or entry.samples_per_class
    if settings.memory_batches:
        changes |= memory_use(settings)
    return settings.with_(**changes)


def memory_use(settings: TrainSettings) -> dict[str, float]:
    """Return from which step on a cross-batch memory is used and its weight, as settings.

    By default after a tenth of the steps, 1,000 at most: before, the network changes too fast.
    """
    start, weight = settings.memory_start, settings.memory_weight
    return {
        "memory_start": min(1000, settings.steps // 10) if start is None else start,
        "memory_weight": 1.0 if weight is None else weight,
    }


def _training_classes(settings: TrainSettings, catalog: Catalog) -> int:
    classes = catalog.split("train")["label"].nunique()
    if settings.eval_split != "validation":
        return classes
    return classes - held_out_count(classes, settings.validation_fraction)


def held_out_count(classes: int, fraction: float) -> int:
    """Return how many of the training classes a validation split holds out.

    Raises:
        UserError: Fewer than two would be left to train on.
    """
    count = max(1, round(fraction * classes))
    if classes - count < 2:
        raise UserError(
            f"cannot hold out {count} of {classes} training classes: at least 2 must be left; "
            "lower --validation-fraction"
        )
    return count


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

"""Fill the settings left open with what the loss, the backbone and the data set recommend."""

from typing import TypeVar

from retrieval.datasets import DATASETS
from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError
from retrieval.losses import LOSSES
from retrieval.models import BACKBONES, HEADS
from retrieval.settings.recipes import from_recipe
from retrieval.settings.schema import UNTRAINED, TrainSettings

T = TypeVar("T")


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


def resolved(value: T | None) -> T:
    """Return the value of a setting that :func:`resolve` has filled in, e.g. the image size.

    Raises:
        TypeError: It has not been filled in: the caller passed settings that are not resolved.
    """
    if value is None:
        raise TypeError("settings have not been resolved: call resolve(settings, catalog) first")
    return value


def batch_size(settings: TrainSettings) -> int:
    """Return the number of images of a batch, P x K, of resolved settings."""
    return resolved(settings.classes_per_batch) * resolved(settings.samples_per_class)


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

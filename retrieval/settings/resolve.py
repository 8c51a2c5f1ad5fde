"""Fill the settings left open with what the loss, the backbone and the data set recommend."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from retrieval.datasets import dataset_entry, load_catalog
from retrieval.datasets.catalog import Catalog
from retrieval.datasets.checks import check_class_sizes
from retrieval.errors import UserError
from retrieval.evaluation.caveats import label_caveat
from retrieval.losses import LOSSES
from retrieval.models import HEADS, backbone_of
from retrieval.progress import stage
from retrieval.settings.recipes import from_recipe
from retrieval.settings.schema import UNTRAINED, TrainSettings, default_of, selects

T = TypeVar("T")
NOT_RESOLVED = "settings have not been resolved: call resolve(settings, catalog) first"


def catalog_of(settings: TrainSettings, leave_out: Mapping[str, str] | None = None) -> Catalog:
    """Load the data set that settings name.

    Whether it can be trained on is another question: see :func:`check_pairs`.

    Args:
        settings: The settings of a run.
        leave_out: Path -> reason of images to leave out, see
            :func:`retrieval.datasets.load_catalog`. Defaults to none.

    Raises:
        UserError: The data set is not there, is damaged, or takes no such options.
    """
    with stage(f"reading the data set {settings.dataset}"):
        return load_catalog(
            settings.dataset,
            settings.data,
            skip_unreadable=settings.skip_unreadable,
            leave_out=leave_out,
            needs_pairs=False,
            **settings.dataset_options,
        )


def check_pairs(settings: TrainSettings, catalog: Catalog) -> None:
    """Refuse to train on classes of a single image, unless the data set accepts them.

    Args:
        settings: The settings of a run. One that trains nothing needs no pairs.
        catalog: The data set they are for.

    Raises:
        UserError: Names the first such class and the ways out.
    """
    accepted = dataset_entry(settings.dataset).small_classes or catalog.keeps_singletons
    if settings.loss != UNTRAINED and not accepted:
        check_class_sizes(catalog)


def resolve(settings: TrainSettings, catalog: Catalog) -> TrainSettings:
    """Replace every setting that is None by its recommendation.

    A recommended P that is larger than the number of training classes is lowered to it. So is the P
    of a recipe, whose run is then marked as scaled; a P that the user chose is not.

    Args:
        settings: Settings that :func:`retrieval.settings.checks.check` has checked.
        catalog: The data set they are for.

    Returns:
        The resolved settings, which leave nothing to a recommendation.

    Raises:
        UserError: The settings do not fit the data set: too few training classes for the batch or
            for a validation split, a validation fraction beside a validation split of the data
            set, no super-classes, or a held-out split by which no checkpoint can be chosen.
    """
    backbone = backbone_of(settings.backbone)
    changes: dict[str, Any] = {
        "image_size": settings.image_size or backbone.image_size,
        "pooling": settings.pooling or backbone.pooling,
    }
    if settings.weights == "imagenet" and not backbone.pretrained:
        changes["weights"] = "none"
    if settings.flip is None:
        changes["flip"] = dataset_entry(settings.dataset).flip
    if settings.loss == UNTRAINED:
        return settings.with_(**changes, normalize=True, freeze_backbone=True)
    if settings.freeze_backbone:
        changes["flip"] = False
    if settings.same_super_class and "super_label" not in catalog.items:
        raise UserError(f"data set {catalog.name!r} has no super-classes; drop --same-super-class")
    if catalog.split("train")["label"].nunique() < 2:
        raise UserError(
            f"data set {catalog.name!r} has one training class: nothing can be learned from it"
        )
    if settings.eval_split == "test" or (
        settings.eval_split == "validation" and catalog.has_validation
    ):  # otherwise, once the held-out classes are drawn
        held_out_caveat(settings, catalog.split(settings.eval_split)["label"].to_numpy())
    entry = LOSSES[settings.loss]
    if settings.normalize is None:
        changes["normalize"] = entry.normalize or HEADS[settings.head].normalize
    changes |= _classes_per_batch(settings, _training_classes(settings, catalog), catalog.name)
    if catalog.has_validation and settings.validation_fraction != default_of("validation_fraction"):
        raise UserError(
            f"--validation-fraction has no effect: data set {catalog.name!r} comes with a "
            "validation split; drop it"
        )
    changes["samples_per_class"] = settings.samples_per_class or entry.samples_per_class
    if settings.memory_batches:
        changes |= memory_use(settings)
    if settings.schedule == "step" and settings.decay_every is None:
        changes["decay_every"] = max(1, (settings.steps - settings.warmup_steps) // 3)
    return settings.with_(**changes)


def resolved(value: T | None) -> T:
    """Return the value of a setting that :func:`resolve` has filled in, e.g. the image size.

    Raises:
        TypeError: It has not been filled in: the caller passed settings that are not resolved.
    """
    if value is None:
        raise TypeError(NOT_RESOLVED)
    return value


def input_size(settings: TrainSettings) -> int | str:
    """Return the size of the network's input of resolved settings, such as 224 or ``"256x128"``.

    Raises:
        TypeError: The settings have not been resolved.
    """
    if settings.image_size is None:
        raise TypeError(NOT_RESOLVED)
    return settings.image_size


def backbone_remarks(settings: TrainSettings) -> tuple[str, ...]:
    """Return what is done with the pixels of a preset that its files do not say, one line each.

    Args:
        settings: The settings of a run.

    Raises:
        UserError: The backbone is unknown, or its preset is not on this disk.
    """
    preset = backbone_of(settings.backbone).preset
    return () if preset is None or settings.weights == "none" else preset.remarks


def batch_size(settings: TrainSettings) -> int:
    """Return the number of images of a batch, P x K, of resolved settings."""
    return resolved(settings.classes_per_batch) * resolved(settings.samples_per_class)


def memory_use(settings: TrainSettings) -> dict[str, float]:
    """Return when a cross-batch memory is used from and its weight, with defaults filled in.

    The memory is used after a tenth of the steps, but at most 1,000 of them, unless the settings
    say otherwise: before that, the network changes too fast for remembered embeddings to hold.

    Returns:
        ``memory_start`` in steps and ``memory_weight``.
    """
    start, weight = settings.memory_start, settings.memory_weight
    return {
        "memory_start": min(1000, settings.steps // 10) if start is None else start,
        "memory_weight": 1.0 if weight is None else weight,
    }


def held_out_count(classes: int, fraction: float) -> int:
    """Return the number of training classes that a validation split holds out.

    Args:
        classes: Number of training classes.
        fraction: Share of them to hold out, in (0, 1).

    Returns:
        At least 1.

    Raises:
        UserError: Fewer than two classes would be left to train on.
    """
    count = max(1, round(fraction * classes))
    if classes - count < 2:
        raise UserError(
            f"cannot hold out {count} of {classes} training classes: at least 2 must be left; "
            "lower --validation-fraction"
        )
    return count


def held_out_caveat(settings: TrainSettings, labels: np.ndarray) -> str | None:
    """Say what makes the figures during training the same for every network.

    Args:
        settings: Settings of the run.
        labels: (n,), class of each held-out item.

    Returns:
        A line for the user; None if there is nothing to say.

    Raises:
        UserError: These figures would choose the network.
    """
    if (why := label_caveat(labels)) is None:
        return None
    line = f"--eval-split {settings.eval_split}: {why}"
    if selects(settings):
        raise UserError(
            f"{line}, so no checkpoint is the best; hold out more classes, or drop "
            "--use-checkpoint best and --patience"
        )
    return line


def _training_classes(settings: TrainSettings, catalog: Catalog) -> int:
    classes = int(catalog.split("train")["label"].nunique())
    if settings.eval_split != "validation" or catalog.has_validation:
        return classes
    return classes - held_out_count(classes, settings.validation_fraction)


def _classes_per_batch(settings: TrainSettings, classes: int, dataset: str) -> dict[str, Any]:
    """Return P as a change of the settings, and the mark of a recipe whose P had to be lowered."""
    recommended = min(LOSSES[settings.loss].classes_per_batch, classes)
    wanted = settings.classes_per_batch
    if wanted is None or wanted <= classes:
        return {"classes_per_batch": wanted or recommended}
    if from_recipe(settings, "classes_per_batch"):
        return {"classes_per_batch": recommended, "scaled": True}
    raise UserError(
        f"--classes-per-batch {wanted}, but {dataset!r} has {classes} training classes: give at "
        f"most {classes}"
    )

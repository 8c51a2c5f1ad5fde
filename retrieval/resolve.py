"""Fill the settings left open with what the loss, the backbone and the data set recommend."""

from retrieval.datasets import DATASETS
from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError, unknown_option
from retrieval.losses import LOSSES
from retrieval.models import BACKBONES
from retrieval.settings import TrainSettings

UNTRAINED = "none"


def check_names(settings: TrainSettings) -> None:
    """Check the names of data set, loss and backbone before any work is done.

    Raises:
        UserError: An unknown name, with the closest valid one.
    """
    for what, given, registry in (
        ("data set", settings.dataset, DATASETS),
        ("loss", settings.loss, [*LOSSES, UNTRAINED]),
        ("backbone", settings.backbone, BACKBONES),
    ):
        if given not in registry:
            raise unknown_option(what, given, registry)


def resolve(settings: TrainSettings, catalog: Catalog) -> TrainSettings:
    """Return settings with every ``None`` replaced by its recommendation.

    A recommended P larger than the number of training classes is lowered to it; a P the user
    chose is not.

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
    if settings.flip is None:
        changes["flip"] = DATASETS[settings.dataset].mirror
    if settings.loss == UNTRAINED:
        return settings.with_(**changes, normalize=True, freeze_backbone=True)
    entry = LOSSES[settings.loss]
    classes = catalog.split("train")["label"].nunique()
    wanted = settings.classes_per_batch
    if wanted is not None and wanted > classes:
        raise UserError(
            f"--classes-per-batch {wanted}, but {catalog.name!r} has {classes} training "
            f"classes: give at most {classes}"
        )
    if settings.normalize is None:
        changes["normalize"] = entry.normalize
    changes["classes_per_batch"] = wanted or min(entry.classes_per_batch, classes)
    changes["samples_per_class"] = settings.samples_per_class or entry.samples_per_class
    return settings.with_(**changes)

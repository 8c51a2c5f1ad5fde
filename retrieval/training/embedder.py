"""The whole network of a run's checkpoint, from images to embeddings."""

from pathlib import Path

import keras

from retrieval.embedding.network import build_network, frozen_backbone, joined, untrained_network
from retrieval.errors import UserError
from retrieval.models.precision import mixed_precision
from retrieval.settings.schema import UNTRAINED, TrainSettings
from retrieval.training.checkpoints import kept_step, load_network, step_to_load


def load_whole_network(
    folder: Path, settings: TrainSettings, checkpoint: str | None = None, *, mixed: bool = False
) -> tuple[keras.Model, int | None]:
    """Build the whole network of a run, also if its backbone was frozen, and load a checkpoint.

    Args:
        folder: The run's folder.
        settings: The run's resolved settings.
        checkpoint: ``latest``, ``best`` or a step. Defaults to that of the settings.
        mixed: Whether to compute what was trained in mixed precision. Defaults to False.

    Returns:
        Images (B, H, W, 3) to embeddings (B, D), with the sub-models ``backbone`` and ``head``; and
        the step of the checkpoint, None for an untrained network.

    Raises:
        UserError: There is no such checkpoint, or it is damaged.
    """
    which = _which(folder, settings, checkpoint)
    if which is None:
        return untrained_network(settings), None
    checkpoints = folder / "checkpoints"
    backbone = frozen_backbone(settings) if settings.freeze_backbone else None
    with mixed_precision(mixed):
        width = None if backbone is None else int(backbone.output_shape[-1])
        network = build_network(settings, width)
    step = load_network(checkpoints, network, which)
    return (network if backbone is None else joined(backbone, network)), step


def chosen_step(folder: Path, settings: TrainSettings, checkpoint: str | None = None) -> int | None:
    """Return the step of the checkpoint that :func:`load_whole_network` loads; nothing is loaded.

    Args:
        folder: The run's folder.
        settings: The run's resolved settings.
        checkpoint: ``latest``, ``best`` or a step. Defaults to that of the settings.

    Returns:
        The step; None for an untrained network.

    Raises:
        UserError: There is no such checkpoint.
    """
    which = _which(folder, settings, checkpoint)
    return None if which is None else step_to_load(folder / "checkpoints", which)


def _which(folder: Path, settings: TrainSettings, checkpoint: str | None) -> str | None:
    """Return the checkpoint that is meant, as ``load_network`` takes it; None if untrained."""
    if settings.loss == UNTRAINED:
        if checkpoint is not None:
            raise UserError(f"{folder}: an untrained network has no checkpoint; drop --checkpoint")
        return None
    if checkpoint is None:
        return str(settings.use_checkpoint)
    return str(kept_step(folder / "checkpoints", checkpoint))

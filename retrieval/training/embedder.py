"""The network of a run's checkpoint, to embed any images with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from retrieval.embedding.embed import combine_views, embed_views, network_of_views
from retrieval.embedding.network import build_network, frozen_backbone, joined, untrained_network
from retrieval.errors import UserError
from retrieval.files import checksum
from retrieval.input_pipeline.test_time import parse_views, view_names
from retrieval.models.precision import mixed_precision
from retrieval.settings.schema import UNTRAINED, TrainSettings
from retrieval.training.checkpoints import WEIGHTS, kept_step, load_network, step_folder


@dataclass(frozen=True)
class Embedder:
    """A run's network, with the preprocessing, pooling and test-time views of the run.

    Attributes:
        network: Images (B, H, W, 3) to embeddings (B, D).
        settings: Resolved settings of the run.
        step: Step of the checkpoint; None for an untrained network.
        digest: Checksum of the checkpoint's weights; 0 for an untrained network.
    """

    network: keras.Model
    settings: TrainSettings
    step: int | None = None
    digest: int = 0

    @property
    def views(self) -> list[str]:
        """Names of the V test-time views; one without any."""
        return view_names(parse_views(self.settings.test_time))

    @property
    def width(self) -> int:
        """Dimension D of the embeddings."""
        return int(self.network.output_shape[-1])

    def embed_views(self, files: Sequence[str]) -> Iterator[np.ndarray]:
        """Yield the embeddings of the next b image files, (b, V, D), until all are embedded.

        Raises:
            UserError: An image cannot be read.
        """
        yield from embed_views(self.network, files, None, self.settings)

    def combine(self, views: np.ndarray) -> np.ndarray:
        """Return one embedding per image: (b, V, D) to (b, D)."""
        return combine_views(views, self.settings)


def load_embedder(folder: Path, settings: TrainSettings, checkpoint: str | None = None) -> Embedder:
    """Build a run's network, from images to embeddings, and load a checkpoint.

    Args:
        folder: The run's folder.
        settings: The run's resolved settings, with the test-time views that are wanted.
        checkpoint: ``latest``, ``best`` or a step. Defaults to that of the settings.

    Returns:
        The network and what belongs to it.

    Raises:
        UserError: There is no such checkpoint, or it is damaged.
    """
    network, step = load_whole_network(folder, settings, checkpoint, mixed=settings.mixed_precision)
    digest = 0
    if step is not None:
        digest = checksum([step_folder(folder / "checkpoints", step) / WEIGHTS])
    return Embedder(network_of_views(network, settings), settings, step, digest)


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
    if settings.loss == UNTRAINED:
        if checkpoint is not None:
            raise UserError(f"{folder}: an untrained network has no checkpoint; drop --checkpoint")
        return untrained_network(settings), None
    checkpoints = folder / "checkpoints"
    which: str = settings.use_checkpoint
    if checkpoint is not None:
        which = str(kept_step(checkpoints, checkpoint))
    backbone = frozen_backbone(settings) if settings.freeze_backbone else None
    with mixed_precision(mixed):
        width = None if backbone is None else int(backbone.output_shape[-1])
        network = build_network(settings, width)
    step = load_network(checkpoints, network, which)
    return (network if backbone is None else joined(backbone, network)), step

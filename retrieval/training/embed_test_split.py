"""Embed the test split of a run, with the network in memory or that of its checkpoint."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd

from retrieval.datasets.catalog import Catalog
from retrieval.embedding.embed import embed_features, embed_images, untrained_embeddings
from retrieval.embedding.features import backbone_features
from retrieval.embedding.network import build_network
from retrieval.models.precision import mixed_precision
from retrieval.settings.schema import UNTRAINED, TrainSettings
from retrieval.training.checkpoints import load_network


def embed_test_split(
    folder: Path,
    settings: TrainSettings,
    catalog: Catalog,
    network: keras.Model | None = None,
    *,
    progress: bool = True,
    rebuild: bool = False,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Embed every test item of a run's data set.

    Args:
        folder: The run folder, with ``checkpoints/``.
        settings: The run's resolved settings.
        catalog: The run's data set.
        network: The trained network, if it is still in memory. Defaults to None: it is built and
            its checkpoint is loaded.
        progress: Whether to show progress bars. Defaults to True.
        rebuild: Whether to do without a damaged index of the checkpoints. Defaults to False.

    Returns:
        Embeddings float32 (n, D), and the rows of the catalog that they belong to.
    """
    rows = catalog.split("test")
    if settings.loss == UNTRAINED:
        return untrained_embeddings(catalog, rows, settings, progress=progress), rows
    features = None
    if settings.freeze_backbone:
        features = backbone_features(catalog, settings, progress=progress)
    if network is None:
        with mixed_precision(settings.mixed_precision):
            network = build_network(settings, None if features is None else features.shape[1])
        load_network(folder / "checkpoints", network, settings.use_checkpoint, rebuild=rebuild)
    elif settings.use_checkpoint == "best":
        load_network(folder / "checkpoints", network, "best")
    if features is not None:
        return embed_features(network, features[rows.index]), rows
    return embed_images(network, catalog, rows, settings, progress=progress), rows

"""From a trained network to one embedding per item."""

from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from retrieval.datasets.catalog import Catalog, crop_boxes
from retrieval.embedding.features import backbone_features
from retrieval.embedding.network import untrained_network
from retrieval.input_pipeline.pipeline import eval_dataset, naming_unreadable_images
from retrieval.input_pipeline.test_time import (
    aggregate,
    parse_views,
    test_time_views,
    view_size,
    warn_of_resolution,
)
from retrieval.models.resolution import at_resolution
from retrieval.settings.schema import TrainSettings

BATCH = 64
MEANS = {"normalized": "normalized_mean", "plain": "mean"}  # setting -> augmentation.HOW


def embed_features(head: keras.Model, features: np.ndarray) -> np.ndarray:
    """Run a head over features (n, F) float32; returns (n, D) float32."""
    parts = [
        np.asarray(head(np.asarray(features[i : i + 4096]), training=False))
        for i in range(0, len(features), 4096)
    ]
    return np.concatenate(parts).astype(np.float32)


def embed_images(
    network: keras.Model,
    catalog: Catalog,
    rows: pd.DataFrame,
    settings: TrainSettings,
    *,
    progress: bool = True,
) -> np.ndarray:
    """Embed the images of some catalog rows, with the test-time views of the settings.

    Args:
        network: images (B, S, S, 3) -> embeddings (B, D).
        catalog: Where the rows come from.
        rows: Catalog rows, in the wanted order.
        settings: Resolved settings: sizes, ``test_time`` and ``test_time_mean``.
        progress: Show a progress bar.

    Returns:
        float32, (len(rows), D).
    """
    paths, boxes = catalog.absolute_paths(rows), crop_boxes(rows)
    return embed_files(network, paths, boxes, settings, progress=progress)


def embed_files(
    network: keras.Model,
    paths: Sequence[str],
    boxes: np.ndarray | None,
    settings: TrainSettings,
    *,
    progress: bool = True,
) -> np.ndarray:
    """Embed image files as :func:`embed_images` embeds catalog rows.

    Args:
        network: images (B, S, S, 3) -> embeddings (B, D).
        paths: Image files.
        boxes: (len(paths), 4) crops x, y, width, height in pixels; None: whole images.
        settings: Resolved settings: sizes, ``test_time`` and ``test_time_mean``.
        progress: Show a progress bar.

    Returns:
        float32, (len(paths), D).
    """
    views = parse_views(settings.test_time)
    size = view_size(views, settings.image_size, settings.pre_crop)
    if size != settings.image_size:
        warn_of_resolution(settings.image_size, size)
        network = at_resolution(network, size)
    if network.distribute_strategy.num_replicas_in_sync > 1:
        # Made within a strategy, it would embed every batch once per device: same weights, none.
        network = keras.Model(network.inputs, network.outputs[0], name=network.name)
    loaded = (settings.pre_crop or size) if views else size
    batches = eval_dataset(
        paths,
        size=loaded,
        pre_crop=None if views else settings.pre_crop,
        batch_size=BATCH,
        boxes=boxes,
    )
    predict = keras.Model.predict_on_batch
    parts, mean = [], MEANS[settings.test_time_mean]
    bar = tqdm(total=len(paths), desc="embedding", unit="img", disable=not progress, leave=False)
    with naming_unreadable_images(paths), bar:
        for images in batches:
            parts.append(_embed_batch(network, predict, images, views, size, mean))
            bar.update(len(images))
    return np.concatenate(parts).astype(np.float32)


def _embed_batch(
    network: keras.Model,
    predict: Callable,
    images: Iterable,
    views: tuple[str, ...],
    size: int,
    mean: str,
) -> np.ndarray:
    if not views:
        return predict(network, images)
    stacked = test_time_views(images, views, size)
    # One view at a time, so that views cost time and no memory.
    embedded = [predict(network, stacked[:, view]) for view in range(stacked.shape[1])]
    return aggregate(np.stack(embedded, axis=1), mean)


def untrained_embeddings(
    catalog: Catalog, rows: pd.DataFrame, settings: TrainSettings, *, progress: bool = True
) -> np.ndarray:
    """Return the backbone's own pooled features, L2-normalized: the figure training must beat.

    Args:
        catalog: Where the rows come from.
        rows: Catalog rows, in the wanted order.
        settings: Resolved settings; with test-time views, the features of every view are
            normalized and then averaged, as a trained run's embeddings are.
        progress: Show a progress bar.

    Returns:
        float32, (len(rows), F), unit length unless they are a plain mean of views.
    """
    if settings.test_time != "none":
        return embed_images(untrained_network(settings), catalog, rows, settings, progress=progress)
    features = backbone_features(catalog, settings, progress=progress)[rows.index]
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)

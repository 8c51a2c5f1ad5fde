"""Embed images: one vector per image, with test-time views if the settings ask for them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from retrieval.datasets.catalog import Catalog, crop_boxes
from retrieval.embedding.features import backbone_features
from retrieval.embedding.network import untrained_network
from retrieval.input_pipeline.pipeline import (
    eval_dataset,
    eval_pictures,
    naming_unreadable_images,
)
from retrieval.input_pipeline.test_time import (
    aggregate,
    cut_views,
    parse_views,
    view_size,
    warn_of_resolution,
)
from retrieval.models.resolution import at_resolution
from retrieval.progress import progress_bar
from retrieval.settings.resolve import input_size
from retrieval.settings.schema import TrainSettings
from retrieval.validation import ImageSize

IMAGE_BATCH = 64
FEATURE_BATCH = 4096


def embed_images(
    network: keras.Model,
    catalog: Catalog,
    rows: pd.DataFrame,
    settings: TrainSettings,
    *,
    progress: bool = True,
) -> np.ndarray:
    """Embed the images of some rows of a catalog.

    Args:
        network: Network: images (B, H, W, 3) to embeddings (B, D).
        catalog: Data set whose images are embedded.
        rows: Rows of the catalog, in the wanted order.
        settings: Resolved settings, for the image sizes and the test-time views.
        progress: Whether to show a progress bar. Defaults to True.

    Returns:
        float32, (len(rows), D).

    Raises:
        UserError: An image cannot be read, or its size leaves no room for the views.
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
    """Embed image files.

    Args:
        network: Network: images (B, H, W, 3) to embeddings (B, D).
        paths: Paths of the image files, in the order of the rows to return.
        boxes: (len(paths), 4), crops x, y, width, height in pixels; None for whole images.
        settings: Resolved settings, for the image sizes and the test-time views.
        progress: Whether to show a progress bar. Defaults to True.

    Returns:
        float32, (len(paths), D).

    Raises:
        UserError: An image cannot be read, or its size leaves no room for the views.
    """
    network, parts = network_of_views(network, settings), []
    with progress_bar("embedding", len(paths), show=progress) as advance:
        for views in embed_views(network, paths, boxes, settings):
            parts.append(combine_views(views, settings))
            advance(len(views))
    return np.concatenate(parts).astype(np.float32)


def network_of_views(network: keras.Model, settings: TrainSettings) -> keras.Model:
    """Return a network that takes the test-time views of a run, and is for one device.

    Args:
        network: Network: images (B, H, W, 3) to embeddings (B, D).
        settings: Resolved settings, for the image sizes and the test-time views.

    Returns:
        A network with the same weights.

    Raises:
        UserError: The network takes images of no other size.
    """
    trained_size = input_size(settings)
    size = view_size(parse_views(settings.test_time), trained_size, settings.pre_crop)
    if size != trained_size:
        warn_of_resolution(trained_size, size)
        network = at_resolution(network, size)
    if network.distribute_strategy.num_replicas_in_sync > 1:
        # A model made in a strategy's scope would embed every batch once per device. This one has
        # the same weights and no strategy.
        network = keras.Model(network.inputs, network.outputs[0], name=network.name)
    return network


def embed_views(
    network: keras.Model,
    paths: Sequence[str],
    boxes: np.ndarray | None,
    settings: TrainSettings,
    batch_size: int = IMAGE_BATCH,
) -> Iterator[np.ndarray]:
    """Embed image files batch by batch, and each test-time view for itself.

    Args:
        network: See :func:`network_of_views`.
        paths: Paths of the image files.
        boxes: (len(paths), 4), crops x, y, width, height in pixels; None for whole images.
        settings: Resolved settings, for the image sizes and the test-time views.
        batch_size: Images per batch. Defaults to 64.

    Yields:
        (b, V, D), the next b images in order. Without test-time views, V is 1.

    Raises:
        UserError: An image cannot be read, or its size leaves no room for the views.
    """
    size, pre_crop = loaded_sizes(settings)
    batches = eval_dataset(paths, size=size, pre_crop=pre_crop, batch_size=batch_size, boxes=boxes)
    with naming_unreadable_images(paths):
        for images in batches:
            yield embed_loaded(network, images, settings)


def embed_pictures(
    network: keras.Model,
    pictures: Sequence[bytes | np.ndarray],
    settings: TrainSettings,
    pool: Executor,
) -> np.ndarray:
    """Embed one batch of images in memory, and each test-time view for itself.

    Args:
        network: See :func:`network_of_views`.
        pictures: See :func:`retrieval.input_pipeline.pipeline.eval_pictures`.
        settings: Resolved settings, for the image sizes and the test-time views.
        pool: Runs the decoding.

    Returns:
        (b, V, D), as :func:`embed_views` yields.

    Raises:
        UserError: Bytes that cannot be decoded, or a size that leaves no room for the views.
    """
    size, pre_crop = loaded_sizes(settings)
    images = eval_pictures(pictures, size=size, pre_crop=pre_crop, pool=pool)
    return embed_loaded(network, images, settings)


def loaded_sizes(settings: TrainSettings) -> tuple[ImageSize, ImageSize | None]:
    """Return the size of loaded images, and the one they have before the center is cropped.

    Args:
        settings: Resolved settings, for the image sizes and the test-time views.
    """
    views = parse_views(settings.test_time)
    size = view_size(views, input_size(settings), settings.pre_crop)
    return (settings.pre_crop or size, None) if views else (size, settings.pre_crop)


def embed_loaded(
    network: keras.Model, images: tf.Tensor | np.ndarray, settings: TrainSettings
) -> np.ndarray:
    """Embed images of the size of :func:`loaded_sizes`, and each test-time view for itself.

    Args:
        network: See :func:`network_of_views`.
        images: (b, H, W, 3).
        settings: Resolved settings, for the image sizes and the test-time views.

    Returns:
        (b, V, D).
    """
    views = parse_views(settings.test_time)
    if not views:
        return np.stack([network.predict_on_batch(images)], axis=1)
    size = view_size(views, input_size(settings), settings.pre_crop)
    cut = cut_views(np.asarray(images), views, size)
    # One view at a time, so that views cost time but no memory.
    return np.stack([network.predict_on_batch(cut[:, i]) for i in range(cut.shape[1])], axis=1)


def combine_views(views: np.ndarray, settings: TrainSettings) -> np.ndarray:
    """Return one embedding per image: (b, V, D) of :func:`embed_views` to (b, D).

    Without test-time views, an embedding stays as the network gives it.
    """
    if not parse_views(settings.test_time):
        only: np.ndarray = views[:, 0]
        return only
    return aggregate(views, settings.test_time_mean)


def embed_features(head: keras.Model, features: np.ndarray) -> np.ndarray:
    """Embed features of a frozen backbone with a head.

    Args:
        head: Network: features (B, F) to embeddings (B, D).
        features: float32, (n, F), features of the frozen backbone.

    Returns:
        float32, (n, D).
    """
    parts = [
        np.asarray(head(np.asarray(features[start : start + FEATURE_BATCH]), training=False))
        for start in range(0, len(features), FEATURE_BATCH)
    ]
    return np.concatenate(parts).astype(np.float32)


def untrained_embeddings(
    catalog: Catalog, rows: pd.DataFrame, settings: TrainSettings, *, progress: bool = True
) -> np.ndarray:
    """Embed images with the untrained network: the L2-normalized features of the backbone.

    This is the baseline that a training must beat.

    Args:
        catalog: Data set whose images are embedded.
        rows: Rows of the catalog, in the wanted order.
        settings: Resolved settings. With test-time views, the features of every view are
            normalized and then averaged, as the embeddings of a trained network are.
        progress: Whether to show a progress bar. Defaults to True.

    Returns:
        float32, (len(rows), F), of unit length except for plain means over views.
    """
    if settings.test_time != "none":
        return embed_images(untrained_network(settings), catalog, rows, settings, progress=progress)
    features = backbone_features(catalog, settings, progress=progress)[rows.index]
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)

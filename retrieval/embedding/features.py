"""Features of a frozen backbone for a whole data set: computed once and cached on disk."""

import contextlib
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm.auto import tqdm

from retrieval.datasets.catalog import Catalog, crop_boxes
from retrieval.datasets.checks import ORIENTATION
from retrieval.embedding.network import frozen_backbone
from retrieval.files import cache_folder, fingerprint, write_json
from retrieval.input_pipeline.pipeline import eval_dataset, naming_unreadable_images
from retrieval.settings.resolve import resolved
from retrieval.settings.schema import TrainSettings

BATCH = 64
SAVE_EVERY = 20  # batches
# Increase when the input pipeline gives other pixels for the same file, so that old caches expire.
PIXELS = 2


def backbone_features(
    catalog: Catalog, settings: TrainSettings, *, progress: bool = True
) -> np.ndarray:
    """Return the pooled backbone features of every item of a data set.

    They are read from the cache, or computed and cached. An interrupted extraction continues where
    it stopped.

    Args:
        catalog: Data set whose images the features are of.
        settings: Resolved settings, for backbone, weights, pooling and image sizes.
        progress: Whether to show a progress bar. Defaults to True.

    Returns:
        Read-only memory map, float32, (len(catalog), F).

    Raises:
        UserError: An image cannot be read.
    """
    key = features_key(catalog, settings)
    path = cache_folder("features") / f"{catalog.name}-{settings.backbone}-{key}.npy"
    if not path.exists():
        backbone = frozen_backbone(settings)
        batches = eval_dataset(
            catalog.absolute_paths(),
            size=resolved(settings.image_size),
            pre_crop=settings.pre_crop,
            batch_size=BATCH,
            boxes=crop_boxes(catalog.items),
        )
        with naming_unreadable_images(catalog.absolute_paths()):
            _extract(path, backbone, batches, len(catalog), progress=progress)
    return np.load(path, mmap_mode="r")


def features_key(catalog: Catalog, settings: TrainSettings) -> str:
    """Return the cache key, which changes with the files, the network, its weights and its input.

    Only about 500 files of a large data set are checked for changes.
    """
    paths = catalog.items["path"].tolist()
    sample = [catalog.root / path for path in paths[:: max(1, len(paths) // 500)]]
    weights: object = settings.weights
    if settings.weights not in ("imagenet", "none"):
        weights = [settings.weights, _size_and_time(Path(settings.weights))]
    return fingerprint(
        PIXELS,
        str(catalog.root.resolve()),
        paths,
        [_size_and_time(path) for path in sample],
        settings.backbone,
        weights,
        settings.pooling,
        settings.image_size,
        settings.pre_crop,
        settings.seed if settings.weights == "none" else None,
        crop_boxes(catalog.items) is not None,
        *_orientations(sample),
    )


def _orientations(paths: list[Path]) -> list[int]:
    """Return the EXIF orientations of rotated photographs, which old caches hold unrotated."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError, ValueError, SyntaxError), Image.open(path) as image:
            if "exif" in image.info:
                found.append(int(image.getexif().get(ORIENTATION, 1)))
    return [number for number in found if 1 < number <= 8]


def _size_and_time(path: Path) -> list[int]:
    stat = path.stat() if path.exists() else None
    return [stat.st_size, int(stat.st_mtime)] if stat else []


def _extract(
    path: Path, backbone: keras.Model, batches: tf.data.Dataset, n: int, *, progress: bool
) -> None:
    """Write the features of n images to a file, from where an earlier extraction stopped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, mark = path.with_suffix(".partial.npy"), path.with_suffix(".partial.json")
    done = json.loads(mark.read_text())["rows"] if mark.exists() and partial.exists() else 0
    width = int(backbone.output_shape[-1])
    out = (
        np.lib.format.open_memmap(partial, "r+")
        if done
        else np.lib.format.open_memmap(partial, "w+", np.float32, (n, width))
    )
    with tqdm(
        total=n, initial=done, desc="backbone features", unit="img", disable=not progress
    ) as bar:
        first = done // BATCH
        for number, images in enumerate(batches.skip(first), start=first):
            rows = slice(number * BATCH, number * BATCH + len(images))
            out[rows] = backbone.predict_on_batch(images)
            bar.update(len(images))
            if (number + 1) % SAVE_EVERY == 0:
                out.flush()
                write_json(mark, {"rows": rows.stop})
    out.flush()
    del out
    partial.replace(path)
    mark.unlink(missing_ok=True)

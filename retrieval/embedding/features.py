"""Frozen backbones: features of a whole data set, computed once and kept on disk."""

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from retrieval.datasets.catalog import Catalog, crop_boxes
from retrieval.datasets.checks import ORIENTATION
from retrieval.embedding.network import frozen_backbone
from retrieval.files import cache_folder, fingerprint, write_json
from retrieval.input_pipeline.pipeline import eval_dataset, naming_unreadable_images
from retrieval.settings.schema import TrainSettings

BATCH = 64
PIXELS = 2  # raise when the input pipeline gives other pixels for the same file: old caches expire


def backbone_features(
    catalog: Catalog, settings: TrainSettings, *, progress: bool = True
) -> np.ndarray:
    """Return pooled backbone features of every catalog item, from the cache if it has them.

    An interrupted extraction continues where it stopped.

    Args:
        catalog: The data set.
        settings: Resolved settings; backbone, weights, pooling, sizes and data set matter.
        progress: Show a progress bar.

    Returns:
        Read-only memory map, float32, (len(catalog), F).
    """
    key = features_key(catalog, settings)
    path = cache_folder("features") / f"{catalog.name}-{settings.backbone}-{key}.npy"
    if not path.exists():
        backbone = frozen_backbone(settings)
        batches = eval_dataset(
            catalog.absolute_paths(),
            size=settings.image_size,
            pre_crop=settings.pre_crop,
            batch_size=BATCH,
            boxes=crop_boxes(catalog.items),
        )
        with naming_unreadable_images(catalog.absolute_paths()):
            _extract(path, backbone, batches, len(catalog), progress)
    return np.load(path, mmap_mode="r")


def features_key(catalog: Catalog, settings: TrainSettings) -> str:
    """Return the cache key: changes with the files, the network, its weights and its input."""
    paths = catalog.items["path"].tolist()
    some = [catalog.root / p for p in paths[:: max(1, len(paths) // 500)]]
    stamps = [_stamp(path) for path in some]
    weights = settings.weights
    if weights not in ("imagenet", "none"):
        weights = [weights, _stamp(Path(weights))]
    seed = settings.seed if settings.weights == "none" else None
    return fingerprint(
        PIXELS,
        str(catalog.root.resolve()),
        paths,
        stamps,
        settings.backbone,
        weights,
        settings.pooling,
        settings.image_size,
        settings.pre_crop,
        seed,
        crop_boxes(catalog.items) is not None,
        *_orientations(some),
    )


def _orientations(paths: list[Path]) -> list[int]:
    """Return EXIF orientations other than upright: such photographs once were left unturned."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError, ValueError, SyntaxError), Image.open(path) as image:
            if "exif" in image.info:
                found.append(int(image.getexif().get(ORIENTATION, 1)))
    return [number for number in found if 1 < number <= 8]


def _stamp(path: Path) -> list:
    stat = path.stat() if path.exists() else None
    return [stat.st_size, int(stat.st_mtime)] if stat else []


def _extract(path: Path, backbone: keras.Model, batches: Iterable, n: int, progress: bool) -> None:
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
        for number, images in enumerate(batches.skip(done // BATCH), start=done // BATCH):
            rows = slice(number * BATCH, number * BATCH + len(images))
            out[rows] = backbone.predict_on_batch(images)
            bar.update(len(images))
            if number % 20 == 19:
                out.flush()
                write_json(mark, {"rows": rows.stop})
    out.flush()
    del out
    partial.replace(path)
    mark.unlink(missing_ok=True)

"""Features of a frozen backbone for a whole data set: computed once and cached on disk.

A cache entry is a folder with ``features.npy`` and ``complete.json``, which holds the checksum of
the features. It is published as a whole, and checked whenever it is read.
"""

import contextlib
import json
import os
import re
import shutil
import zlib
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm.auto import tqdm

from retrieval.datasets.catalog import Catalog, crop_boxes
from retrieval.datasets.image_health import ORIENTATION
from retrieval.embedding.network import frozen_backbone
from retrieval.errors import UserError
from retrieval.files import (
    atomic_folder,
    build_once,
    cache_folder,
    check_space,
    checksum,
    file_stamps,
    fingerprint,
    remove,
    write_json,
)
from retrieval.input_pipeline.pipeline import eval_dataset, naming_unreadable_images
from retrieval.models import backbone_of
from retrieval.progress import progress_bar
from retrieval.settings.resolve import input_size
from retrieval.settings.schema import TrainSettings

BATCH = 64
SAVE_EVERY = 20  # batches
# Increase when the input pipeline gives other pixels for the same file, so that old caches expire.
PIXELS = 2
FEATURES, COMPLETE, PROGRESS = "features.npy", "complete.json", "progress.json"


def backbone_features(
    catalog: Catalog, settings: TrainSettings, *, progress: bool = True
) -> np.ndarray:
    """Return the pooled backbone features of every item of a data set.

    They are read from the cache, or computed and cached. An interrupted extraction continues where
    it stopped. While another process computes the same features, this one waits for it.

    Args:
        catalog: Data set whose images the features are of.
        settings: Resolved settings, for backbone, weights, pooling and image sizes.
        progress: Whether to show a progress bar. Defaults to True.

    Returns:
        Read-only memory map, float32, (len(catalog), F).

    Raises:
        UserError: An image cannot be read, a feature is not finite, or the cache cannot be written.
    """
    key = features_key(catalog, settings)
    folder = features_folder(catalog, settings, key)

    def build() -> None:
        backbone = frozen_backbone(settings)
        batches = eval_dataset(
            catalog.absolute_paths(),
            size=input_size(settings),
            pre_crop=settings.pre_crop,
            batch_size=BATCH,
            boxes=crop_boxes(catalog.items),
        )
        with naming_unreadable_images(catalog.absolute_paths()):
            _extract(folder, backbone, batches, catalog, progress=progress)
        if features_key(catalog, settings) != key:
            remove(folder)
            raise UserError(
                f"{catalog.root}: images changed while their features were computed; try again"
            )

    def on_wait() -> None:
        if progress:
            tqdm.write(f"another process computes the same backbone features; waiting for {folder}")

    build_once(folder, build, lambda: is_complete(folder, len(catalog)), on_wait=on_wait)
    remove(partial_path(folder))  # of a process that was killed as soon as it had published
    features: np.ndarray = np.load(folder / FEATURES, mmap_mode="r")
    return features


def features_folder(catalog: Catalog, settings: TrainSettings, key: str) -> Path:
    """Return the folder of a cache entry; see :func:`features_key`."""
    backbone = re.sub(r"\W+", "_", settings.backbone)  # of a preset, perhaps a path
    return cache_folder("features") / f"{catalog.name}-{backbone}-{key}"


def has_features(catalog: Catalog, settings: TrainSettings) -> bool:
    """Tell whether :func:`backbone_features` would find the features in the cache.

    Args:
        catalog: Data set whose images the features are of.
        settings: Resolved settings, for backbone, weights, pooling and image sizes.
    """
    folder = features_folder(catalog, settings, features_key(catalog, settings))
    return is_complete(folder, len(catalog))


def partial_path(folder: Path) -> Path:
    """Return the hidden sibling of a cached entry in which its features are computed."""
    return folder.with_name(f".{folder.name}.partial")


def features_key(catalog: Catalog, settings: TrainSettings) -> str:
    """Return the cache key, which changes with every file, the network, its weights and its input.

    About 500 files are opened, to see whether photographs are rotated by their EXIF data.
    """
    paths = catalog.items["path"].tolist()
    files = catalog.absolute_paths()
    weights: object = settings.weights
    if settings.weights not in ("imagenet", "none"):
        weights = [settings.weights, *file_stamps([settings.weights])]
    preset = backbone_of(settings.backbone).preset
    if preset is not None and settings.weights == "imagenet":
        weights = ["imagenet", *file_stamps(preset.files())]
    return fingerprint(
        PIXELS,
        str(catalog.root.resolve()),
        paths,
        file_stamps(files),
        settings.backbone,
        weights,
        settings.pooling,
        settings.image_size,
        settings.pre_crop,
        settings.seed if settings.weights == "none" else None,
        crop_boxes(catalog.items) is not None,
        *_orientations(files[:: max(1, len(files) // 500)]),
    )


def _orientations(paths: list[str]) -> list[int]:
    """Return the EXIF orientations of rotated photographs, which old caches hold unrotated."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError, ValueError, SyntaxError), Image.open(path) as image:
            if "exif" in image.info:
                found.append(int(image.getexif().get(ORIENTATION, 1)))
    return [number for number in found if 1 < number <= 8]


def is_complete(folder: Path, n: int) -> bool:
    """Tell whether a cache entry holds the features of n items, as they were written."""
    try:
        recorded = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))
        shape = np.load(folder / FEATURES, mmap_mode="r").shape
        return bool(
            shape == (n, recorded["width"]) and checksum([folder / FEATURES]) == recorded["crc32"]
        )
    except Exception:  # a damaged file may raise anything
        return False


def _extract(
    folder: Path,
    backbone: keras.Model,
    batches: tf.data.Dataset,
    catalog: Catalog,
    *,
    progress: bool,
) -> None:
    """Write the features of all images of a data set, from where an earlier extraction stopped."""
    partial, n = partial_path(folder), len(catalog)
    partial.mkdir(parents=True, exist_ok=True)
    done, crc = _done(partial)
    width = int(backbone.output_shape[-1])
    check_space(partial, (n - done) * width * 4)
    out = (
        np.lib.format.open_memmap(partial / FEATURES, "r+")
        if done
        else np.lib.format.open_memmap(partial / FEATURES, "w+", np.float32, (n, width))
    )
    _reserve(partial / FEATURES)
    with progress_bar("backbone features", n, done=done, show=progress, leave=True) as advance:
        first = done // BATCH
        for number, images in enumerate(batches.skip(first), start=first):
            features = np.ascontiguousarray(backbone.predict_on_batch(images), np.float32)
            _check_finite(features, catalog, done)
            out[done : done + len(features)] = features
            done, crc = done + len(features), zlib.crc32(features.data, crc)
            advance(len(features))
            if (number + 1) % SAVE_EVERY == 0:
                out.flush()
                write_json(partial / PROGRESS, {"rows": done, "crc32": crc})
    out.flush()
    if done != n or zlib.crc32(out.data) != crc:
        remove(partial)
        raise UserError(f"{partial}: other features are on the disk than were written; try again")
    del out
    with atomic_folder(folder) as complete:
        shutil.move(partial / FEATURES, complete / FEATURES)
        recorded = {"width": width, "crc32": checksum([complete / FEATURES])}
        write_json(complete / COMPLETE, recorded)
    remove(partial)


def _reserve(path: Path) -> None:
    """Give a new file all its space: to write to a map of it on a full disk ends the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _done(partial: Path) -> tuple[int, int]:
    """Return how many rows an earlier extraction wrote, and their CRC-32; 0 if they are damaged."""
    try:
        recorded = json.loads((partial / PROGRESS).read_text(encoding="utf-8"))
        rows, crc = int(recorded["rows"]), int(recorded["crc32"])
        written = np.load(partial / FEATURES, mmap_mode="r")[:rows]
        return (rows, crc) if len(written) == rows and zlib.crc32(written.data) == crc else (0, 0)
    except Exception:  # a damaged file may raise anything
        return 0, 0


def _check_finite(features: np.ndarray, catalog: Catalog, first: int) -> None:
    bad = ~np.isfinite(features).all(axis=1)
    if bad.any():
        path = catalog.items["path"].iloc[first + int(np.argmax(bad))]
        raise UserError(
            f"{catalog.root / path}: its backbone features are not finite: use other --weights"
        )

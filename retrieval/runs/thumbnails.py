"""128 px WebP thumbnails of a run's items, packed into one file and shared between runs."""

import io
import os
import shutil
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from retrieval.files import atomic_folder, cache_folder, fingerprint

SIZE = 128


def encode_thumbnail(path: str | Path, box: Sequence[float] | None = None) -> bytes:
    """Return a WebP thumbnail of an image file.

    Args:
        path: The image file, of any format that Pillow reads.
        box: Region to crop to first: x, y, width, height in pixels. Defaults to the whole image.

    Returns:
        The encoded thumbnail, whose longer side is 128 px; empty if the image cannot be read.
    """
    try:
        with Image.open(path) as file:
            image: Image.Image = file
            if box is None:
                file.draft("RGB", (SIZE, SIZE))
            else:
                x, y, w, h = box
                image = file.crop((round(x), round(y), round(x + w), round(y + h)))
            image = ImageOps.exif_transpose(image.convert("RGB"))
            image.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            image.save(buffer, "WEBP", quality=80, method=2)
            return buffer.getvalue()
    except (OSError, ValueError, SyntaxError):
        return b""


def write_thumbnails(
    folder: Path, paths: list[str], boxes: np.ndarray | None = None, *, progress: bool = True
) -> int:
    """Write ``folder/images.bin`` and ``folder/offsets.npy``, or link them from the cache.

    Args:
        folder: The run's ``thumbnails`` folder.
        paths: Absolute image paths, in item order.
        boxes: float, (n, 4), regions to crop to: x, y, width, height in pixels. Defaults to whole
            images.
        progress: Whether to show a progress bar. Defaults to True.

    Returns:
        Number of images that could not be read. They get an empty thumbnail.
    """
    stamps = [
        int(Path(p).stat().st_mtime) if i % 97 == 0 and Path(p).exists() else 0
        for i, p in enumerate(paths)
    ]
    crops: list[Sequence[float] | None] = [None] * len(paths) if boxes is None else boxes.tolist()
    key = (paths, stamps, SIZE) if boxes is None else (paths, stamps, SIZE, crops)
    cached = cache_folder("thumbnails") / fingerprint(*key)
    if not (cached / "offsets.npy").exists():
        _pack(cached, paths, crops, progress)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("images.bin", "offsets.npy"):
        _link(cached / name, folder / name)
    unreadable = int((np.diff(np.load(cached / "offsets.npy")) == 0).sum())
    if unreadable:
        warnings.warn(
            f"{unreadable} of {len(paths)} images cannot be read; no thumbnail for them",
            stacklevel=2,
        )
    return unreadable


def _pack(
    target: Path, paths: list[str], crops: Sequence[Sequence[float] | None], progress: bool
) -> None:
    offsets = np.zeros(len(paths) + 1, np.int64)
    # Pillow decodes and encodes without holding the interpreter lock, so threads are enough.
    with atomic_folder(target) as temporary, ThreadPoolExecutor(os.cpu_count()) as pool:
        with (temporary / "images.bin").open("wb") as out:
            images = pool.map(encode_thumbnail, paths, crops)
            bar = tqdm(images, "thumbnails", len(paths), disable=not progress, leave=False)
            for i, image in enumerate(bar):
                out.write(image)
                offsets[i + 1] = offsets[i] + len(image)
            if offsets[-1] == 0:
                out.write(b"\0")  # an empty file cannot be memory-mapped
        np.save(temporary / "offsets.npy", offsets)
        shutil.rmtree(target, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)

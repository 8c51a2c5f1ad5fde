"""128 px WebP thumbnails of a run's items, packed into one file and shared between runs."""

import io
import os
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from retrieval.datasets.image_limits import size_problem
from retrieval.errors import UserError
from retrieval.files import (
    TEMPORARY,
    atomic_folder,
    build_once,
    cache_folder,
    file_stamps,
    fingerprint,
    link_or_copy,
)
from retrieval.progress import progress_bar

SIZE = 128
VERSION = 2  # raise it when the same image gives another thumbnail
IMAGES, OFFSETS = "images.bin", "offsets.npy"


def encode_thumbnail(path: str | Path, box: Sequence[float] | None = None) -> bytes:
    """Return a WebP thumbnail of an image file.

    Args:
        path: The image file, of any format that Pillow reads.
        box: Region to crop to first: x, y, width, height in pixels. Defaults to the whole image.

    Returns:
        The encoded thumbnail, whose longer side is 128 px; empty if the image cannot be read, or
        has too many pixels, see :mod:`retrieval.datasets.image_limits`.
    """
    if not os.path.isfile(path):  # to open a named pipe would wait for ever
        return b""
    try:
        with Image.open(path) as file:
            if size_problem(file):
                return b""
            image: Image.Image = file
            if box is None:
                file.draft("RGB", (SIZE, SIZE))
            else:
                x, y, w, h = box
                image = file.crop((round(x), round(y), round(x + w), round(y + h)))
            image = ImageOps.exif_transpose(eight_bits(image).convert("RGB"))
            image.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            image.save(buffer, "WEBP", quality=80, method=2)
            return buffer.getvalue()
    except Exception:  # Pillow raises anything for a damaged file
        return b""


def eight_bits(image: Image.Image) -> Image.Image:
    """Return a gray image of 16 bits with 8: Pillow cuts off at 255 instead of scaling."""
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    if image.mode != "I" or values.max(initial=0) > 255:
        values = values >> 8
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Pack:
    """The thumbnails of n items in one file.

    Attributes:
        offsets: int64, (n + 1,): item i has the bytes ``offsets[i]:offsets[i + 1]``, none if its
            image could not be read.
        data: uint8, the encoded thumbnails one after the other.
    """

    offsets: np.ndarray
    data: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def image(self, row: int) -> bytes:
        """Return the encoded thumbnail of an item; empty if it has none."""
        return self.data[int(self.offsets[row]) : int(self.offsets[row + 1])].tobytes()


def read_pack(folder: Path) -> Pack | None:
    """Return the thumbnails in a folder as read-only memory maps; None if they are not whole."""
    try:
        offsets = np.load(folder / OFFSETS, mmap_mode="r")
        data = np.memmap(folder / IMAGES, np.uint8, mode="r")
        whole = (
            offsets.ndim == 1
            and offsets[0] == 0
            and bool((np.diff(offsets) >= 0).all())
            and max(1, int(offsets[-1])) == len(data)
        )
    except Exception:  # a damaged file may raise anything
        return None
    return Pack(offsets, data) if whole else None


def write_thumbnails(
    folder: Path,
    paths: Sequence[str | None],
    boxes: np.ndarray | None = None,
    *,
    progress: bool = True,
) -> np.ndarray:
    """Write ``folder/images.bin`` and ``folder/offsets.npy``, or link them from the cache.

    An item whose image is missing keeps the thumbnail that the folder has of it: a run may be
    evaluated again on a machine without the data set.

    Args:
        folder: The run's ``thumbnails`` folder.
        paths: Absolute image path of each item; None for one that may have no thumbnail, see
            :func:`retrieval.datasets.containment.contained_paths`.
        boxes: float, (n, 4), regions to crop to: x, y, width, height in pixels. Defaults to whole
            images.
        progress: Whether to show a progress bar. Defaults to True.

    Returns:
        int64, rows of the items without a thumbnail: their image could not be read.
    """
    stamps = file_stamps([path or "" for path in paths])
    crops: list[Sequence[float] | None] = [None] * len(paths) if boxes is None else boxes.tolist()
    before = read_pack(folder)
    if before is not None and len(before) == len(paths) and (-1, 0) in stamps:
        kept = [
            before.image(row) if path is not None and stamp == (-1, 0) else None
            for row, (path, stamp) in enumerate(zip(paths, stamps, strict=True))
        ]
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder.parent) as packed:
            _pack(Path(packed), paths, crops, progress, kept)
            pack = _publish(Path(packed), folder)
    else:
        key = (VERSION, paths, stamps, SIZE, *([] if boxes is None else [crops]))
        cached = cache_folder("thumbnails") / fingerprint(*key)

        def build() -> None:
            with atomic_folder(cached) as packed:
                _pack(packed, paths, crops, progress)

        def is_valid() -> bool:
            found = read_pack(cached)
            return found is not None and len(found) == len(paths)

        build_once(cached, build, is_valid)
        pack = _publish(cached, folder)
    return np.flatnonzero(np.diff(pack.offsets) == 0)


def write_encoded(folder: Path, images: Iterable[bytes]) -> None:
    """Write thumbnails that are there already, e.g. those of another run.

    Args:
        folder: The run's ``thumbnails`` folder, which must not be there.
        images: The encoded thumbnail of each item; empty for one without.
    """
    offsets = [0]
    folder.mkdir(parents=True)
    with (folder / IMAGES).open("wb") as out:
        for image in images:
            out.write(image)
            offsets.append(offsets[-1] + len(image))
        if not offsets[-1]:
            out.write(b"\0")  # an empty file cannot be memory-mapped
    np.save(folder / OFFSETS, np.array(offsets, np.int64))


def _publish(packed: Path, folder: Path) -> Pack:
    """Link the two files of a pack into a run's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (IMAGES, OFFSETS):
        link_or_copy(packed / name, folder / name)
    pack = read_pack(folder)
    if pack is None:
        raise UserError(f"{folder}: damaged as soon as it was written: check this disk")
    return pack


def _pack(
    folder: Path,
    paths: Sequence[str | None],
    crops: Sequence[Sequence[float] | None],
    progress: bool,
    kept: Sequence[bytes | None] | None = None,
) -> None:
    """Encode thumbnails into a folder, except for those that are kept."""
    offsets = np.zeros(len(paths) + 1, np.int64)

    def encoded(path: str | None, crop: Sequence[float] | None, old: bytes | None) -> bytes:
        if old is not None:
            return old
        return b"" if path is None else encode_thumbnail(path, crop)

    # Pillow decodes and encodes without holding the interpreter lock, so threads are enough.
    with (
        warnings.catch_warnings(action="ignore"),  # Pillow's about large images and odd metadata
        ThreadPoolExecutor(os.cpu_count()) as pool,
        (folder / IMAGES).open("wb") as out,
        progress_bar("thumbnails", len(paths), show=progress) as advance,
    ):
        images = pool.map(encoded, paths, crops, kept or [None] * len(paths))
        for i, image in enumerate(images):
            advance(1)
            out.write(image)
            offsets[i + 1] = offsets[i] + len(image)
        if offsets[-1] == 0:
            out.write(b"\0")  # an empty file cannot be memory-mapped
    np.save(folder / OFFSETS, offsets)

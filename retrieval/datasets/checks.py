"""Checks of a catalog's files when it is loaded.

Every file must exist and be a readable image, every bounding box must overlap its image (or the
model would be trained on padding), and every training class needs two images. Each problem is one
line that names the file.
"""

import errno
import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from retrieval.datasets.catalog import Catalog, crop_boxes
from retrieval.datasets.image_files import HEAD_BYTES, format_of, format_problem
from retrieval.errors import UserError, counted
from retrieval.files import cache_folder, fingerprint, write_text

# Above this many files, loading no longer notices a change of a file's content (only of its name):
# that takes one stat call per file, which is slow on network disks.
STAT_LIMIT = 20_000
ORIENTATION = 0x0112  # EXIF tag
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)  # there is no such folder
PART = 256  # images per unit of work


def check_boxes(paths: Sequence[str], boxes: np.ndarray) -> None:
    """Check that boxes overlap their images. Only the images' headers are read.

    Args:
        paths: Absolute paths of n readable images.
        boxes: Shape (n, 4): x, y, width and height in pixels.

    Raises:
        UserError: Names the first image whose box is empty or outside it, and counts the others.
    """
    with ThreadPoolExecutor(8) as pool:
        sizes = np.array(list(pool.map(_size, paths)))
    start, stop = np.maximum(boxes[:, :2], 0), np.minimum(boxes[:, :2] + boxes[:, 2:], sizes)
    bad = np.flatnonzero(~(stop > start).all(axis=1))  # ~ so that a NaN is bad too
    if len(bad):
        row = bad[0]
        box = ", ".join(f"{value:g}" for value in boxes[row])
        size = f"{sizes[row, 0]} x {sizes[row, 1]}"
        empty = (boxes[row, 2:] <= 0).any()
        fault = "is empty" if empty else f"lies outside the image of {size} pixels"
        others = counted(len(bad) - 1, "more box is", "more boxes are")
        more = f"; {others} at fault" if len(bad) > 1 else ""
        raise UserError(
            f"{paths[row]}: its bounding box (x, y, width, height = {box}) {fault}"
            f"{more}: correct the data set's list of "
            "boxes, or use the images whole (boxes=false)"
        )


def _size(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def check_catalog(catalog: Catalog, *, small_classes: bool = False) -> None:
    """Check the files of a catalog and the size of its training classes.

    Missing files are looked for each time, with one directory listing per folder. The header and
    the end of each image are read once, and boxes are compared with the images' sizes once; that
    result is cached until the files or the boxes change.

    Args:
        catalog: The catalog to check.
        small_classes: Whether to accept training classes of a single image. Defaults to False.

    Raises:
        UserError: Names the first file, class or box at fault and counts the others.
    """
    state = check_files(catalog)
    if not small_classes:
        check_class_sizes(catalog)
    boxes = crop_boxes(catalog.items)
    about = (state,) if boxes is None else (state, hash_of(boxes.tobytes()))
    stamp = cache_folder("checked") / fingerprint(str(catalog.root.resolve()), *about)
    if not stamp.exists():
        check_images(catalog.absolute_paths())
        if boxes is not None:
            check_boxes(catalog.absolute_paths(), boxes)
        write_text(stamp, f"{len(catalog)} images of {catalog.root} were readable\n")


def check_files(catalog: Catalog) -> str:
    """Check that every file of a catalog exists.

    Args:
        catalog: The catalog to check.

    Returns:
        A fingerprint of the folders, see :func:`scan_files`.

    Raises:
        UserError: Says how many images were expected and found, and names the first missing one.
    """
    paths = catalog.items["path"].tolist()
    missing, state = scan_files(catalog.root, paths)
    if missing:
        expected = catalog.items["split"].value_counts()
        found = expected - catalog.items["split"].iloc[missing].value_counts().reindex(
            expected.index, fill_value=0
        )
        raise UserError(
            f"data set {catalog.name!r} at {catalog.root}: expected "
            f"{expected.get('train', 0):,} / {expected.get('test', 0):,} train / test images, "
            f"found {found.get('train', 0):,} / {found.get('test', 0):,}: "
            f"{counted(len(missing), 'file')} missing, first: {paths[missing[0]]}"
        )
    return state


def scan_files(root: Path, paths: Sequence[str]) -> tuple[list[int], str]:
    """Find the paths that are not files under ``root``, with one ``os.scandir`` per folder.

    Args:
        root: Folder that the paths are relative to.
        paths: POSIX paths relative to ``root``.

    Returns:
        The positions of the missing paths in ascending order, and a fingerprint of the folders. It
        changes when files are added, removed, renamed or, up to :data:`STAT_LIMIT` files,
        rewritten.
    """
    wanted: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for position, path in enumerate(paths):
        folder, _, name = path.rpartition("/")
        wanted[folder].append((name, position))
    missing: list[int] = []
    state = []
    for folder, members in wanted.items():
        present, changed = _list_folder(Path(root, folder), with_stat=len(paths) <= STAT_LIMIT)
        missing += [position for name, position in members if name not in present]
        known = [(name, present.get(name)) for name, _ in members]
        state.append((folder, changed, hash_of(known)))
    return sorted(missing), fingerprint(state)


def hash_of(values: object) -> str:
    """Return a short hash of nested plain values, faster than by way of JSON."""
    return fingerprint(repr(values))


def _list_folder(folder: Path, *, with_stat: bool) -> tuple[dict[str, object], int]:
    """List the files of a folder.

    Args:
        folder: The folder; one that does not exist counts as empty.
        with_stat: Whether to map each file's name to its size and time of change rather than None.

    Returns:
        Name -> (size, mtime) or None, and the folder's mtime if files have none, 0 otherwise.
    """
    try:
        with os.scandir(folder) as entries:
            files = [entry for entry in entries if _is_file(entry)]
        if not with_stat:
            return dict.fromkeys([entry.name for entry in files]), folder.stat().st_mtime_ns
        stats = [(entry.name, entry.stat()) for entry in files]
    except OSError as error:
        if error.errno not in ABSENT:
            raise UserError(f"{folder}: cannot be read ({error.strerror})") from error
        return {}, 0
    return {name: (s.st_size, s.st_mtime_ns) for name, s in stats}, 0


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads to itself
        return False


def check_images(paths: Sequence[str], *, progress: bool | None = None) -> None:
    """Check that images are whole and in a format that the input pipeline decodes.

    The header and the end of each file are read. An image is decoded in full only if its end looks
    unusual.

    Args:
        paths: Absolute paths of the image files.
        progress: Whether to show a progress bar. By default, above 5,000 images.

    Raises:
        UserError: Names the first unreadable image and counts the others.
    """
    show = len(paths) > 5_000 if progress is None else progress
    with ThreadPoolExecutor(8) as pool:
        parts = [paths[start : start + PART] for start in range(0, len(paths), PART)]
        problems = []
        with tqdm(desc="checking images", total=len(paths), unit="img", disable=not show) as bar:
            for part, found in zip(parts, pool.map(_problems, parts), strict=True):
                problems += found
                bar.update(len(part))
    if problems:
        path, problem = problems[0]
        others = counted(len(problems) - 1, "more image is", "more images are")
        more = f" ({others} at fault)" if len(problems) > 1 else ""
        raise UserError(f"{path}: {problem}{more}: replace it or remove it from the data set")


def _problems(paths: Sequence[str]) -> list[tuple[str, str]]:
    found = [(path, image_problem(path)) for path in paths]
    return [(path, problem) for path, problem in found if problem]


def image_problem(path: str) -> str | None:
    """Return what is wrong with an image file in a few words, or None if it is fine."""
    try:
        with open(path, "rb") as file:
            end = _end(file)
            file.seek(0)
            head = file.read(HEAD_BYTES)
            file.seek(0)
            with Image.open(file) as image:
                if problem := format_problem(image, head):
                    return problem
                kind = format_of(image)
                if _has_ignored_orientation(image, kind):
                    return (
                        "its orientation is not in a JPEG's EXIF data, so it would be trained on "
                        "sideways: rotate it (mogrify -auto-orient FILE)"
                    )
                if not _looks_whole(kind, end):
                    image.load()
    except FileNotFoundError:
        return "missing"
    except Exception as error:  # Pillow raises many kinds, all of them mean "damaged"
        return f"unreadable or truncated image ({_reason(error)})"
    return None


def _has_ignored_orientation(image: Image.Image, kind: str) -> bool:
    """Tell whether viewers rotate an image by a tag that the input pipeline ignores.

    It rotates JPEGs by their EXIF data only; see :mod:`retrieval.input_pipeline.decoding`.
    """
    exif = "exif" in image.info
    if (exif and kind == "JPEG") or not (exif or "xmp" in image.info):
        return False
    return image.getexif().get(ORIENTATION, 1) not in (0, 1)


def _end(file: IO[bytes]) -> bytes:
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise OSError("the file is empty")
    file.seek(max(0, size - 64))
    return file.read()


def _looks_whole(kind: str, end: bytes) -> bool:
    if kind == "JPEG":
        return b"\xff\xd9" in end
    return kind == "PNG" and b"IEND" in end


def _reason(error: Exception) -> str:
    text = str(error).split(" <_io")[0].strip()
    return text if text and "\n" not in text else type(error).__name__


def check_class_sizes(catalog: Catalog) -> None:
    """Refuse training classes of a single image, which have no positive pair.

    Args:
        catalog: The catalog to check.

    Raises:
        UserError: Names the first such class, its image and the ways to resolve it.
    """
    train = catalog.items[catalog.items["split"] == "train"]
    counts = train.groupby("label")["path"].transform("size").to_numpy()
    single = np.flatnonzero(counts == 1)
    if len(single):
        first = train.iloc[single[0]]
        classes = counted(len(single), "training class has", "training classes have")
        raise UserError(
            f"data set {catalog.name!r}: {classes} one image, first: "
            f"{first['label_name']!r} ({first['path']}): add images, or pass the option "
            "singletons=drop"
        )


def has_a_positive(labels: Sequence[Hashable], splits: Sequence[str]) -> np.ndarray:
    """Mark the items to keep if training classes of a single image are dropped.

    Args:
        labels: Class of each of n items.
        splits: Split of each item, ``train`` or ``test``.

    Returns:
        Bool, shape (n,): True for test items, and for training items of a class with another one.
    """
    items = list(zip(labels, splits, strict=True))
    counts = Counter(items)
    return np.array([split != "train" or counts[label, split] > 1 for label, split in items], bool)

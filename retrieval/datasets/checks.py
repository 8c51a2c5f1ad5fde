"""Checks of a catalog's files when it is loaded.

Every file must exist and be a whole image, every bounding box must overlap its image (or the
model would be trained on padding), and every training class needs two images. Each problem is one
line that names the file.
"""

import dataclasses
import errno
import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np

from retrieval.datasets.catalog import Catalog, crop_boxes
from retrieval.datasets.copies import count_training_copies
from retrieval.datasets.image_health import examine
from retrieval.errors import UserError, counted
from retrieval.files import fingerprint

ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)  # there is no such folder
SHOWN = 3  # files that an error names


def check_boxes(paths: Sequence[str], boxes: np.ndarray, sizes: Sequence[tuple[int, int]]) -> None:
    """Check that boxes overlap their images.

    Args:
        paths: Paths of n images.
        boxes: Shape (n, 4): x, y, width and height in pixels.
        sizes: Width and height of each image in pixels.

    Raises:
        UserError: Names the first image whose box is empty or outside it, and counts the others.
    """
    corners = np.array(sizes)
    start, stop = np.maximum(boxes[:, :2], 0), np.minimum(boxes[:, :2] + boxes[:, 2:], corners)
    bad = np.flatnonzero(~(stop > start).all(axis=1))  # ~ so that a NaN is bad too
    if len(bad):
        row = bad[0]
        box = ", ".join(f"{value:g}" for value in boxes[row])
        size = f"{sizes[row][0]} x {sizes[row][1]}"
        empty = (boxes[row, 2:] <= 0).any()
        fault = "is empty" if empty else f"lies outside the image of {size} pixels"
        others = counted(len(bad) - 1, "more box is", "more boxes are")
        more = f"; {others} at fault" if len(bad) > 1 else ""
        raise UserError(
            f"{paths[row]}: its bounding box (x, y, width, height = {box}) {fault}"
            f"{more}: correct the data set's list of "
            "boxes, or use the images whole (--boxes false)"
        )


def check_catalog(
    catalog: Catalog,
    *,
    small_classes: bool = False,
    skip_unreadable: bool = False,
    leave_out: Mapping[str, str] | None = None,
) -> Catalog:
    """Check the files of a catalog and the size of its training classes.

    Missing files are looked for each time, with one directory listing per folder. Every image is
    decoded in full once, until its file changes; see :mod:`retrieval.datasets.image_health`.

    Args:
        catalog: The catalog to check.
        small_classes: Whether to accept training classes of a single image. Defaults to False.
        skip_unreadable: Whether to leave out images that are missing or damaged rather than to
            refuse them. Defaults to False.
        leave_out: Path -> reason of images to leave out in any case. Defaults to none.

    Returns:
        The catalog, without the images that were left out, which its ``skipped`` names, and with
        the number of its ``training_copies``.

    Raises:
        UserError: Names the first files, class or box at fault and counts the others.
    """
    catalog = without(catalog, leave_out or {})
    if skip_unreadable:
        paths = catalog.items["path"].tolist()
        missing = find_missing(catalog.root, paths)
        catalog = without(catalog, {paths[row]: "missing" for row in missing})
    else:
        check_files(catalog)
    paths = catalog.items["path"].tolist()
    found = examine(catalog.root, paths)
    problems = {p: h.problem for p, h in zip(paths, found, strict=True) if h.problem is not None}
    if problems and not skip_unreadable:
        raise UserError(unreadable_message(catalog.root, problems))
    kept = [health for health in found if health.problem is None]
    catalog = without(catalog, problems)
    if not small_classes:
        check_class_sizes(catalog)
    boxes = crop_boxes(catalog.items)
    if boxes is not None:
        sizes = [(health.width, health.height) for health in kept]
        check_boxes(catalog.absolute_paths(), boxes, sizes)
    digests = [health.digest for health in kept]
    copies = count_training_copies(catalog.items["path"], catalog.items["split"], digests)
    return dataclasses.replace(catalog, training_copies=copies)


def without(catalog: Catalog, skipped: Mapping[str, str]) -> Catalog:
    """Return a catalog without some of its images.

    Args:
        catalog: The catalog.
        skipped: Path -> reason; paths that it does not have count as left out before.

    Raises:
        UserError: No image is left.
    """
    if not skipped:
        return catalog
    items = catalog.items[~catalog.items["path"].isin(skipped.keys())]
    if items.empty:
        raise UserError(unreadable_message(catalog.root, skipped, fix="no image can be read"))
    return dataclasses.replace(
        catalog,
        items=items.reset_index(drop=True),
        skipped={**catalog.skipped, **skipped},
        judgments=catalog.judgments_of(items),
    )


def unreadable_message(
    root: Path,
    problems: Mapping[str, str],
    fix: str = "",
) -> str:
    """Return one line that names the first unreadable images and counts the others.

    Args:
        root: The data set's folder.
        problems: Path -> what is wrong with the image.
        fix: What to do about it. Defaults to replacing the images or leaving them out.
    """
    shown = [f"{root}/{path}: {problem}" for path, problem in list(problems.items())[:SHOWN]]
    others = len(problems) - len(shown)
    more = f"; {counted(others, 'more image is', 'more images are')} at fault" if others else ""
    it = "it" if len(problems) == 1 else "them"
    fix = fix or f"replace {it}, or leave {it} out with --skip-unreadable"
    return f"{'; '.join(shown)}{more}: {fix}"


def check_files(catalog: Catalog) -> None:
    """Check that every file of a catalog exists.

    Args:
        catalog: The catalog to check.

    Raises:
        UserError: Says how many images were expected and found, and names the first missing one.
    """
    paths = catalog.items["path"].tolist()
    missing = find_missing(catalog.root, paths)
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


def find_missing(root: Path, paths: Sequence[str]) -> list[int]:
    """Find the paths that are not files under ``root``, with one ``os.scandir`` per folder.

    Args:
        root: Folder that the paths are relative to.
        paths: POSIX paths relative to ``root``.

    Returns:
        The positions of the missing paths in ascending order.
    """
    wanted: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for position, path in enumerate(paths):
        folder, _, name = path.rpartition("/")
        wanted[folder].append((name, position))
    missing: list[int] = []
    for folder, members in wanted.items():
        present = _list_folder(Path(root, folder))
        missing += [position for name, position in members if name not in present]
    return sorted(missing)


def hash_of(values: object) -> str:
    """Return a short hash of nested plain values, faster than by way of JSON."""
    return fingerprint(repr(values))


def _list_folder(folder: Path) -> set[str]:
    """Return the names of a folder's files; none if it does not exist."""
    found: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            found.update(entry.name for entry in entries if _is_file(entry))
    except OSError as error:
        if error.errno not in ABSENT:
            raise UserError(f"{folder}: cannot be read ({error.strerror})") from error
    return found


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads to itself
        return False


def check_class_sizes(catalog: Catalog) -> None:
    """Refuse training classes of a single image, which have no positive pair.

    Args:
        catalog: The catalog to check.

    Raises:
        UserError: Names the first such class, its image and the ways to resolve it; or says that
            all are such.
    """
    train = catalog.items[catalog.items["split"] == "train"]
    counts = train.groupby("label")["path"].transform("size").to_numpy()
    single = np.flatnonzero(counts == 1)
    if len(single):
        if len(single) == len(train):
            raise UserError(
                f"data set {catalog.name!r}: every training class has one image, so there is "
                "nothing to train on: add images, or evaluate a network as it is with --loss none"
            )
        first = train.iloc[single[0]]
        classes = counted(len(single), "training class has", "training classes have")
        raise UserError(
            f"data set {catalog.name!r}: {classes} one image, first: "
            f"{first['label_name']!r} ({first['path']}): add images, or give "
            "--singletons drop (without these classes) or --singletons keep (with them)"
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

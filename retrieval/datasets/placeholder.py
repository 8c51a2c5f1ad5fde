"""Synthetic placeholders: small data sets in the exact on-disk format of a benchmark.

Tests, and notebooks on a machine without the published data, run on them. A placeholder is filled
with other photos, and a ``PLACEHOLDER.txt`` in its folder says so: the loaders hold the folder to
the counts in that file instead of the official ones, and every figure computed on it is marked.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from retrieval.datasets import DATASETS, load_catalog
from retrieval.datasets.catalog import Catalog
from retrieval.datasets.official import Counts, is_placeholder, mark_as_placeholder
from retrieval.datasets.placeholder_formats import WRITERS, Photo, word
from retrieval.errors import UserError, unknown_option
from retrieval.files import atomic_folder, build_once

CLASSES, IMAGES_PER_CLASS = 24, 8  # of each split
FOLDER, OLD_FOLDER = "placeholders", "standins"  # today's name, and that of version 0.1.0


def write_placeholder(
    name: str,
    source: Catalog,
    root: Path | str,
    *,
    classes: int = 8,
    per_class: int = 8,
    seed: int = 0,
) -> Path:
    """Write a placeholder for a benchmark.

    The folder appears only when it is complete.

    Args:
        name: Data set that has a placeholder, one of :data:`WRITERS`.
        source: The photos to fill it with. Training classes of the source become training classes.
        root: The folder to create.
        classes: Largest number of classes in each split. Defaults to 8.
        per_class: Largest number of images in each class, at least 2. Defaults to 8.
        seed: Seed of the random choice of classes and images. Defaults to 0.

    Returns:
        ``root``, ready for ``load_catalog(name, root)``.

    Raises:
        UserError: The name is unknown, ``root`` exists, or the source has too few images.
    """
    _check_name(name)
    root = _new_folder(root)
    _write(name, source, root, classes, per_class, seed)
    return root


def _write(name: str, source: Catalog, root: Path, classes: int, per_class: int, seed: int) -> None:
    photos = _choose(source, classes, per_class, np.random.default_rng(seed))

    def build() -> None:
        with atomic_folder(root) as partial:
            written = WRITERS[name](partial, photos)
            counts = written if isinstance(written, Counts) else _count(photos, written)
            text = (
                f"This is a synthetic placeholder for {name}: {len(photos)} photos of the data set "
                f"{source.name!r} in its on-disk format. It is not the published data set."
            )
            mark_as_placeholder(partial, text, counts)

    _build_once(root, build, lambda: is_placeholder(root))


def _build_once(root: Path, build: Callable[[], None], is_ours: Callable[[], bool]) -> None:
    """Let one of several processes write a folder, and none replace what it has not written."""

    def is_there() -> bool:
        if root.exists() and not is_ours():
            raise UserError(f"{root} exists: a placeholder is written to a new folder")
        return root.exists()

    build_once(root, build, is_there, fix="give another folder", remove_old=False)


def _check_name(name: str) -> None:
    if name in WRITERS:
        return
    if name in DATASETS:
        raise UserError(
            f"data set {name!r} has no placeholder; valid: {', '.join(sorted(WRITERS))}"
        )
    raise unknown_option("data set", name, WRITERS)


def _new_folder(root: Path | str) -> Path:
    if Path(root).exists():
        raise UserError(f"{root} exists: a placeholder is written to a new folder")
    return Path(root)


def _choose(
    source: Catalog, classes: int, per_class: int, random: np.random.Generator
) -> list[Photo]:
    """Choose photos; their classes are numbered from 1, the training classes first."""
    photos: list[Photo] = []
    label = 0
    for split in ("train", "test"):
        rows = source.split(split)
        sizes = rows.groupby("label").size()
        usable = sizes[sizes >= 2].index.to_numpy()
        if not len(usable):
            raise UserError(f"data set {source.name!r} has no {split} class with 2 images")
        for chosen in np.sort(random.permutation(usable)[:classes]):
            label += 1
            members = rows[rows["label"] == chosen]
            picked = np.sort(random.permutation(len(members))[: max(per_class, 2)])
            for number, position in enumerate(picked, start=1):
                row = members.iloc[position]
                jpeg, size = _jpeg(source.root / row["path"])
                photos.append(
                    Photo(
                        label=label,
                        number=number,
                        name=str(row["label_name"]),
                        group=str(row.get("super_name", "Things")),
                        split=split,
                        jpeg=jpeg,
                        size=size,
                    )
                )
    return photos


def _jpeg(path: Path) -> tuple[bytes, tuple[int, int]]:
    """Return an image as JPEG bytes (unchanged if it is a JPEG) and its width and height."""
    with Image.open(path) as image:
        if image.format == "JPEG":
            return path.read_bytes(), image.size
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=92)
        return buffer.getvalue(), image.size


def _count(photos: list[Photo], queries: int) -> Counts:
    train, test = ([p for p in photos if p.split == split] for split in ("train", "test"))
    return Counts(
        train_images=len(train),
        test_images=len(test),
        train_classes=len({p.label for p in train}),
        test_classes=len({p.label for p in test}),
        queries=queries,
    )


def write_example_folder(source: Catalog, root: Path | str, *, split: str = "test") -> Path:
    """Write images as one folder per class, the format of ``--dataset folder``.

    Args:
        source: The images. Classes with a single image are skipped.
        root: The folder to create. A folder that exists is left unchanged.
        split: Split of the source to take the classes from. Defaults to ``test``.

    Returns:
        ``root``.
    """
    root = Path(root)
    if root.exists():
        return root
    rows = source.split(split)
    rows = rows[rows.groupby("label")["label"].transform("size") >= 2]

    def build() -> None:
        with atomic_folder(root) as partial:
            _write_classes(source, rows, partial)

    _build_once(root, build, lambda: True)
    return root


def _write_classes(source: Catalog, rows: pd.DataFrame, folder: Path) -> None:
    for number, (name, path) in enumerate(zip(rows["label_name"], rows["path"], strict=True)):
        place = folder / word(name)
        place.mkdir(exist_ok=True)
        (place / f"{number:05d}.jpg").write_bytes(_jpeg(source.root / path)[0])


def available_or_placeholder(
    name: str, root: Path | str | None = None, *, data: Path | str = "data"
) -> tuple[Path, bool]:
    """Find a data set on this disk, or write a placeholder for it.

    Args:
        name: Data set that has a placeholder, one of :data:`WRITERS`.
        root: The data set's folder. By default, ``data/<name>`` if it is there, or else a
            placeholder in ``data/placeholders/<name>``, see :func:`make_placeholder`.
        data: The folder that holds the data sets. Defaults to ``data``.

    Returns:
        The folder to load, and whether it is a placeholder.

    Raises:
        UserError: The name is unknown, or ``root`` was given and does not hold the data set.
    """
    if name not in DATASETS:
        raise unknown_option("data set", name, DATASETS)
    entry = DATASETS[name]
    place = Path(root) if root is not None else Path(data) / name
    if entry.is_begun(place):  # if it is incomplete, loading it says what is missing
        return place, is_placeholder(place)
    if root is not None:
        raise UserError(f"no data set {name!r} at {root}: {entry.how_to_get}")
    place = placeholder_folder(name, data)
    if not entry.is_begun(place):
        make_placeholder(name, place, data=data)
    return place, True


def make_placeholder(
    name: str, root: Path | str | None = None, *, data: Path | str = "data"
) -> Path:
    """Write a small placeholder for a data set; one that exists is only checked.

    It is filled with the photos of Grocery if ``data`` holds that data set, and otherwise with
    drawn characters.

    Args:
        name: Data set that has a placeholder, one of :data:`WRITERS`.
        root: The folder to create. Defaults to ``data/placeholders/<name>``.
        data: The folder that holds the data sets. Defaults to ``data``.

    Returns:
        The folder to load.

    Raises:
        UserError: This data set has no placeholder, or ``root`` exists and is not a complete one.
    """
    _check_name(name)
    place = Path(root) if root is not None else placeholder_folder(name, data)
    if is_placeholder(place):
        load_catalog(name, place)
        return place
    photos = _photos(Path(data))
    # Not by way of `write_placeholder`: another process may be writing the same one.
    _write(name, photos, place, CLASSES, IMAGES_PER_CLASS, seed=0)
    return place


def placeholder_folder(name: str, data: Path | str = "data") -> Path:
    """Return the default folder of a placeholder, which may not exist yet.

    Args:
        name: Name of the data set.
        data: The folder that holds the data sets. Defaults to ``data``.

    Returns:
        ``data/placeholders/<name>``, or the folder that version 0.1.0 wrote if only that exists.
    """
    place, old = Path(data) / FOLDER / name, Path(data) / OLD_FOLDER / name
    return old if old.exists() and not place.exists() else place


def own_folder_or_example(
    folder: Path | str | None = None, *, data: Path | str = "data"
) -> tuple[Path, bool]:
    """Return the user's folder of class folders, or write an example of one.

    Args:
        folder: A folder with one sub-folder per class. By default, an example is written to
            ``data/placeholders/folder``.
        data: The folder that holds the data sets. Defaults to ``data``.

    Returns:
        The folder, and whether it is the example.

    Raises:
        UserError: ``folder`` was given and does not exist.
    """
    if folder is None:
        return write_example_folder(_photos(Path(data)), placeholder_folder("folder", data)), True
    if not Path(folder).is_dir():
        raise UserError(f"no folder {folder}: give a directory with one sub-folder per class")
    return Path(folder), False


def _photos(data: Path) -> Catalog:
    """Return Grocery if it is on this disk, drawn characters otherwise."""
    if not DATASETS["grocery"].missing(data / "grocery"):
        return load_catalog("grocery", data / "grocery")
    return load_catalog("typefaces", data / "typefaces", subset="sample")

"""Write a small stand-in of a benchmark: its exact on-disk format, filled with other photos.

For tests, and for notebooks on a machine without the data. ``STANDIN.txt`` marks the folder, and
the loaders hold it to the counts written there instead of the official ones.

A data set as it is on this disk, or else a small stand-in of it: what a notebook opens.
"""

import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.datasets import DATASETS, load_catalog
from retrieval.datasets.catalog import Catalog
from retrieval.datasets.official import Counts, is_standin, mark_standin
from retrieval.datasets.placeholder_formats import WRITERS, Photo, word
from retrieval.errors import UserError, unknown_option


def write_standin(
    name: str,
    source: Catalog,
    root: Path | str,
    *,
    classes: int = 8,
    per_class: int = 8,
    seed: int = 0,
) -> Path:
    """Write a stand-in of a benchmark, all or nothing.

    Args:
        name: ``cub200``, ``cars196``, ``sop``, ``inshop`` or ``grocery``.
        source: Photos to fill it with; its train classes become train classes.
        root: The folder to make.
        classes: Classes on each side of the split, at most those ``source`` has.
        per_class: Images of each class, at most those ``source`` has; at least 2.
        seed: Seeds the choice of classes and images.

    Returns:
        ``root``, ready for ``load_catalog(name, root)``.

    Raises:
        UserError: Unknown name, ``root`` exists, or too few images.
    """
    if name not in WRITERS:
        raise unknown_option("benchmark to stand in for", name, WRITERS)
    root = Path(root)
    if root.exists():
        raise UserError(f"{root} exists: a stand-in is written to a new folder")
    photos = _choose(source, classes, per_class, np.random.default_rng(seed))
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        partial.chmod(0o755)
        queries = WRITERS[name](partial, photos)
        text = (
            f"This is a stand-in of {name}: {len(photos)} photos of the data set {source.name!r} "
            "in its on-disk format. It is not the published data set."
        )
        mark_standin(partial, text, _count(photos, queries))
        partial.replace(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root


def _choose(
    source: Catalog, classes: int, per_class: int, random: np.random.Generator
) -> list[Photo]:
    """Pick photos, classes numbered from 1 with the training classes first."""
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
                group = str(row.get("super_name", "Things"))
                photos.append(
                    Photo(label, number, str(row["label_name"]), group, split, jpeg, size)
                )
    return photos


def _jpeg(path: Path) -> tuple[bytes, tuple[int, int]]:
    """Return an image as JPEG bytes (unchanged if it is one) and its size."""
    with Image.open(path) as image:
        if image.format == "JPEG":
            return path.read_bytes(), image.size
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=92)
        return buffer.getvalue(), image.size


def _count(photos: list[Photo], queries: int) -> Counts:
    sides = {split: [p for p in photos if p.split == split] for split in ("train", "test")}
    return Counts(
        train_images=len(sides["train"]),
        test_images=len(sides["test"]),
        train_classes=len({p.label for p in sides["train"]}),
        test_classes=len({p.label for p in sides["test"]}),
        queries=queries,
    )


def write_example_folder(source: Catalog, root: Path | str, *, split: str = "test") -> Path:
    """Write images as a folder with one sub-folder per class: what ``--dataset folder`` reads.

    Args:
        source: The images; classes of one image are left out.
        root: The folder to make; kept as it is if it exists.
        split: Which of the source's classes.

    Returns:
        ``root``.
    """
    root = Path(root)
    if root.exists():
        return root
    rows = source.split(split)
    rows = rows[rows.groupby("label")["label"].transform("size") >= 2]
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        partial.chmod(0o755)
        for number, row in enumerate(rows.itertuples()):
            folder = partial / word(row.label_name)
            folder.mkdir(exist_ok=True)
            (folder / f"{number:05d}.jpg").write_bytes(_jpeg(source.root / row.path)[0])
        partial.replace(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root


CLASSES, PER_CLASS = 24, 8


def available_or_standin(
    name: str, root: Path | str | None = None, *, data: Path | str = "data"
) -> tuple[Path, bool]:
    """Find a data set; where nothing is found at its default place, write a stand-in.

    Args:
        name: ``cub200``, ``cars196``, ``sop``, ``inshop`` or ``grocery``.
        root: The data set's folder. None looks in ``data/<name>`` and falls back to a stand-in in
            ``data/standins/<name>``: Grocery photos in the data set's on-disk format, or drawn
            characters where there are none.
        data: Folder of data sets.

    Returns:
        The folder to load, and whether it is a stand-in.

    Raises:
        UserError: Unknown name, or a ``root`` that was asked for is not there.
    """
    if name not in DATASETS:
        raise unknown_option("data set", name, DATASETS)
    entry, data = DATASETS[name], Path(data)
    place = Path(root) if root is not None else data / name
    if entry.is_begun(place):  # what is missing of it, loading says
        return place, is_standin(place)
    if root is not None:
        raise UserError(f"no data set {name!r} at {root}: {entry.how_to_get}")
    place = data / "standins" / name
    if not entry.is_begun(place):
        make_standin(name, place, data=data)
    return place, True


def make_standin(name: str, root: Path | str | None = None, *, data: Path | str = "data") -> Path:
    """Write a small stand-in of a data set; one that is there already is only checked.

    Args:
        name: ``cub200``, ``cars196``, ``sop``, ``inshop`` or ``grocery``.
        root: The folder to make; default ``data/standins/<name>``.
        data: Folder of data sets: the photos are Grocery's if it holds them, else drawn characters.

    Returns:
        The folder to load.

    Raises:
        UserError: There is no stand-in of that name, or ``root`` holds anything but a whole one.
    """
    if name not in WRITERS:
        raise unknown_option("data set to stand in for", name, WRITERS)
    place = Path(root) if root is not None else Path(data) / "standins" / name
    if is_standin(place):
        load_catalog(name, place)
        return place
    return write_standin(name, _photos(Path(data)), place, classes=CLASSES, per_class=PER_CLASS)


def own_folder_or_example(
    folder: Path | str | None = None, *, data: Path | str = "data"
) -> tuple[Path, bool]:
    """Return the user's folder of class folders, or an example of one where None is given.

    Args:
        folder: A directory with one sub-folder per class.
        data: Folder of data sets; the example is ``data/standins/folder``.

    Returns:
        The folder, and whether it is the example.

    Raises:
        UserError: ``folder`` was given and is no directory.
    """
    if folder is None:
        return write_example_folder(_photos(Path(data)), Path(data) / "standins" / "folder"), True
    if not Path(folder).is_dir():
        raise UserError(f"no folder {folder}: give a directory with one sub-folder per class")
    return Path(folder), False


def _photos(data: Path) -> Catalog:
    """Return Grocery if it is on this disk, drawn characters otherwise."""
    if not DATASETS["grocery"].missing(data / "grocery"):
        return load_catalog("grocery", data / "grocery")
    return load_catalog("typefaces", data / "typefaces", subset="sample")

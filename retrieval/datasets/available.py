"""A data set as it is on this disk, or else a small stand-in of it: what a notebook opens."""

from pathlib import Path

from retrieval.datasets import DATASETS, load_catalog
from retrieval.datasets.catalog import Catalog
from retrieval.datasets.official import is_standin
from retrieval.datasets.standin import write_example_folder, write_standin
from retrieval.datasets.standin_formats import WRITERS
from retrieval.errors import UserError, unknown_option

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

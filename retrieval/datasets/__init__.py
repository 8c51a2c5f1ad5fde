"""Data sets by name: files on disk to a :class:`Catalog`. Add one: one file, one line here."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from retrieval.datasets import csv_files, folder, grocery, typefaces
from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError, unknown_option

__all__ = ["DATASETS", "Catalog", "Dataset", "fetch_dataset", "list_datasets", "load_catalog"]


@dataclass(frozen=True)
class Dataset:
    """A data set in the registry.

    Attributes:
        title: What people call it.
        load: ``load(root, **options) -> Catalog``.
        images: How many images, as text.
        classes: How many classes, as text.
        licence: Under which licence.
        fetch: ``fetch(root, archive)`` where it can be had; None if it is the user's own.
        mirror: Whether a mirrored image still belongs to its class.
    """

    title: str
    load: Callable[..., Catalog]
    images: str
    classes: str
    licence: str
    fetch: Callable[[Path, Path | None], None] | None = None
    mirror: bool = True


DATASETS: dict[str, Dataset] = {
    "typefaces": Dataset(
        "Typefaces (embedded)",
        typefaces.load,
        "40,578",
        "3,293",
        "fonts: Bitstream Vera, OFL, BaKoMa",
        typefaces.fetch,
        mirror=False,
    ),
    "grocery": Dataset("Grocery Store", grocery.load, "5,421", "81", "MIT", grocery.fetch),
    "folder": Dataset("Your images, a folder per class", folder.load, "yours", "yours", "yours"),
    "csv": Dataset("Your images, listed in CSV", csv_files.load, "yours", "yours", "yours"),
}


def dataset_options(name: str) -> list[str]:
    """Return the names of the options a data set's loader takes.

    Raises:
        UserError: Unknown data set.
    """
    if name not in DATASETS:
        raise unknown_option("data set", name, DATASETS)
    parameters = inspect.signature(DATASETS[name].load).parameters
    return [p for p in parameters if p != "root"]


def load_catalog(name: str, root: Path | str | None = None, **options: object) -> Catalog:
    """Load a data set's catalogue.

    Args:
        name: A key of :data:`DATASETS`.
        root: Its folder; default ``data/<name>``.
        **options: Options of its loader; an unknown one is refused.

    Returns:
        The catalogue, checked: files there, splits class-disjoint.

    Raises:
        UserError: Unknown name or option, or bad data.
    """
    valid = dataset_options(name)
    for option in options:
        if option not in valid:
            raise unknown_option(f"option of data set {name!r}", option, valid)
    return DATASETS[name].load(Path(root or f"data/{name}"), **options)


def fetch_dataset(name: str, root: Path | str | None = None, archive: Path | None = None) -> Path:
    """Get a data set onto this disk.

    Args:
        name: A key of :data:`DATASETS`.
        root: Where to; default ``data/<name>``.
        archive: A copy of its public archive that is already on disk.

    Returns:
        The data set's folder.

    Raises:
        UserError: Unknown name, nothing to fetch, or the content is not the published one.
    """
    dataset_options(name)
    root = Path(root or f"data/{name}")
    if DATASETS[name].fetch is None:
        raise UserError(f"data set {name!r} is your own: pass --data DIR when training")
    DATASETS[name].fetch(root, archive)
    return root


def list_datasets() -> pd.DataFrame:
    """Return one row per data set: name, title, images, classes, licence, state on this disk."""
    return pd.DataFrame(
        [
            {
                "name": name,
                "title": d.title,
                "images": d.images,
                "classes": d.classes,
                "licence": d.licence,
                "on this disk": _state(name, d),
            }
            for name, d in DATASETS.items()
        ]
    )


def _state(name: str, dataset: Dataset) -> str:
    if dataset.fetch is None:
        return "pass --data DIR"
    root = Path("data") / name
    return str(root) if root.exists() else f"retrieval fetch {name}"

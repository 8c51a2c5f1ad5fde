"""Data sets, one file each: files on disk to a :class:`~retrieval.datasets.catalog.Catalog`.

To add a data set, write a file that ends in ``ENTRY = Dataset(...)``, import it here and add its
entry to :data:`DATASETS`.
"""

import inspect
import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from retrieval.datasets import (
    cars196,
    csv_files,
    cub200,
    digits,
    folder,
    gldv2,
    grocery,
    inaturalist2018,
    inshop,
    market1501,
    omniglot,
    revisited,
    rp2k,
    stanford_online_products,
    typefaces,
    veri776,
)
from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog
from retrieval.datasets.checks import check_catalog, check_files
from retrieval.datasets.links import check_links
from retrieval.datasets.official import is_placeholder
from retrieval.errors import UserError, no_such_option, unknown_option

__all__ = ["DATASETS", "Catalog", "Dataset", "fetch_dataset", "list_datasets", "load_catalog"]
DATASETS: dict[str, Dataset] = {
    entry.name: entry
    for entry in (
        typefaces.ENTRY,
        grocery.ENTRY,
        cub200.ENTRY,
        cars196.ENTRY,
        stanford_online_products.ENTRY,
        inshop.ENTRY,
        market1501.ENTRY,
        veri776.ENTRY,
        inaturalist2018.ENTRY,
        rp2k.ENTRY,
        revisited.ROXFORD,
        revisited.RPARIS,
        gldv2.ENTRY,
        omniglot.ENTRY,
        digits.ENTRY,
        folder.ENTRY,
        csv_files.ENTRY,
    )
}


def load_catalog(
    name: str,
    root: Path | str | None = None,
    *,
    skip_unreadable: bool = False,
    leave_out: Mapping[str, str] | None = None,
    **options: object,
) -> Catalog:
    """Load a data set's table of images and check that the files exist and are readable.

    Every image is decoded once; later, only files that have changed are.

    Args:
        name: Name in :data:`DATASETS`.
        root: The data set's folder. Defaults to ``data/<name>``.
        skip_unreadable: Whether to leave out images that are missing or damaged, which the
            catalog's ``skipped`` then names. Defaults to False: they are refused.
        leave_out: Path -> reason of images to leave out in any case, e.g. those that a run was
            trained without. Defaults to none.
        **options: Options of that data set, e.g. ``subset="letters"``; see its ``load``.

    Returns:
        The catalog. Its ``remarks`` are lines that a user should see.

    Raises:
        UserError: The name or an option is unknown, files are missing or damaged, or images are
            links to files elsewhere.
    """
    entry = _entry(name)
    valid = dataset_options(name)
    for option in options:
        if option not in valid:
            raise no_such_option(f"data set {name}", option, valid)
    root = _root(name, root)
    if entry.needs_files and not os.path.isdir(root):
        raise UserError(f"data set {name!r} is not at {root}: {entry.how_to_get}")
    catalog = entry.load(root, **options)
    catalog = check_catalog(
        catalog,
        small_classes=entry.small_classes or catalog.keeps_singletons,
        skip_unreadable=skip_unreadable,
        leave_out=leave_out,
    )
    check_links(catalog)
    return catalog


def dataset_options(name: str) -> dict[str, object]:
    """Return the options of a data set and their defaults.

    Args:
        name: Name in :data:`DATASETS`.

    Returns:
        Option -> default.

    Raises:
        UserError: The name is unknown.
    """
    parameters = inspect.signature(_entry(name).load).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def fetch_dataset(
    name: str,
    root: Path | str | None = None,
    archive: Path | str | None = None,
    *,
    repair: bool = False,
) -> Path:
    """Download a data set (or take a copy of its archive), check it and unpack it.

    What is there already is checked: no file may be missing, empty or damaged.

    Args:
        name: Name in :data:`DATASETS`.
        root: The folder to create. Defaults to ``data/<name>``.
        archive: A copy of the public archive. Defaults to None: download it.
        repair: Whether to fetch again what is missing or damaged. Files that this program has not
            fetched are never replaced. Defaults to False: damage is refused.

    Returns:
        The data set's folder.

    Raises:
        UserError: The data set cannot be fetched, the download failed, or the content is wrong.
    """
    entry, root = _entry(name), _root(name, root)
    if archive is not None and not Path(archive).is_file():
        raise UserError(f"no archive at {archive}: give the path of a file with --archive")
    if entry.fetch is None:
        raise UserError(f"data set {name!r} has nothing to fetch: {entry.how_to_get}")
    given = {"repair": True} if repair else {}
    entry.fetch(root, None if archive is None else Path(archive), **given)
    return root


def list_datasets(data: Path | str = "data") -> pd.DataFrame:
    """List the data sets, and whether they are on this disk.

    Args:
        data: The folder that holds the data sets, one sub-folder each. Defaults to ``data``.

    Returns:
        One row per data set with the columns ``name``, ``title``, ``images``, ``classes``,
        ``splits``, ``license``, ``download``, ``on this disk`` and ``how to get``.
    """
    rows = [
        {
            "name": entry.name,
            "title": entry.title,
            "images": _shown(entry, entry.n_images),
            "classes": _shown(entry, entry.n_classes),
            "splits": entry.splits,
            "license": entry.license,
            "download": entry.download or "-",
            "on this disk": _state(entry, Path(data) / entry.name),
            "how to get": entry.command,
        }
        for entry in DATASETS.values()
    ]
    return pd.DataFrame(rows)


def _shown(entry: Dataset, n: int | None) -> str:
    if entry.n_images is None:
        return "yours"
    return "not published" if n is None else f"{n:,}"


def _state(entry: Dataset, root: Path) -> str:
    if entry.n_images is None:
        return "yours"
    if is_placeholder(root):
        try:
            check_files(entry.load(root))
        except UserError:  # loading it says what is wrong
            return "incomplete placeholder"
        return "placeholder"
    missing = entry.missing(root)
    if not missing:
        if not entry.needs_files:  # loading it would make what is not there
            return "yes"
        try:
            check_files(entry.load(root))
        except UserError:  # loading it says what is wrong
            return "incomplete"
        return "yes"
    if entry.needs_files and root.is_dir() and any(root.iterdir()):
        return f"incomplete: no {missing[0]}"
    return "no"


def _root(name: str, root: Path | str | None) -> Path:
    return Path(root) if root is not None else Path("data") / name


def _entry(name: str) -> Dataset:
    if name not in DATASETS:
        raise unknown_option("data set", name, DATASETS)
    return DATASETS[name]

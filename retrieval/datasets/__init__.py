"""Data sets, one file each: files on disk to a :class:`~retrieval.datasets.catalog.Catalog`.

A name that is not in :data:`DATASETS` names somebody's own data, which are a folder or a list: see
:func:`dataset_entry`.

To add a data set, write a file that ends in ``ENTRY = Dataset(...)``, import it here and add its
entry to :data:`DATASETS`.
"""

import dataclasses
import difflib
import inspect
import os
from collections.abc import Iterable, Mapping
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
from retrieval.datasets.tables import TABLE_SUFFIXES
from retrieval.errors import UserError, no_such_option, unknown_option
from retrieval.files import check_folder_name

__all__ = [
    "DATASETS",
    "Catalog",
    "Dataset",
    "check_dataset",
    "dataset_entry",
    "fetch_dataset",
    "list_datasets",
    "load_catalog",
]
TYPO = 0.85  # likeness from which a name is one of a built-in data set, misspelled
SHORT = 4  # letters of a name that many words are like: shop is no misspelled sop
LISTS = ("csv", "train_csv", "test_csv")  # options that say that own data are a list
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


def dataset_entry(
    name: str, data: Path | str | None = None, options: Iterable[str] = ()
) -> Dataset:
    """Return the entry of a data set, also of somebody's own data under a name of their choice.

    Own data are a list if their path is a file, or if an option names a list; otherwise they are a
    folder with one sub-folder per class. Both are the same to a training and an evaluation.

    Args:
        name: Name in :data:`DATASETS`, or any other name.
        data: The folder or the list. Defaults to ``data/<name>``.
        options: Names of the options of its loader that are given. Defaults to none.

    Returns:
        The entry, called by the name.
    """
    if name in DATASETS:
        return DATASETS[name]
    is_list = bool(set(LISTS) & set(options)) or os.path.isfile(_root(name, data))
    kind = csv_files.ENTRY if is_list else folder.ENTRY
    return dataclasses.replace(kind, name=name, title=name)


def check_dataset(name: str, data: Path | str | None = None, options: Iterable[str] = ()) -> None:
    """Check the name of a data set, before anything is read.

    Args:
        name: Name in :data:`DATASETS`, or the name that somebody gives to own data.
        data: The folder or the list of own data. Defaults to ``data/<name>``.
        options: Names of the options of its loader that are given. Defaults to none.

    Raises:
        UserError: The name is unknown and no data are given for it; it cannot be a folder's name,
            or is that of a built-in data set but for the case of its letters or a typo; or a list
            is given for a data set that is none.
    """
    is_file = data is not None and os.path.isfile(data)
    if name in DATASETS:
        if is_file and name != csv_files.ENTRY.name:
            what = "takes a folder" if name == folder.ENTRY.name else "is a built-in data set"
            raise UserError(
                f"data set {name!r} {what}, and {data} is a file: give another --dataset NAME for "
                "your own list"
            )
        return
    if data is None and not set(LISTS) & set(options) and not _root(name, None).exists():
        close = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UserError(
            f"unknown data set {name!r}: {hint}valid: {', '.join(sorted(DATASETS))}; or any name "
            "for your own data, given with --data (a folder, or a list of images)"
        )
    check_folder_name("data set", name)
    if built_in := next((known for known in DATASETS if known == name.lower()), None):
        raise UserError(
            f"data set {name!r}: {built_in!r} is a built-in data set; give your own another name"
        )
    longer = [known for known in DATASETS if len(known) > SHORT]
    near = difflib.get_close_matches(name, longer, n=1, cutoff=TYPO)
    if near and not name.startswith(near[0]):
        raise UserError(
            f"unknown data set {name!r}: did you mean {near[0]!r}? give your own data a name "
            "that is less like it"
        )
    if is_file and Path(str(data)).suffix.lower() not in TABLE_SUFFIXES:
        raise UserError(
            f"--data {data}: not a list of images, which ends in {', '.join(TABLE_SUFFIXES)}"
        )


def load_catalog(
    name: str,
    root: Path | str | None = None,
    *,
    skip_unreadable: bool = False,
    leave_out: Mapping[str, str] | None = None,
    needs_pairs: bool = True,
    **options: object,
) -> Catalog:
    """Load a data set's table of images and check that the files exist and are readable.

    Every image is decoded once; later, only files that have changed are.

    Args:
        name: Name in :data:`DATASETS`, or any other name for own data.
        root: The data set's folder; of own data, the folder or the list. Defaults to
            ``data/<name>``.
        skip_unreadable: Whether to leave out images that are missing or damaged, which the
            catalog's ``skipped`` then names. Defaults to False: they are refused.
        leave_out: Path -> reason of images to leave out in any case, e.g. those that a run was
            trained without. Defaults to none.
        needs_pairs: Whether to refuse training classes of a single image where they are not
            accepted, because nothing can be learned from one. Defaults to True.
        **options: Options of that data set, e.g. ``subset="letters"``; see its ``load``.

    Returns:
        The catalog. Its ``remarks`` are lines that a user should see.

    Raises:
        UserError: The name or an option is unknown, files are missing or damaged, or images are
            links to files elsewhere.
    """
    check_dataset(name, root, options)
    entry = dataset_entry(name, root, options)
    valid = _options_of(entry)
    for option in options:
        if option not in valid:
            raise no_such_option(f"data set {name}", option, valid)
    given, root = root is not None, _root(name, root)
    is_own = entry.n_images is None
    if given and is_own and not os.path.exists(root):
        raise UserError(
            f"--data {root}: no such folder or file: give a folder with one sub-folder per class, "
            "or a list of images"
        )
    if entry.needs_files and not os.path.isdir(root):
        raise UserError(f"data set {name!r} is not at {root}: {entry.how_to_get}")
    try:
        catalog = entry.load(root, **options)
    except UserError as error:
        if given and not is_own and entry.needs_files and entry.missing(root):
            raise UserError(
                f"{error}; {name!r} is a built-in data set: for data of your own, give another "
                "--dataset NAME"
            ) from error
        raise
    if name not in DATASETS:
        kind = "a list of images" if entry.load is csv_files.load else "a folder of classes"
        remarks = (f"{name} is your own data set, read as {kind}: {root}", *catalog.remarks)
        catalog = dataclasses.replace(catalog, name=name, remarks=remarks)
    if entry.n_images is None:
        kind = csv_files.ENTRY.name if entry.load is csv_files.load else folder.ENTRY.name
        catalog = dataclasses.replace(catalog, kind=kind)
    catalog = check_catalog(
        catalog,
        small_classes=not needs_pairs or entry.small_classes or catalog.keeps_singletons,
        skip_unreadable=skip_unreadable,
        leave_out=leave_out,
    )
    check_links(catalog)
    return catalog


def dataset_options(name: str) -> dict[str, object]:
    """Return the options of a data set and their defaults.

    Args:
        name: Name in :data:`DATASETS`, or any other name for own data.

    Returns:
        Option -> default; for own data, the options of folders and of lists.
    """
    if name in DATASETS:
        return _options_of(DATASETS[name])
    return _options_of(folder.ENTRY) | _options_of(csv_files.ENTRY)


def _options_of(entry: Dataset) -> dict[str, object]:
    parameters = inspect.signature(entry.load).parameters.values()
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

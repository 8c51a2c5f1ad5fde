"""Helpers that the loaders of the published benchmarks share.

The official counts that a copy is held to, the mark of a synthetic placeholder, a cache of the
parsed tables, and a reader of the whitespace-separated lists that benchmarks come with.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from retrieval.datasets.catalog import Catalog, plain_text
from retrieval.errors import UserError
from retrieval.files import atomic_path, cache_folder, fingerprint, remove, write_text

PLACEHOLDER_MARK = "PLACEHOLDER.txt"
PLACEHOLDER_WARNING = "synthetic placeholder, not the published data set"
MARKS = (PLACEHOLDER_MARK, "STANDIN.txt")  # today's name, and that of version 0.1.0
VERSION = 1  # of the cached tables; raise it when a loader's columns change


@dataclass(frozen=True)
class Counts:
    """The published number of images and classes in each split.

    Attributes:
        train_images: Number of training images.
        test_images: Number of test images, queries and gallery together.
        train_classes: Number of training classes.
        test_classes: Number of test classes.
        queries: Number of test images that are queries only. Defaults to 0: the data set assigns
            no roles.
    """

    train_images: int
    test_images: int
    train_classes: int
    test_classes: int
    queries: int = 0

    @property
    def images(self) -> int:
        """Number of images in both splits."""
        return self.train_images + self.test_images

    @property
    def classes(self) -> int:
        """Number of classes in both splits, which have no class in common."""
        return self.train_classes + self.test_classes


def find_mark(root: Path) -> Path | None:
    """Return the file that marks a data set's folder as a placeholder, or None without one."""
    return next((root / name for name in MARKS if (root / name).exists()), None)


def is_placeholder(root: Path) -> bool:
    """Tell whether a data set's folder holds a synthetic placeholder."""
    return find_mark(root) is not None


def placeholder_options(root: Path) -> dict[str, object]:
    """Return what a catalog's options record about a placeholder: nothing for the real data set."""
    return {"placeholder": True} if is_placeholder(root) else {}


def describe_placeholder(root: Path) -> str:
    """Return the sentence that a placeholder's mark says about it.

    Args:
        root: The folder of a placeholder.

    Returns:
        The first line of the mark.
    """
    mark = find_mark(root) or root / PLACEHOLDER_MARK
    return mark.read_text(encoding="utf-8").partition("\n")[0]


def counts_at(root: Path, official: Counts) -> Counts:
    """Return the counts that a folder must have: the official ones, or those of a placeholder.

    Args:
        root: The data set's folder.
        official: The published counts.

    Returns:
        ``official``, or the counts in the mark if the folder holds a placeholder.

    Raises:
        UserError: The mark is damaged.
    """
    mark = find_mark(root)
    return official if mark is None else read_mark(mark)


def read_mark(mark: Path) -> Counts:
    """Read the counts in the mark of a placeholder.

    Args:
        mark: See :func:`find_mark`.

    Returns:
        The number of images and classes that the placeholder was written with.

    Raises:
        UserError: The mark is damaged.
    """
    pairs = [line.split(" = ") for line in mark.read_text(encoding="utf-8").splitlines()]
    values = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    try:
        return Counts(
            **{field.name: int(values[field.name]) for field in dataclasses.fields(Counts)}
        )
    except (KeyError, ValueError) as error:
        raise UserError(f"{mark} is damaged ({error}): write the placeholder again") from error


def mark_as_placeholder(root: Path, text: str, counts: Counts) -> None:
    """Mark a folder as a placeholder.

    Args:
        root: The data set's folder.
        text: One sentence about its content, the first line of the mark.
        counts: The counts that the loader holds the folder to.
    """
    lines = [f"{name} = {value}" for name, value in dataclasses.asdict(counts).items()]
    write_text(root / PLACEHOLDER_MARK, "\n".join([text, "", *lines, ""]))


def load_official(
    name: str,
    root: Path,
    official: Counts,
    *,
    sources: list[Path],
    build: Callable[[Counts], Catalog],
    options: Mapping[str, object] | None = None,
) -> Catalog:
    """Load a benchmark from its cached table, or build, check and cache the table.

    Args:
        name: Name of the data set in the registry.
        root: The data set's folder.
        official: The published counts.
        sources: The files that ``build`` reads. The cache is used until one of them changes.
        build: Builds the catalog, given the counts that it must have.
        options: The loader's options. By default, there are none.

    Returns:
        The catalog. Its options are ``options`` and, for a placeholder, ``placeholder: True``.

    Raises:
        UserError: A source is missing, or the counts are not those expected.
    """
    for source in sources:
        if not source.is_file():
            # A hidden folder is being unpacked from an archive: there is no --data to correct.
            advice = "" if root.name.startswith(".") else "; give its folder with --data"
            raise UserError(f"data set {name!r} at {root}: {source} is missing{advice}")
    counts = counts_at(root, official)
    options = dict(options or {})
    stamps = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in sources]
    prefix = f"{name}-{fingerprint(str(root.resolve()), options)}"
    cached = cache_folder("catalogs") / f"{prefix}-{fingerprint(VERSION, stamps)}.parquet"
    options |= placeholder_options(root)
    items = _read_cached(cached)
    if items is not None:
        title, base = items.attrs["title"], root / items.attrs["below"]
        check_counts(name, items, counts)
        return Catalog(name, base, plain_text(items), title, options)
    catalog = build(counts)
    check_counts(name, catalog.items, counts)
    if root.name.startswith("."):  # being unpacked and about to be renamed: not worth caching
        return catalog
    for old in cached.parent.glob(f"{prefix}-*.parquet"):
        remove(old)
    items = catalog.items.copy()
    items.attrs = {
        "title": catalog.query_gallery_title,
        "below": os.path.relpath(catalog.root, root),
    }
    with atomic_path(cached) as temporary:
        items.to_parquet(temporary, write_page_checksum=True)
    return dataclasses.replace(catalog, options=options)


def _read_cached(file: Path) -> pd.DataFrame | None:
    """Return a cached table; None if it is not there, or not as it was written."""
    try:
        items = pd.read_parquet(file, page_checksum_verification=True)
    except (OSError, ValueError, KeyError, TypeError):  # Arrow's errors are among them
        return None
    return items if {"title", "below"} <= items.attrs.keys() else None


def check_counts(name: str, items: pd.DataFrame, counts: Counts) -> None:
    """Check that a catalog has the expected number of images, classes and queries.

    Args:
        name: Name of the data set, for the message.
        items: The catalog's table.
        counts: The expected counts.

    Raises:
        UserError: Says what was expected and what was found, train / test.
    """
    train, test = (items[items["split"] == split] for split in ("train", "test"))
    found = Counts(
        train_images=len(train),
        test_images=len(test),
        train_classes=train["label"].nunique(),
        test_classes=test["label"].nunique(),
        queries=int((test["role"] == "query").sum()),
    )
    for what, expected, actual in (
        (
            "images",
            (counts.train_images, counts.test_images),
            (found.train_images, found.test_images),
        ),
        (
            "classes",
            (counts.train_classes, counts.test_classes),
            (found.train_classes, found.test_classes),
        ),
        ("queries", (0, counts.queries), (0, found.queries)),
    ):
        if expected != actual:
            raise UserError(
                f"data set {name!r}: expected {expected[0]:,} / {expected[1]:,} train / test "
                f"{what}, found {actual[0]:,} / {actual[1]:,}: its lists are not the official ones"
            )


def first_existing(*paths: Path) -> Path:
    """Return the first of several paths that exists, or the very first if none does."""
    return next((path for path in paths if path.exists()), paths[0])


def read_table(
    path: Path, columns: Mapping[str, type], *, skip: int = 0, separator: str = " "
) -> pd.DataFrame:
    """Read a list file with one row per line.

    Args:
        path: The list file.
        columns: Name and type of each column, in the order of the file.
        skip: Number of header lines. Defaults to 0.
        separator: One character, or a regular expression. Defaults to a space.

    Returns:
        One row per line.

    Raises:
        UserError: The file is malformed; names the file, the row and what is wrong.
    """
    try:
        table = _read_csv(path, columns, skip, separator, columns)
        if not isinstance(table.index, pd.RangeIndex):  # pandas takes a value too many for a label
            raise ValueError("too many columns")
    except (ValueError, pd.errors.ParserError) as error:
        _check_widths(path, columns, skip, separator)
        where = _first_bad_number(path, columns, skip, separator)
        fault = where or ": not the expected list: " + str(error).splitlines()[0].strip()
        raise UserError(f"{path}{fault} (columns: {', '.join(columns)})") from error
    bad = table.isna().any(axis=1)
    if bad.any():
        row = int(bad.to_numpy().argmax()) + skip + 1
        raise UserError(f"{path} row {row}: expected {', '.join(columns)}")
    return table


def _read_csv(
    path: Path, columns: Mapping[str, type], skip: int, separator: str, dtype: Any
) -> pd.DataFrame:
    # quoting=3 is csv.QUOTE_NONE: a quotation mark in a file name is just a character.
    return pd.read_csv(
        path, sep=separator, names=list(columns), skiprows=skip, dtype=dtype, quoting=3
    )


def _check_widths(path: Path, columns: Mapping[str, type], skip: int, separator: str) -> None:
    """Refuse the first row of a list that has more values than there are columns."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for row, line in enumerate(file, 1):
            cells = re.split(separator, line.strip() if len(separator) > 1 else line.rstrip("\r\n"))
            if row > skip and len(cells) > len(columns):
                expected = f"expected {', '.join(columns)}; found {len(cells)} values"
                raise UserError(f"{path} row {row}: {expected}")


def _first_bad_number(path: Path, columns: Mapping[str, type], skip: int, separator: str) -> str:
    """Return where the first value that is not a (whole) number is, or an empty text."""
    try:
        table = _read_csv(path, columns, skip, separator, str)
    except (ValueError, pd.errors.ParserError):
        return ""
    numbers = [name for name, kind in columns.items() if kind is not str]
    values = table[numbers].apply(pd.to_numeric, errors="coerce")
    whole = [name for name in numbers if columns[name] is int]
    bad = values.isna()
    bad[whole] |= values[whole] % 1 != 0
    if not bad.any(axis=None):
        return ""
    row = int(bad.any(axis=1).to_numpy().argmax())
    name = bad.columns[bad.iloc[row].to_numpy().argmax()]
    given = table[name].iloc[row]
    return f" row {row + skip + 1}: {name} is {'missing' if pd.isna(given) else repr(given)}"

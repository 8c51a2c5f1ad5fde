"""What the published benchmarks share: exact counts, a cached catalog, stand-ins.

Read the white-space separated lists that benchmarks come with.
"""

import dataclasses
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from retrieval.datasets.catalog import Catalog, plain_text
from retrieval.errors import UserError
from retrieval.files import atomic_path, cache_folder, fingerprint, write_text

STANDIN = "STANDIN.txt"
VERSION = 1  # of the cached tables; raise it when a loader's columns change


@dataclass(frozen=True)
class Counts:
    """How many images and classes a split has, as published.

    Attributes:
        train_images: Images to train on.
        test_images: Images to test on (queries and gallery together).
        train_classes: Classes to train on.
        test_classes: Classes to test on.
        queries: Test images that are queries only; 0 where the set has no roles.
    """

    train_images: int
    test_images: int
    train_classes: int
    test_classes: int
    queries: int = 0

    @property
    def images(self) -> int:
        """Images in both splits."""
        return self.train_images + self.test_images

    @property
    def classes(self) -> int:
        """Classes in both splits, which share none."""
        return self.train_classes + self.test_classes


def is_standin(root: Path) -> bool:
    """Tell whether a data set's folder is marked as a stand-in."""
    return (root / STANDIN).exists()


def counts_at(root: Path, official: Counts | None = None) -> Counts:
    """Return the counts to hold a folder to: the official ones, or those of a stand-in.

    Args:
        root: The data set's folder.
        official: The published counts; not needed where the folder is known to be a stand-in.

    Returns:
        ``official``, unless ``root`` is marked as a stand-in by its ``STANDIN.txt``.

    Raises:
        UserError: The mark is damaged.
    """
    mark = root / STANDIN
    if official is not None and not mark.exists():
        return official
    pairs = [line.split(" = ") for line in mark.read_text(encoding="utf-8").splitlines()]
    values = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    try:
        return Counts(
            **{field.name: int(values[field.name]) for field in dataclasses.fields(Counts)}
        )
    except (KeyError, ValueError) as error:
        raise UserError(f"{mark} is damaged ({error}): write the stand-in again") from error


def mark_standin(root: Path, text: str, counts: Counts) -> None:
    """Mark a folder as a stand-in: ``STANDIN.txt`` with a sentence and the counts."""
    lines = [f"{name} = {value}" for name, value in dataclasses.asdict(counts).items()]
    write_text(root / STANDIN, "\n".join([text, "", *lines, ""]))


def load_official(
    name: str,
    root: Path,
    official: Counts,
    *,
    sources: list[Path],
    build: Callable[[Counts], Catalog],
    options: dict | None = None,
) -> Catalog:
    """Load a benchmark from its cached table, or build, check and cache it.

    Args:
        name: Registry name.
        root: The data set's folder (holds ``STANDIN.txt`` if it is one).
        official: The published counts.
        sources: The files that ``build`` reads; the cache holds until one of them changes.
        build: Makes the catalog, given the counts to hold to.
        options: The loader's options.

    Returns:
        The catalog, with ``options`` and, for a stand-in, ``stand_in: True`` among its options.

    Raises:
        UserError: A source is missing, or the counts are not those expected.
    """
    for source in sources:
        if not source.is_file():
            # Under a hidden name it is being unpacked from an archive: no --data to put right.
            advice = "" if root.name.startswith(".") else "; give its folder with --data"
            raise UserError(f"data set {name!r} at {root}: {source} is missing{advice}")
    counts = counts_at(root, official)
    options = dict(options or {})
    stamps = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in sources]
    where = f"{name}-{fingerprint(str(root.resolve()), options)}"
    cached = cache_folder("catalogs") / f"{where}-{fingerprint(VERSION, stamps)}.parquet"
    marked = options | ({"stand_in": True} if is_standin(root) else {})
    if cached.exists():
        items = pd.read_parquet(cached)
        title, base = items.attrs["title"], root / items.attrs["below"]
        check_counts(name, items, counts)
        return Catalog(name, base, plain_text(items), title, marked)
    catalog = build(counts)
    check_counts(name, catalog.items, counts)
    if root.name.startswith("."):  # being unpacked, about to be renamed: not worth remembering
        return catalog
    for old in cached.parent.glob(f"{where}-*.parquet"):
        old.unlink()
    items = catalog.items.copy()
    items.attrs = {
        "title": catalog.query_gallery_title,
        "below": os.path.relpath(catalog.root, root),
    }
    with atomic_path(cached) as temporary:
        items.to_parquet(temporary)
    return dataclasses.replace(catalog, options=marked)


def check_counts(name: str, items: pd.DataFrame, counts: Counts) -> None:
    """Compare a catalog with the counts expected of it.

    Raises:
        UserError: Says what was expected and found, train / test.
    """
    rows = [items[items["split"] == split] for split in ("train", "test")]
    queries = int((rows[1]["role"] == "query").sum())
    classes = [part["label"].nunique() for part in rows]
    for what, expected, found in (
        ("images", (counts.train_images, counts.test_images), [len(part) for part in rows]),
        ("classes", (counts.train_classes, counts.test_classes), classes),
        ("queries", (0, counts.queries), [0, queries]),
    ):
        if tuple(expected) != tuple(found):
            raise UserError(
                f"data set {name!r}: expected {expected[0]:,} / {expected[1]:,} train / test "
                f"{what}, found {found[0]:,} / {found[1]:,}: its lists are not the official ones"
            )


def first_existing(*paths: Path) -> Path:
    """Return the first path that exists, else the first path."""
    return next((path for path in paths if path.exists()), paths[0])


def read_table(
    path: Path, columns: dict[str, type], *, skip: int = 0, separator: str = " "
) -> pd.DataFrame:
    """Read a list file with one row per line.

    Args:
        path: The file.
        columns: Column names and types, in file order.
        skip: Header lines.
        separator: One character, or a regular expression.

    Returns:
        One row per line.

    Raises:
        UserError: The file is malformed; names the file and what is wrong.
    """
    try:
        table = pd.read_csv(
            path, sep=separator, names=list(columns), skiprows=skip, dtype=columns, quoting=3
        )
        if not isinstance(table.index, pd.RangeIndex):  # pandas takes a value too many for a label
            raise ValueError("too many columns")
    except (ValueError, pd.errors.ParserError) as error:
        _check_widths(path, columns, skip, separator)
        where = _malformed(path, columns, skip, separator)
        words = where or ": not the expected list: " + str(error).splitlines()[0].strip()
        raise UserError(f"{path}{words} (columns: {', '.join(columns)})") from error
    bad = table.isna().any(axis=1)
    if bad.any():
        row = int(bad.to_numpy().argmax()) + skip + 1
        raise UserError(f"{path} row {row}: expected {', '.join(columns)}")
    return table


def _check_widths(path: Path, columns: dict[str, type], skip: int, separator: str) -> None:
    """Refuse the first row of a list that has more values than there are columns."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for row, line in enumerate(file, 1):
            cells = re.split(separator, line.strip() if len(separator) > 1 else line.rstrip("\r\n"))
            if row > skip and len(cells) > len(columns):
                expected = f"expected {', '.join(columns)}; found {len(cells)} values"
                raise UserError(f"{path} row {row}: {expected}")


def _malformed(path: Path, columns: dict[str, type], skip: int, separator: str) -> str:
    """Say in which row of a list the first value is no (whole) number; empty if none is."""
    try:
        table = pd.read_csv(
            path, sep=separator, names=list(columns), skiprows=skip, dtype=str, quoting=3
        )
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

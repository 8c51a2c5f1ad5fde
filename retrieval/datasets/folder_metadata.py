"""Metadata of a folder of images: a table beside the photos, such as a CSV file of prices.

The table names an image per row by its path (as ``metadata.csv`` of Hugging Face's ``imagefolder``
does in ``file_name``), or a class by its name, whose images then share the row.
"""

import os
import posixpath
import shlex
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrieval.datasets.image_files import is_junk, printable
from retrieval.datasets.metadata import (
    clash_remarks,
    join_tables,
    refused_remarks,
    stored_names,
    take_rows,
    text_remarks,
    typed_table,
    with_decimal_points,
)
from retrieval.datasets.tables import (
    COLUMN_NAMES,
    TABLE_SUFFIXES,
    Table,
    cell_texts,
    column_called,
    column_name,
    read_named_table,
    usual_column,
)
from retrieval.datasets.text_files import delimiter_of
from retrieval.errors import UserError, counted, did_you_mean

STEM = "metadata"  # of the file that is read without being asked for
NO_METADATA = "none"
NAMES_SHOWN = 6
ROWS_TRIED = 100  # of a column that may hold the paths of the images, under another name


@dataclass(frozen=True)
class FolderMetadata:
    """What is known about the images of a folder besides their classes.

    Attributes:
        columns: One row per image; none without metadata.
        remarks: What a user should know about how it was read, one line each.
        tables: The tables that were read. Defaults to none.
    """

    columns: pd.DataFrame
    remarks: list[str]
    tables: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Joined:
    """One table: its row of each image (-1 for none), and what it says about them."""

    source: Path
    rows: np.ndarray
    columns: pd.DataFrame
    is_text: bool
    remarks: list[str]


def read_metadata(
    root: Path,
    paths: Sequence[str],
    classes: Sequence[str],
    *,
    file: str | None = None,
    path: str | None = None,
    label: str | None = None,
    splits: Sequence[str] = (),
) -> FolderMetadata:
    """Read what tables beside the images of a folder say about them.

    Args:
        root: The folder.
        paths: POSIX path of each of n images, relative to it.
        classes: Class of each image; empty if it has none.
        file: The table; ``none`` for no metadata. Defaults to None: ``metadata.csv`` (``.tsv``,
            ``.parquet``, ``.jsonl``) in the folder and in those of splits, or else the only table
            in the folder whose rows name its images or classes.
        path: Name of the column of the paths. Defaults to the usual names.
        label: Name of the column of the classes, to join by these. Defaults to the usual names,
            in a table without a column of paths.
        splits: Folders of the splits, relative to the root. Defaults to none.

    Raises:
        UserError: The table is missing or malformed, has no such column, names no image of the
            folder or names one twice; or the only table has the paths in a column of another name.
    """
    nothing = pd.DataFrame(index=pd.RangeIndex(len(paths)))
    if file == NO_METADATA:
        return FolderMetadata(nothing, [])
    images = _Images(paths, classes)
    asked = file is not None or path is not None or label is not None
    remarks: list[str] = []
    if file is not None:
        tables = [(_find(root, file), "")]
    else:
        tables = [(table, prefix) for prefix in ("", *splits) for table in _called(root, prefix)]
    if tables:
        joined = [_join(root, *each, images, path, label) for each in tables]
    else:
        joined, remarks = _only_table(root, images, path, label)
        if not joined:
            if asked:
                raise UserError(
                    f"{root}: no table in it names its images: give one with --metadata FILE"
                )
            return FolderMetadata(nothing, remarks)
    return _together(joined, nothing, remarks)


class _Images:
    """The images of a folder by path, by name and by class."""

    def __init__(self, paths: Sequence[str], classes: Sequence[str]) -> None:
        self.paths, self.classes = list(paths), list(classes)
        self.by_path = {_normal(path): at for at, path in enumerate(paths)}
        self.by_name: dict[str, list[int]] = {}
        for at, path in enumerate(paths):
            self.by_name.setdefault(_normal(posixpath.basename(path)), []).append(at)
        self.by_class: dict[str, list[int]] = {}
        for at, name in enumerate(classes):
            if not name:  # embedded without classes
                continue
            self.by_class.setdefault(_normal(name), []).append(at)
        # The cells of a table are read without the spaces around them.
        _add_without_spaces(self.by_path)
        _add_without_spaces(self.by_name)
        _add_without_spaces(self.by_class)

    def named(self, text: str, root: Path, prefix: str) -> list[int]:
        """Return the image that a path stands for; several if it is the name of several."""
        if os.path.isabs(text):
            text = os.path.relpath(text, root)
            prefix = ""
        place = _normal(posixpath.normpath(text.replace("\\", "/")))
        above = place.removeprefix(f"{_normal(root.name)}/")
        for wanted in (posixpath.join(_normal(prefix), place), place, above):
            if wanted in self.by_path:
                return [self.by_path[wanted]]
        return self.by_name.get(place, []) if "/" not in place else []


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _add_without_spaces(found: dict[str, Any]) -> None:
    """Let names that begin or end with spaces be found without these too, if no other is so."""
    spaced = [name for name in found if name != name.strip()]
    once = Counter(name.strip() for name in spaced)
    for name in spaced:
        if once[name.strip()] == 1:
            found.setdefault(name.strip(), found[name])


def _find(root: Path, file: str) -> Path:
    for path in (Path(file), root / file):
        if os.path.isfile(path):
            if path.suffix.lower() not in TABLE_SUFFIXES:
                raise UserError(
                    f"--metadata {path}: not a table, which ends in {', '.join(TABLE_SUFFIXES)}"
                )
            return path
    raise UserError(f"--metadata {file}: no such file (looked here and in {root})")


def _tables(folder: Path) -> list[Path]:
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from error
    return [
        path
        for path in found
        if path.suffix.lower() in TABLE_SUFFIXES and not is_junk(path.name) and path.is_file()
    ]


def _called(root: Path, prefix: str) -> list[Path]:
    """Return the table of a folder that is called ``metadata``, if any."""
    found = [path for path in _tables(root / prefix) if path.stem.lower() == STEM]
    if len(found) > 1:
        raise UserError(
            f"{root / prefix}: {found[0].name} and {found[1].name} are both its metadata: keep "
            "one, or give one with --metadata FILE"
        )
    return found


def _only_table(
    root: Path, images: _Images, path: str | None, label: str | None
) -> tuple[list[_Joined], list[str]]:
    """Read the one table of a folder that names its images, whatever it is called."""
    found, remarks = [], []
    misnamed: list[_Misnamed] = []
    for table in _tables(root):
        try:
            joined = _join(root, table, "", images, path, label)
        except UserError as error:
            if path is not None or label is not None:
                raise
            if isinstance(error, _Misnamed):
                misnamed.append(error)
            elif not isinstance(error, _NotOfTheFolder):
                remarks.append(f"{error}; so it is not read as metadata")
            continue
        found.append(joined)
    if len(found) > 1:
        names = ", ".join(printable(each.source.name) for each in found)
        return [], [
            f"{root}: {names} name its images: give one of them with --metadata FILE to keep its "
            "columns"
        ]
    if misnamed and not found:
        raise misnamed[0]
    return found, remarks + [f"{error}; so it is not read as metadata" for error in misnamed]


class _NotOfTheFolder(UserError):
    """A table that says nothing about the images of the folder."""


class _Misnamed(UserError):
    """A table whose column of paths is not called so, e.g. by a typo."""


def _join(
    root: Path, source: Path, prefix: str, images: _Images, path: str | None, label: str | None
) -> _Joined:
    """Find the row of each image in a table."""
    table = read_named_table(source)
    names = [str(name) for name in table.frame]
    key = column_called(path, names, "path", source) if path is not None else None
    by_class = key is None and label is not None
    if by_class and label is not None:
        key = column_called(label, names, "label", source)
    if key is None:
        key = usual_column("path", names)
    if key is None:
        key, by_class = usual_column("label", names), True
    if key is None:
        _check_names(root, source, table, prefix, images)
        raise _NotOfTheFolder(
            f"{source}: no column of paths, such as `file_name`, or of classes: name it with "
            "--path COLUMN"
        )
    texts = cell_texts(table.frame[key])
    rows = np.full(len(images.paths), -1)
    lost: list[int] = []
    for at, text in enumerate(texts):
        if by_class:
            found = images.by_class.get(_normal(text), [])
        else:
            found = images.named(text, root, prefix) if text else []
        if not found:
            lost.append(at)
        elif len(found) > 1 and not by_class:
            shown = " and ".join(printable(images.paths[image]) for image in found[:2])
            raise UserError(
                f"{source} row {table.numbers[at]}: {printable(text)!r} is the name of "
                f"{counted(len(found), 'image')}, e.g. {shown}: write the path"
            )
        elif rows[found[0]] >= 0:
            earlier = table.numbers[rows[found[0]]]
            if by_class and label is None:
                _check_names(root, source, table, prefix, images)
                raise UserError(
                    f"{source}: no column of paths, such as `file_name`, and its classes repeat: "
                    f"{printable(text)!r} is in rows {earlier} and {table.numbers[at]} of "
                    f"{key!r}: name the column of paths with --path COLUMN"
                )
            raise UserError(
                f"{source} row {table.numbers[at]}: {printable(text)!r} is in row {earlier} "
                "already: keep one of them"
            )
        else:
            rows[found] = at
    if len(lost) == len(texts):
        if path is None and label is None:
            _check_names(root, source, table, prefix, images)
        known = images.classes if by_class else images.paths
        what = "class" if by_class else "image"
        first = f": its first is {printable(texts[0])!r}" if texts else ""
        raise _NotOfTheFolder(
            f"{source}: no value of its column {key!r} names one of the {what}s of {root}{first}, "
            f"and the first {what} is {printable(known[0])!r}"
        )
    return _described(source, table, key, rows, lost, images, by_class=by_class)


def _check_names(root: Path, source: Path, table: Table, prefix: str, images: _Images) -> None:
    """Refuse a table that names the images in a column that is not called as such columns are.

    Raises:
        _Misnamed: At least half of the values of a column are images, each another one.
    """
    for name in map(str, table.frame):
        texts = [text for text in cell_texts(table.frame[name].head(ROWS_TRIED)) if text]
        found = [images.named(text, root, prefix) for text in texts]
        named = [each[0] for each in found if len(each) == 1]
        if named and 2 * len(named) >= len(texts) and len(set(named)) == len(named):
            usual = did_you_mean(column_name(name), COLUMN_NAMES["path"])
            raise _Misnamed(
                f"{source}: the paths of the images are in its column {printable(name)!r}: {usual}"
                f"rename it, or give --path {shlex.quote(name)} (or --metadata {NO_METADATA}, to "
                "read no table)"
            )


def _described(
    source: Path,
    table: Table,
    key: str,
    rows: np.ndarray,
    lost: list[int],
    images: _Images,
    *,
    by_class: bool,
) -> _Joined:
    """Return the columns of a table, and say which rows and images have no partner."""
    others = [name for name in table.frame if name != key]
    stored = stored_names(map(str, others), source)
    # Rows without an image tell nothing of the types of the columns.
    used = np.unique(rows[rows >= 0])
    frame = table.frame[others].rename(columns=stored).iloc[used].reset_index(drop=True)
    rows = np.where(rows >= 0, np.searchsorted(used, rows), -1)
    remarks = clash_remarks(stored, source)
    if table.is_text:
        frame = with_decimal_points(frame, delimiter_of(source))
        remarks += text_remarks(frame, [table.numbers[at] for at in used], source)
    else:
        frame, refused = typed_table(frame)
        remarks += refused_remarks(refused, source)
    shown = ", ".join(list(frame)[:NAMES_SHOWN]) + (", ..." if frame.shape[1] > NAMES_SHOWN else "")
    have = int((rows >= 0).sum())
    line = f"{source}: {shown or 'no columns'} of {have:,} of {counted(len(rows), 'image')}"
    if by_class:
        line += f", by their class in column {key!r}"
    if have < len(rows):
        first = printable(images.paths[int(np.argmax(rows < 0))])
        line += f"; without a row: {len(rows) - have:,}, first {first}"
    if lost:
        text = cell_texts(table.frame[key].iloc[lost[:1]])[0]
        what = "class" if by_class else "image"
        line += (
            f"; {counted(len(lost), 'row')} without an {what}, first row "
            f"{table.numbers[lost[0]]}: {printable(text)!r}"
        ).replace("an class", "a class")
    return _Joined(source, rows, frame, table.is_text, [line, *remarks])


def _together(joined: list[_Joined], nothing: pd.DataFrame, remarks: list[str]) -> FolderMetadata:
    """Return the columns of all tables; the tables of two splits are about different images."""
    rows, first = np.full(len(nothing), -1), 0
    for each in joined:
        given = each.rows >= 0
        if (rows[given] >= 0).any():
            raise UserError(
                f"{each.source}: an image in it has a row in {joined[0].source} too: keep one"
            )
        rows[given] = first + each.rows[given]
        first += len(each.columns)
    table = join_tables([(each.columns, each.is_text) for each in joined])
    columns = take_rows(table, rows) if table.shape[1] else nothing
    sources = tuple(each.source for each in joined)
    return FolderMetadata(
        columns, [*(line for each in joined for line in each.remarks), *remarks], sources
    )

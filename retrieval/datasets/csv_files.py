"""Your own images, listed in files: CSV, TSV, Parquet or JSON lines.

A list has names of columns, e.g. ``path,label``, or it is text with rows
``class id,relative path`` as the original baseline wrote them.
"""

import os
import posixpath
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import pandas as pd

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import ROLES, Catalog, make_catalog, number_classes
from retrieval.datasets.checks import find_missing
from retrieval.datasets.folder import Singletons, check_singletons, resolve_singletons
from retrieval.datasets.image_files import printable
from retrieval.datasets.metadata import (
    clash_remarks,
    join_tables,
    refused_remarks,
    stored_names,
    text_remarks,
    typed_table,
    with_decimal_points,
)
from retrieval.datasets.splits import (
    ClassList,
    Part,
    part_of,
    remarks_on_names,
    remarks_on_splits,
    split_classes,
)
from retrieval.datasets.tables import (
    COLUMN_NAMES,
    Line,
    cell_texts,
    column_called,
    column_name,
    is_row_numbers,
    is_typed,
    read_lines,
    read_typed,
)
from retrieval.datasets.text_files import delimiter_of
from retrieval.errors import UserError, counted, unknown_option

DUPLICATES = ("refuse", "drop", "keep")
PLAIN = {"label": 0, "path": 1}  # the columns without a header
SWAPPED = {"label": 1, "path": 0}
PATHS_ONLY = {"path": 0}
FORMAT = "`class id,relative path`"
FLAG_VALUES = {"0", "1", "0.0", "1.0", "true", "false", "yes", "no", "y", "n", "t", "f", ""}
SHOWN_PARTS = ("train", "validation", "test", "query", "gallery")
SHOWN = 100  # characters of a row in a message


@dataclass(frozen=True, slots=True)  # lists may have millions of rows
class Row:
    """One image of a CSV file.

    Attributes:
        source: The CSV file.
        number: Line of the file, from 1.
        label: The class, as it is written.
        path: POSIX path relative to the image folder.
        part: The split and role that the row gives; None without a column for the split.
        role: ``query``, ``gallery`` or ``both``.
        at: Its row of the metadata of all lists. Defaults to 0.
    """

    source: Path
    number: int
    label: str
    path: str
    part: Part | None = None
    role: str = "both"
    at: int = 0

    @property
    def where(self) -> str:
        """The file and the line, for messages."""
        return f"{self.source} row {self.number}"

    @property
    def split(self) -> str:
        """The split that the row gives; empty without one."""
        return self.part.split if self.part is not None else ""


@dataclass(frozen=True)
class Listing:
    """The content of one list.

    Attributes:
        rows: Its rows, in the order of the file.
        metadata: One row for each of them: the columns besides the class, the path, the split and
            the role.
        is_text: Whether the metadata is all text, as it is written in a CSV file.
    """

    rows: list[Row]
    metadata: pd.DataFrame
    is_text: bool


def load(
    root: Path,
    *,
    csv: str | None = None,
    train_csv: str | None = None,
    test_csv: str | None = None,
    label: str | None = None,
    path: str | None = None,
    image_root: str | None = None,
    test_fraction: float = 0.5,
    split_seed: int = 0,
    train_classes: ClassList | None = None,
    test_classes: ClassList | None = None,
    singletons: str | None = None,
    duplicates: str = "refuse",
) -> Catalog:
    """Load images listed in one file (split here) or in two (train and test).

    Columns are recognized by a header, in any order: the image (``path``, ``file``, ``image``,
    ...), the class (``label``, ``class``, ``class_id``, ...), and optionally ``split`` (``train``,
    ``validation``, ``test``, ``query`` or ``gallery``) and ``role`` (``query``, ``gallery`` or
    ``both``). Without a header, rows are ``class id,relative path``. Commas, semicolons and tabs
    separate columns. Every other column, such as a price, is kept with the items, in the type of
    its values: see :mod:`retrieval.datasets.metadata`.

    Args:
        root: The list itself; or a folder in which lists are looked up that are not in the working
            directory.
        csv: List whose classes are to be split, unless it has a column ``split``: CSV or TSV with a
            header such as ``path,label`` or with rows ``class id,relative path``, Parquet
            (``.parquet``) or JSON lines (``.jsonl``). Give either this or both ``train_csv`` and
            ``test_csv``. Defaults to the data set's own path, if that is a file.
        train_csv: List of the training images, in a format of ``csv``.
        test_csv: List of the test images, in a format of ``csv``.
        label: Name of the column of the class, e.g. sku. Defaults to the usual names.
        path: Name of the column of the image's path, e.g. file. Defaults to the usual names.
        image_root: Folder that the paths in the lists are relative to. Defaults to the folder of
            the list that the data set's path is, or else to the data set's folder.
        test_fraction: Share of the classes in the test split, between 0 and 1; used without class
            lists. Defaults to 0.5.
        split_seed: Seed of the random split into training and test classes. Defaults to 0.
        train_classes: Training classes, instead of a random split: class ids separated by commas,
            or ``@FILE`` with one per line. Defaults to every class not in ``test_classes``.
        test_classes: Test classes, given like ``train_classes``. Defaults to every class not in
            ``train_classes``.
        singletons: What to do with training classes of a single image, which have no pair of two
            different images: ``refuse`` them, ``drop`` them or ``keep`` them. Defaults to ``keep``
            for lists that name the split, whose training set is not to be changed, and to
            ``refuse`` for a split that is made here.
        duplicates: What to do with images that are listed more than once: ``refuse`` them, ``drop``
            rows that repeat another one, or ``keep`` all rows. Defaults to ``refuse``.

    Returns:
        The catalog. Labels are the class ids if all are integers as Python writes them (7, not
        007), or else their sorted order.

    Raises:
        UserError: A list is missing or malformed, a row names no file, or the split is invalid.
    """
    if singletons is not None:
        check_singletons(singletons)
    if duplicates not in DUPLICATES:
        raise unknown_option("value of option duplicates", duplicates, DUPLICATES)
    options = {
        "csv": csv,
        "train_csv": train_csv,
        "test_csv": test_csv,
        "image_root": image_root,
        "test_fraction": test_fraction,
        "split_seed": split_seed,
        "train_classes": train_classes,
        "test_classes": test_classes,
    }
    named = {kind: name for kind, name in (("label", label), ("path", path)) if name is not None}
    options |= named  # runs of version 0.1.0 do not record them
    lists = [csv] if csv is not None else [name for name in (train_csv, test_csv) if name]
    if os.path.isfile(root):
        if lists:
            raise UserError(f"the data set is the list {root}: drop the list {lists[0]}")
        csv, root = str(root), Path(root).parent
    images = Path(image_root) if image_root is not None else Path(root)
    if not os.path.isdir(images):
        raise UserError(f"no image folder at {images}: give it with --image-root DIR")
    remarks: list[str] = []
    if csv is not None and train_csv is None and test_csv is None:
        listings = [read_listing(_find(root, csv), images, remarks, named=named)]
        rows = listings[0].rows
    elif csv is None and train_csv is not None and test_csv is not None:
        listings, rows = [], []
        for split, file in (("train", train_csv), ("test", test_csv)):
            listing = read_listing(_find(root, file), images, remarks, named=named)
            rows += _of_split(listing.rows, split, sum(len(each.rows) for each in listings))
            listings.append(listing)
    else:
        raise UserError("give either --csv FILE, or both --train-csv FILE and --test-csv FILE")
    if duplicates != "keep":
        rows = without_repeats(rows, drop=duplicates == "drop")
    if rows[0].part is None:
        split_of = split_classes(
            [row.label for row in rows],
            test_fraction=test_fraction,
            split_seed=split_seed,
            train_classes=train_classes,
            test_classes=test_classes,
        )
        listed = [(row, split_of[row.label]) for row in rows if row.label in split_of]
    else:
        if train_classes is not None or test_classes is not None:
            given = "the column `split` is" if csv is not None else "train_csv and test_csv are"
            raise UserError(f"{given} the split: drop the class lists")
        listed = [(row, row.part.split) for row in rows if row.part is not None]
        if all(split != "test" for _, split in listed):
            raise UserError(f"{rows[0].source}: no rows of the split 'test'")
        remarks += remarks_on_splits([split for _, split in listed])
    lone = resolve_singletons(
        singletons,
        [row.label for row, _ in listed],
        [split for _, split in listed],
        is_given=rows[0].part is not None,
    )
    listed = [item for item, kept in zip(listed, lone.kept, strict=True) if kept]
    options["singletons"] = lone.option
    if duplicates != "refuse":  # runs of version 0.1.0 do not record it
        options["duplicates"] = duplicates
    metadata, said = _metadata_of(listings, [row for row, _ in listed])
    remarks += said
    return _catalog(images, listed, metadata, options, [*remarks, *lone.remarks], lone)


def _metadata_of(
    listings: Sequence[Listing], rows: Sequence[Row]
) -> tuple[pd.DataFrame, list[str]]:
    """Return the metadata of rows, in types that the values of these tell; and remarks."""
    tables, remarks, first = [], [], 0
    for listing in listings:
        n = len(listing.metadata)
        kept = [row for row in rows if first <= row.at < first + n]
        table = listing.metadata.iloc[[row.at - first for row in kept]].reset_index(drop=True)
        if listing.is_text and kept:
            remarks += text_remarks(table, [row.number for row in kept], kept[0].source)
        tables.append((table, listing.is_text))
        first += n
    return join_tables(tables), remarks


def read_listing(
    path: Path,
    images: Path,
    remarks: list[str] | None = None,
    *,
    needs_class: bool = True,
    accepts_missing: bool = False,
    missing_fix: str = "",
    named: Mapping[str, str] | None = None,
) -> Listing:
    """Read one list and check that every row names a file.

    Args:
        path: The list; see :func:`retrieval.datasets.text_files.read_text` for the encoding of
            text. Blank lines and a header are skipped.
        images: Folder that the rows' paths are relative to.
        remarks: Takes up lines for the user, e.g. which columns are not read. Defaults to None.
        needs_class: Whether every row needs a class. Defaults to True; otherwise, a list may also
            have paths only.
        accepts_missing: Whether some rows may name no file. Defaults to False.
        missing_fix: What else can be done about such rows, for the message. Defaults to nothing.
        named: ``label`` or ``path`` -> name of that column. Defaults to the usual names.

    Returns:
        The rows in the order of the file, their paths POSIX and relative to ``images``; and what
        else the list says about them.

    Raises:
        UserError: Names the file and the row at fault.
    """
    remarks = [] if remarks is None else remarks
    table = None
    if is_typed(path):
        table, numbers = read_typed(path)
        lines = _lines_of(table, numbers)
    else:
        lines = list(read_lines(path))
    columns = _header(path, lines[0], images, needs_class, named or {}) if lines else None
    if columns is None and table is not None:
        raise UserError(f"{path}: no columns such as `path` and `label`: name them so")
    kept: dict[int, str] = {}
    if columns is not None:
        header, lines = lines[0][1], lines[1:]
        unread = {n: name for n, name in enumerate(header) if n not in columns.values()}
        kept = _metadata_names(unread, lines)
        _refuse_other_splits(path, kept, columns, lines)
        stored = stored_names(kept.values(), f"{path} row 1")
        remarks += clash_remarks(stored, path)
        kept = {at: stored[name] for at, name in kept.items()}
    if not lines:
        raise UserError(f"{path}: no rows {FORMAT} or below a header such as `path,label`")
    if columns is None and not needs_class and all(len(cells) == 1 for _, cells in lines):
        rows = _rows(path, lines, images, PATHS_ONLY, plain=True)
    elif columns is None:
        rows = _rows(path, lines, images, PLAIN, plain=True)
        if _missing(rows, images) and (swapped := _swapped(path, lines, images)):
            remarks.append(f"{path}: read as rows `relative path,class id`")
            rows = swapped
    else:
        rows = _rows(path, lines, images, columns, width=len(header))
    missing = _missing(rows, images)
    if missing and (not accepts_missing or len(missing) == len(rows)):
        first = rows[missing[0]]
        more = f" ({counted(len(missing) - 1, 'more row')} like it)" if len(missing) > 1 else ""
        hint = ""
        if first.label and os.path.isfile(images / first.label):
            hint = ": the columns of the path and the class are swapped there"
        elif (
            columns is None and first is rows[0] and _is_one_too_many(path, lines, images, missing)
        ):
            hint = ": if the row is a header, name its columns `label` and `path`"
            more = ""
        elif missing_fix:
            hint = f": {missing_fix}"
        raise UserError(f"{first.where}: no file {_shown(str(images / first.path))}{more}{hint}")
    metadata, refused = _metadata(kept, lines, table)
    remarks += refused_remarks(refused, path)
    if table is None:
        metadata = with_decimal_points(metadata, delimiter_of(path))
    return Listing(rows, metadata, is_text=table is None)


def _metadata_names(unread: Mapping[int, str], lines: Sequence[Line]) -> dict[int, str]:
    """Name the columns of a list that are metadata; of those without a name, only real ones."""
    names = {}
    for at, name in unread.items():
        if name:
            names[at] = name
        else:
            values = [cells[at] if at < len(cells) else "" for _, cells in lines]
            if any(values) and not is_row_numbers(values):
                names[at] = f"column_{at + 1}"
    return names


def _metadata(
    kept: Mapping[int, str], lines: Sequence[Line], table: pd.DataFrame | None
) -> tuple[pd.DataFrame, list[str]]:
    """Return the metadata of a list, and the names of the columns that are none."""
    if table is not None:
        return typed_table(
            pd.DataFrame({name: table.iloc[:, at] for at, name in kept.items()}, table.index)
        )
    columns = {
        name: pd.array([cells[at] if at < len(cells) else "" for _, cells in lines], dtype="str")
        for at, name in kept.items()
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(len(lines))), []


def _lines_of(table: pd.DataFrame, numbers: Sequence[int]) -> list[Line]:
    """Return a table that has types as lines of text, its header first."""
    header = [str(name) for name in table]
    cells = zip(*(cell_texts(table[name]) for name in table), strict=True)
    return [(1, header), *((n, list(row)) for n, row in zip(numbers, cells, strict=True))]


def without_repeats(rows: list[Row], *, drop: bool) -> list[Row]:
    """Refuse or drop rows that list an image again.

    Args:
        rows: The rows of all lists.
        drop: Whether to drop a row that repeats another one in full. An image of two classes or of
            two splits is refused in any case.

    Returns:
        The rows without repetitions.

    Raises:
        UserError: Names the first two rows of one image, and counts the others.
    """
    first: dict[str, Row] = {}
    repeats = [row for row in rows if first.setdefault(row.path, row) is not row]
    for row in repeats:
        before = first[row.path]
        for what, one, other in (
            ("class", before.label, row.label),
            ("split", before.split, row.split),
            ("role", before.role, row.role),
        ):
            if one != other:
                raise UserError(
                    f"{row.where}: {_shown(row.path)} has the {what} {_shown(other)!r} here and "
                    f"{_shown(one)!r} in {before.where}: correct one, or give "
                    "--duplicates keep"
                )
    if repeats and not drop:
        row = repeats[0]
        more = f" ({counted(len(repeats) - 1, 'more row')} like it)" if len(repeats) > 1 else ""
        raise UserError(
            f"{row.where}: repeats {first[row.path].where}: {_shown(row.path)}{more}: remove it, "
            "or give --duplicates drop (or keep)"
        )
    repeated = {id(row) for row in repeats}
    return [row for row in rows if id(row) not in repeated]


def _header(
    path: Path, line: Line, images: Path, needs_class: bool, named: Mapping[str, str]
) -> dict[str, int] | None:
    """Return the column of each kind if a row is a header; None if it is not."""
    number, cells = line
    names = [column_name(cell) for cell in cells]
    columns = {}
    for kind, given in named.items():
        called = column_called(given, cells, kind, path)
        if cells.count(called) > 1:
            raise UserError(f"{path} row {number}: two columns are called {_shown(called)!r}")
        columns[kind] = cells.index(called)
    if len(set(columns.values())) < len(columns):
        raise UserError(f"{path}: the class and the path cannot both be in {named['label']!r}")
    for kind, known in COLUMN_NAMES.items():
        if kind in columns:
            continue
        free = [name for at, name in enumerate(names) if at not in columns.values()]
        if found := next((name for name in known if name in free), None):
            if free.count(found) > 1:
                raise UserError(f"{path} row {number}: two columns are called {found!r}")
            columns[kind] = next(
                at for at, name in enumerate(names) if name == found and at not in columns.values()
            )
    if "path" in columns and ("label" in columns or not needs_class):
        return columns
    looks_like_names = all(not set(name) & set("./\\") for name in names)
    if named and not looks_like_names:
        raise UserError(f"{path}: --{next(iter(named))} names a column, but there is no header")
    if not looks_like_names or any(os.path.isfile(images / c) for c in cells):
        return None
    if not columns:
        if len(cells) < 2 or any(cell.isdigit() or not cell for cell in cells):
            return None  # a row, and not a header
        what, fix = ("image or class", "--path COLUMN --label COLUMN")
        if not needs_class:
            what, fix = "image", "--path COLUMN"
        raise UserError(
            f"{path}: no column of the {what} is found: name it with {fix}; its columns: "
            f"{_shown(', '.join(cells))}"
        )
    kind = "label" if "path" in columns else "path"
    raise UserError(
        f"{path} row {number}: the header {_shown(','.join(cells))!r} has no column for the "
        f"{'class' if kind == 'label' else 'image'}: call it {kind!r}, or "
        f"name it with --{kind} COLUMN"
    )


def _shown(text: str) -> str:
    """Return a field as a message shows it: in one line, and not longer than that."""
    return printable(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")


def _swapped(path: Path, lines: Sequence[Line], images: Path) -> list[Row]:
    """Read a list without a header as `relative path,class id`; none if a row names no file."""
    try:
        rows = _rows(path, lines, images, SWAPPED, plain=True)
    except UserError:  # what is wrong with it as `class id,relative path` is said instead
        return []
    return [] if _missing(rows, images) else rows


def _rows(
    path: Path,
    lines: Sequence[Line],
    images: Path,
    columns: dict[str, int],
    *,
    plain: bool = False,
    width: int | None = None,
) -> list[Row]:
    """Turn the lines of a list into rows.

    Args:
        path: The list.
        lines: Number and cells of each line.
        images: Folder that the paths are relative to.
        columns: Kind of column -> position.
        plain: Whether the list has no header, and no other columns. Defaults to False.
        width: Number of columns of the header. Defaults to None: there is none.
    """
    rows = []
    for at, (number, cells) in enumerate(lines):
        where = f"{path} row {number}"
        while cells and not cells[-1]:  # spreadsheets add empty columns
            cells = cells[:-1]
        value = {kind: cells[place] for kind, place in columns.items() if place < len(cells)}
        if (plain and len(cells) != len(columns)) or not all(
            value.get(kind) for kind in ("label", "path") if kind in columns
        ):
            wanted = f"{FORMAT} (or with ; or a tab)" if plain else "a row with a path and a class"
            raise UserError(f"{where}: {_shown(','.join(cells))!r} is not {wanted}")
        if width is not None and len(cells) > width:
            raise UserError(
                f"{where}: {len(cells)} fields, but the header names {counted(width, 'column')}: "
                "put a field that holds the delimiter in quotation marks"
            )
        part = _part(value.get("split", ""), where) if "split" in columns else None
        rows.append(
            Row(
                path,
                number,
                value.get("label", ""),
                _relative(value["path"], images, where),
                part,
                _role(value.get("role", ""), part, where),
                at,
            )
        )
    return rows


def _is_one_too_many(
    path: Path, lines: Sequence[Line], images: Path, missing: Sequence[int]
) -> bool:
    """Tell whether a list without a header becomes one if its first row is taken for one."""
    return len(missing) == 1 < len(lines) or bool(
        len(lines) > 1 and _swapped(path, lines[1:], images)
    )


def _refuse_other_splits(
    path: Path, unread: dict[int, str], columns: dict[str, int], lines: Sequence[Line]
) -> None:
    """Refuse columns that say the split or the role in a form that is not read.

    Left out in silence, they would let images be trained on that are meant for the test. A column
    of one value divides nothing, e.g. in a list of the training images.
    """
    valid: tuple[str, ...]
    for at, name in unread.items():
        values = {cells[at] for _, cells in lines if at < len(cells)}
        if len(values) < 2:
            continue
        is_flag = {value.lower() for value in values} <= FLAG_VALUES
        part = part_of(column_name(name).removeprefix("is ")) if is_flag else None
        is_split = all(part_of(value) for value in values)
        if "split" not in columns and (is_split or (part and part.role == "both")):
            kind, valid = "split", SHOWN_PARTS
        elif "role" not in columns and part and part.role != "both":
            kind, valid = "role", ROLES
        else:
            continue
        raise UserError(
            f"{path}: the column {_shown(name)!r} would not be read: give a column {kind!r} of "
            f"{', '.join(valid)} instead, or remove it"
        )


def _part(given: str, where: str) -> Part:
    part = part_of(given)
    if part is None:
        raise UserError(f"{where}: split {_shown(given)!r}: valid: {', '.join(SHOWN_PARTS)}")
    return part


def _role(given: str, part: Part | None, where: str) -> str:
    """Return the role of a row from its column of roles, or else from that of splits."""
    of_part = part.role if part is not None else "both"
    role = given.lower() or of_part
    if role not in ROLES:
        raise UserError(f"{where}: role {_shown(given)!r}: valid: {', '.join(ROLES)}")
    if of_part not in ("both", role):
        raise UserError(f"{where}: the split says {of_part!r} and the role {role!r}: correct one")
    return "both" if part is not None and part.split != "test" else role


def _of_split(rows: list[Row], split: str, first: int) -> list[Row]:
    """Return the rows of a file that is one split as a whole; ``first`` rows come before it."""
    for row in rows:
        if row.part is not None and row.part.split != split:
            raise UserError(f"{row.where}: a row of split {row.part.split!r} in the {split} list")
    return [replace(row, part=Part(split, row.role), at=first + row.at) for row in rows]


def _missing(rows: list[Row], images: Path) -> list[int]:
    """Return the positions of rows that name no file.

    Rows are changed in place whose path is spelled in another way than the file's: with the
    backslashes of Windows, with accents as letters of their own, or without
    the spaces around a name.
    """
    missing = find_missing(images, [row.path for row in rows])
    spaced = _with_spaces(images) if missing else {}
    absent = []
    for position in missing:
        path = rows[position].path
        others = [p for p in _spellings(path, spaced) if os.path.isfile(images / p)]
        if others:
            rows[position] = replace(rows[position], path=others[0])
        else:
            absent.append(position)
    return absent


def _with_spaces(images: Path) -> dict[str, str]:
    """Return the entries of a folder whose names begin or end with spaces, which cells lose."""
    return {name.strip(): name for name in os.listdir(images) if name != name.strip()}


def _spellings(path: str, spaced: Mapping[str, str]) -> list[str]:
    slashes = posixpath.normpath(path.replace("\\", "/"))
    first, slash, rest = slashes.partition("/")
    slashes = f"{spaced.get(first.strip(), first)}{slash}{rest}"
    spellings = [slashes, *(unicodedata.normalize(form, slashes) for form in ("NFC", "NFD"))]
    return [p for p in dict.fromkeys(spellings) if p != path and not p.startswith(("../", "/"))]


def _relative(path: str, images: Path, where: str) -> str:
    """Return the path of an image relative to the image folder, which it must lie in."""
    if os.path.isabs(path):
        for folder in (images.absolute(), images.resolve()):
            if PurePath(path).is_relative_to(folder):
                return posixpath.normpath(PurePath(path).relative_to(folder).as_posix())
        raise UserError(f"{where}: {_shown(path)} is not inside the image folder {images}")
    normal = posixpath.normpath(path.replace(os.sep, "/"))
    if normal == ".." or normal.startswith("../"):
        raise UserError(
            f"{where}: {_shown(path)} is not inside the image folder {images}: give the folder "
            "above with --image-root DIR"
        )
    return normal


def _find(root: Path, file: str) -> Path:
    for path in (Path(file), Path(root) / file):
        if os.path.isfile(path):  # unlike Path.is_file, not at a loss if the name is too long
            return path
    raise UserError(f"no list {file} (looked here and in {root})")


def _catalog(
    images: Path,
    listed: list[tuple[Row, str]],
    metadata: pd.DataFrame,
    options: dict,
    remarks: list[str],
    lone: Singletons,
) -> Catalog:
    number = number_classes(row.label for row, _ in listed)
    return make_catalog(
        "csv",
        images,
        path=[row.path for row, _ in listed],
        label=[number[row.label] for row, _ in listed],
        label_name=[row.label for row, _ in listed],
        split=[split for _, split in listed],
        role=[row.role for row, _ in listed],
        metadata=metadata,
        options=options,
        remarks=[*remarks, *remarks_on_names(number)],
        keeps_singletons=lone.accepted,
    )


ENTRY = Dataset(
    name="csv",
    title="Your own images, listed in a file",
    load=load,
    how_to_get="give the list with --data FILE (CSV, TSV, Parquet or JSON lines)",
    splits="two files, or one split by fraction and seed or by lists",
    needs_files=False,
)

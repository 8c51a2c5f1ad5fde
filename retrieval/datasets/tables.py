"""Tables that people bring along: CSV and TSV, which are text, and Parquet and JSON lines."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from retrieval.datasets.text_files import check_columns, delimiter_for, read_text
from retrieval.errors import UserError, did_you_mean

Line = tuple[int, list[str]]  # its number and its cells
# Names of columns in a header, the first found of each kind; spelled as `column_name` does.
COLUMN_NAMES = {
    "label": (
        *("label", "class", "class id", "classid", "class name", "classname", "label name"),
        *("label id", "category", "category id", "category name", "target", "identity", "pid"),
        *("person id", "product id", "item id", "sku", "species", "breed", "class label", "id"),
    ),
    "path": (
        *("path", "relative path", "image path", "img path", "file path", "filepath", "filename"),
        *("file name", "file", "image name", "image file", "image", "img", "images", "photo"),
    ),
    "split": ("split", "subset", "partition", "set", "evaluation status"),
    "role": ("role",),
}
TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
JSON_SUFFIXES = (".jsonl", ".ndjson")
TYPED_SUFFIXES = (".parquet", *JSON_SUFFIXES)
TABLE_SUFFIXES = (*TEXT_SUFFIXES, *TYPED_SUFFIXES)
UNNAMED_INDEX = re.compile(r"__index_level_\d+__")
# JSON writes characters such as emoji in two halves, of which one alone is no text.
HALF = re.compile(r"\\u[dD][89a-fA-F]")
HALVES = re.compile("[\ud800-\udfff]")


def is_typed(path: Path) -> bool:
    """Tell whether a table has columns of types, as Parquet and JSON lines do, by its name."""
    return path.suffix.lower() in TYPED_SUFFIXES


@dataclass(frozen=True)
class Table:
    """A table with names of columns.

    Attributes:
        frame: (n, columns); all text for a CSV file, in which an empty cell is an empty text.
        numbers: Number of each row as messages have it: the line, or the row from 1.
        is_text: Whether the columns are all text, whose types their values tell.
    """

    frame: pd.DataFrame
    numbers: list[int]
    is_text: bool


def read_named_table(path: Path) -> Table:
    """Read a table whose first row names its columns, of any format.

    Args:
        path: The file.

    Raises:
        UserError: The file cannot be read, is not such a table, has two columns of one name, or a
            row is longer than the first; names the row.
    """
    if is_typed(path):
        frame, numbers = read_typed(path)
        return Table(frame, numbers, is_text=False)
    lines = list(read_lines(path))
    if not lines:
        raise UserError(f"{path}: holds no rows")
    header, rows = lines[0][1], lines[1:]
    check_columns([name for name in header if name], path)
    for number, cells in rows:
        if len(cells) > len(header) and any(cells[len(header) :]):
            raise UserError(
                f"{path} row {number}: {len(cells)} fields, but the header names {len(header)}: "
                "put a field that holds the delimiter in quotation marks"
            )
    names = [name or f"column_{at + 1}" for at, name in enumerate(header)]
    columns = {
        name: pd.array([cells[at] if at < len(cells) else "" for _, cells in rows], dtype="str")
        for at, name in enumerate(names)
        if header[at] or not is_row_numbers([c[at] if at < len(c) else "" for _, c in rows])
    }
    return Table(pd.DataFrame(columns), [number for number, _ in rows], is_text=True)


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the line number and the cells of each row of a text that is not blank.

    Args:
        path: The file; commas, semicolons or tabs separate its cells.

    Raises:
        UserError: The file cannot be read, or is not such a table; names the row.
    """
    text = read_text(path)
    first = re.search(r"[^\s][^\r\n]*", text)
    start = first[0].strip() if first else ""
    skipped = None
    if found := re.fullmatch(r"sep=(.)", start, re.IGNORECASE):  # Excel's note of the delimiter
        delimiter, skipped = found[1], start
    else:
        delimiter = delimiter_for(path, start)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    try:
        for raw in reader:
            cells = [cell.strip() for cell in raw]
            if not any(cells) or delimiter.join(cells).strip() == skipped:
                continue
            if any("\n" in cell or "\r" in cell for cell in cells):
                raise UserError(
                    f"{path} row {reader.line_num}: a field goes over several lines: is a "
                    "quotation mark missing? if it is meant so, save the table as Parquet or JSON "
                    "lines"
                )
            yield reader.line_num, cells
    except csv.Error as error:
        raise UserError(
            f"{path} row {reader.line_num}: not a row of a CSV file ({error}): is a quotation mark "
            "missing?"
        ) from error


def column_name(cell: str) -> str:
    """Return a column's name in lower case, its words separated by single spaces."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cell)  # ClassId
    return " ".join(re.sub(r"[_\-\s]+", " ", words).lower().split())


def usual_column(kind: str, names: Sequence[str]) -> str | None:
    """Return the column that is called as columns of a kind usually are; None without one.

    >>> usual_column("path", ["File_Name", "price"])
    'File_Name'

    Args:
        kind: ``label``, ``path``, ``split`` or ``role``.
        names: The columns of a table.
    """
    plain = [column_name(name) for name in names]
    found = next((known for known in COLUMN_NAMES[kind] if known in plain), None)
    return None if found is None else names[plain.index(found)]


def is_row_numbers(values: Sequence[str]) -> bool:
    """Tell whether a column without a name merely numbers the rows, as pandas writes an index."""
    start = 1 if values and values[0] == "1" else 0
    return all(value == str(number) for number, value in enumerate(values, start))


def read_typed(path: Path) -> tuple[pd.DataFrame, list[int]]:
    """Read a table whose columns have types.

    Args:
        path: A Parquet file, or JSON lines: one object per line.

    Returns:
        The table, whole numbers and flags that miss values in pandas' nullable types; and the
        number of each row as messages have it: the line of JSON, or the row from 1.

    Raises:
        UserError: The file cannot be read, or is not such a table; names the row if it can.
    """
    if path.suffix.lower() in JSON_SUFFIXES:
        return _read_json_lines(path)
    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        check_columns(names, path)
        table = file.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (pa.ArrowException, ValueError) as error:
        raise UserError(f"{path}: damaged, or not a Parquet file ({error})") from error
    names = [n for n in names if not is_unnamed_index(file.schema_arrow.field(n))]
    frame = pd.DataFrame({name: plain_arrow(table.column(name)) for name in names})
    return frame, list(range(1, table.num_rows + 1))


def is_unnamed_index(column: pa.Field) -> bool:
    """Tell whether pandas wrote a column of Parquet to number the rows, e.g. of a sorted table."""
    return bool(UNNAMED_INDEX.fullmatch(column.name)) and pa.types.is_integer(column.type)


def plain_arrow(column: pa.ChunkedArray) -> pd.Series:
    """Return a column of Parquet as pandas has it, with its type also where values are missing."""
    kind = column.type
    if column.null_count and pa.types.is_integer(kind):
        return column.to_pandas(types_mapper={kind: pd.Int64Dtype()}.get)
    if column.null_count and pa.types.is_boolean(kind):
        return column.to_pandas(types_mapper={kind: pd.BooleanDtype()}.get)
    return column.to_pandas()


def _read_json_lines(path: Path) -> tuple[pd.DataFrame, list[int]]:
    rows, numbers = [], []
    # `str.splitlines` also ends lines within a text of JSON, e.g. at U+2028 from a web page.
    for number, line in enumerate(io.StringIO(read_text(path), newline=None), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path} row {number}: not JSON ({' '.join(str(error).split())}): give one object "
                "per line"
            ) from error
        if not isinstance(row, dict):
            raise UserError(f'{path} row {number}: not an object such as {{"path": "a.jpg"}}')
        if HALF.search(line) and HALVES.search(json.dumps(row, ensure_ascii=False)):
            raise UserError(
                f"{path} row {number}: half of a character, such as \\ud83d, as of a text that was "
                "cut off: remove it"
            )
        rows.append(row)
        numbers.append(number)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        values = np.empty(len(rows), object)
        values[:] = [row.get(name) for row in rows]
        columns[name] = pd.Series(values)
    return pd.DataFrame(columns), numbers


def cell_texts(column: pd.Series) -> list[str]:
    """Return the values of a column as text: 7 for 7.0, and nothing for a missing one."""
    return [_cell_text(value) for value in column.tolist()]


def _cell_text(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, list | tuple | dict | set | np.ndarray):
        return ""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def column_called(given: str, names: Sequence[str], option: str, where: object) -> str:
    """Return the column that an option names; the case of its letters may differ.

    Args:
        given: What the user gave.
        names: The columns of the table.
        option: The option, for the message, such as ``label``.
        where: The table, for the message.

    Raises:
        UserError: There is no such column, with the closest name; or several differ in case only.
    """
    if given in names:
        return given
    alike = [name for name in names if name.strip().lower() == given.strip().lower()]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise UserError(f"{where}: --{option} {given}: give one of {', '.join(map(repr, alike))}")
    raise UserError(
        f"{where}: no column {given!r}, which --{option} names: "
        f"{did_you_mean(given, names)}valid: {', '.join(names) or 'none'}"
    )

"""Tables that people bring along: CSV and TSV, which are text, and Parquet and JSON lines."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from retrieval.datasets.text_files import check_columns, read_text
from retrieval.errors import UserError, did_you_mean

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
JSON_SUFFIXES = (".jsonl", ".ndjson")
TYPED_SUFFIXES = (".parquet", *JSON_SUFFIXES)
TABLE_SUFFIXES = (*TEXT_SUFFIXES, *TYPED_SUFFIXES)


def is_typed(path: Path) -> bool:
    """Tell whether a table has columns of types, as Parquet and JSON lines do, by its name."""
    return path.suffix.lower() in TYPED_SUFFIXES


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
    frame = pd.DataFrame({name: plain_arrow(table.column(name)) for name in names})
    return frame, list(range(1, len(frame) + 1))


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
    for number, line in enumerate(read_text(path).splitlines(), 1):
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
        raise UserError(f"{where}: {option}={given}: give one of {', '.join(map(repr, alike))}")
    raise UserError(
        f"{where}: no column {given!r}, which {option}={given} names: "
        f"{did_you_mean(given, names)}valid: {', '.join(names) or 'none'}"
    )

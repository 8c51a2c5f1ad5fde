"""Read the white-space separated lists that benchmarks come with."""

import re
from pathlib import Path

import pandas as pd

from retrieval.errors import UserError


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

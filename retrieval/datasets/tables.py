"""Read the white-space separated lists that benchmarks come with."""

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
    except (ValueError, pd.errors.ParserError) as error:
        where = _malformed(path, columns, skip, separator)
        words = where or ": not the expected list: " + str(error).splitlines()[0].strip()
        raise UserError(f"{path}{words} (columns: {', '.join(columns)})") from error
    bad = table.isna().any(axis=1)
    if bad.any():
        row = int(bad.to_numpy().argmax()) + skip + 1
        raise UserError(f"{path} row {row}: expected {', '.join(columns)}")
    return table


def _malformed(path: Path, columns: dict[str, type], skip: int, separator: str) -> str:
    """Say in which row of a list the first value is that is no number; empty if it is not that."""
    try:
        table = pd.read_csv(
            path, sep=separator, names=list(columns), skiprows=skip, dtype=str, quoting=3
        )
    except (ValueError, pd.errors.ParserError):
        return ""
    numbers = [name for name, kind in columns.items() if kind is not str]
    bad = table[numbers].apply(pd.to_numeric, errors="coerce").isna()
    if not bad.any(axis=None):
        return ""
    row = int(bad.any(axis=1).to_numpy().argmax())
    name = bad.columns[bad.iloc[row].to_numpy().argmax()]
    given = table[name].iloc[row]
    return f" row {row + skip + 1}: {name} is {'missing' if pd.isna(given) else repr(given)}"

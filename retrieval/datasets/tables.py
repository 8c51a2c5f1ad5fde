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
        words = str(error).splitlines()[0].strip()
        raise UserError(
            f"{path}: not the expected list of {', '.join(columns)}: {words}"
        ) from error
    bad = table.isna().any(axis=1)
    if bad.any():
        row = int(bad.to_numpy().argmax()) + skip + 1
        raise UserError(f"{path} row {row}: expected {', '.join(columns)}")
    return table

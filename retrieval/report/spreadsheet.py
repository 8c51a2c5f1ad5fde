"""Tables as CSV that a spreadsheet may open: no text in them is run as a formula."""

from typing import Any

import pandas as pd

# A spreadsheet runs a text that begins with one of these, some of them also in their wide form.
FORMULA_SIGNS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def spreadsheet_csv(table: pd.DataFrame, **options: Any) -> str:
    """Write a table as CSV, with a quote before texts that a spreadsheet would run as formulas.

    Args:
        table: The table to export. Its index is left out.
        **options: Options of :meth:`pandas.DataFrame.to_csv`.

    Returns:
        The text.
    """
    safe = table.copy()
    safe.columns = pd.Index(range(len(safe.columns)))  # names may repeat
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = safe[column].astype(object).map(harmless)
    safe.columns = pd.Index([harmless(name) for name in table.columns], dtype=object)
    text: str = safe.to_csv(index=False, **options)
    return text


def harmless(cell: object) -> object:
    """Return a cell with a quote before it, if it is a text that would be run as a formula."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA_SIGNS):
        return cell
    try:
        float(cell)
    except ValueError:
        return "'" + cell
    return cell  # a number, written as text

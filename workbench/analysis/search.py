"""Find queries by class, file name or outcome, and step through them."""

import numpy as np
import pandas as pd

from workbench.analysis.failures import failures


def matching_rows(items: pd.DataFrame, text: str) -> np.ndarray:
    """Find items whose class or path contains a text, ignoring case.

    Args:
        items: Items of a run, with the columns ``label_name`` and ``path``.
        text: The text, taken literally. Empty text matches every item.

    Returns:
        int64, rows in ascending order.
    """
    text = text.strip()
    if not text:
        return np.arange(len(items))
    found = items["label_name"].str.contains(text, case=False, regex=False)
    found |= items["path"].str.contains(text, case=False, regex=False)
    return np.flatnonzero(found.to_numpy(bool))


def query_rows(table: pd.DataFrame, items: pd.DataFrame, text: str, shown: str) -> np.ndarray:
    """List the queries that match a search and a filter.

    Args:
        table: See :func:`workbench.analysis.failures.query_table`.
        items: Items of the run.
        text: See :func:`matching_rows`.
        shown: The filter: ``All queries``, ``Failures`` or ``Right at rank 1``.

    Returns:
        int64, rows in the order of the table.
    """
    if shown == "Failures":
        table = failures(table)
    elif shown == "Right at rank 1":
        table = table[table["correct"]]
    rows = table["row"].to_numpy().astype(np.int64)
    return rows[np.isin(rows, matching_rows(items, text))] if text.strip() else rows


def matching_non_queries(table: pd.DataFrame, items: pd.DataFrame, text: str) -> np.ndarray:
    """List the items that match a search but are not queries of the protocol.

    Args:
        table: See :func:`workbench.analysis.failures.query_table`.
        items: Items of the run.
        text: See :func:`matching_rows`, except that empty text matches no item.

    Returns:
        int64, rows in ascending order.
    """
    if not text.strip():
        return np.empty(0, np.int64)
    return np.setdiff1d(matching_rows(items, text), table["row"].to_numpy())


def adjacent_rows(rows: np.ndarray, row: int) -> tuple[int | None, int | None, int | None]:
    """Return the rows before and after a row in a list, wrapping around, and a random other row.

    Args:
        rows: int64, ascending.
        row: The current row, which need not be in the list.

    Returns:
        Previous, next and random row; None for each if the list holds no other row.
    """
    others = rows[rows != row]
    if not len(others):
        return None, None, None
    at = int(np.searchsorted(others, row))
    chosen = int(np.random.default_rng().choice(others))
    return int(others[at - 1]), int(others[at % len(others)]), chosen

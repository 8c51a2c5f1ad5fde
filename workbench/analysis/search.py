"""Finding queries by class, file name or outcome, and walking through what was found."""

import numpy as np
import pandas as pd


def matching_rows(items: pd.DataFrame, text: str) -> np.ndarray:
    """Find items whose class or path holds a text, ignoring case.

    Args:
        items: With ``label_name`` and ``path``.
        text: Taken literally; empty matches everything.

    Returns:
        int64, rows in order.
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
        items: Of the run.
        text: See :func:`matching_rows`.
        shown: ``All queries``, ``Failures`` or ``Right at rank 1``.

    Returns:
        int64, rows in order.
    """
    if shown == "Failures":
        table = table[table["answerable"] & ~table["correct"]]
    elif shown == "Right at rank 1":
        table = table[table["correct"]]
    rows = table["row"].to_numpy().astype(np.int64)
    return rows[np.isin(rows, matching_rows(items, text))] if text.strip() else rows


def gallery_rows(table: pd.DataFrame, items: pd.DataFrame, text: str) -> np.ndarray:
    """List the items that match a search but are no queries of the protocol.

    Args:
        table: See :func:`workbench.analysis.failures.query_table`.
        items: Of the run.
        text: See :func:`matching_rows`; empty finds nothing.

    Returns:
        int64, rows in order.
    """
    if not text.strip():
        return np.empty(0, np.int64)
    return np.setdiff1d(matching_rows(items, text), table["row"].to_numpy())


def around(rows: np.ndarray, row: int) -> tuple[int | None, int | None, int | None]:
    """Return the rows before and after one in a list, round about, and a random other one.

    Args:
        rows: int64, ascending.
        row: The row looked at; it need not be in the list.

    Returns:
        Previous, next and random row; None where the list offers no other.
    """
    others = rows[rows != row]
    if not len(others):
        return None, None, None
    at = int(np.searchsorted(others, row))
    chosen = int(np.random.default_rng().choice(others))
    return int(others[at - 1]), int(others[at % len(others)]), chosen

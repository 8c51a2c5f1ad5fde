"""Odd items of a run: hubs, anti-hubs, near-duplicates and suspected label errors.

Pure functions of neighbors; rows and labels are those of :mod:`workbench.analysis.failures`.
"""

import numpy as np
import pandas as pd

from retrieval.runs.run import Neighbors
from workbench.analysis.failures import hit_matrix

HUB_K = 10
AGREE = 0.6  # share of the neighbors that makes a label suspect


def k_occurrence(neighbors: Neighbors, n_items: int, k: int = HUB_K) -> np.ndarray:
    """Count in how many top-K lists each item appears (Radovanovic 2010, N_k).

    Args:
        neighbors: Of q queries.
        n_items: Number of items of the run.
        k: Length of the lists.

    Returns:
        int64, (n_items,).
    """
    ids = neighbors.ids[:, :k]
    return np.bincount(ids[ids >= 0], minlength=n_items)


def bad_occurrence(neighbors: Neighbors, labels: np.ndarray, k: int = HUB_K) -> np.ndarray:
    """Count in how many top-K lists of *other* classes each item appears (bad hubness).

    Returns:
        int64, (n,).
    """
    wrong = ~hit_matrix(neighbors, labels)[:, :k] & (neighbors.ids[:, :k] >= 0)
    return np.bincount(neighbors.ids[:, :k][wrong], minlength=len(labels))


def gallery_rows(neighbors: Neighbors, items: pd.DataFrame) -> np.ndarray:
    """Return the rows that can be retrieved under the neighbors' protocol, int64."""
    if neighbors.protocol != "query_gallery":
        return neighbors.queries.astype(np.int64)
    return np.flatnonzero(items["role"].to_numpy() != "query")


def occurrences(
    neighbors: Neighbors, labels: np.ndarray, gallery: np.ndarray, k: int = HUB_K
) -> pd.DataFrame:
    """Count how often each gallery item is retrieved.

    Args:
        neighbors: Of q queries.
        labels: int64, (n,).
        gallery: int64, (g,), rows that can be retrieved.
        k: Length of the lists.

    Returns:
        Columns ``row``, ``count`` and ``wrong`` (lists of other classes), most retrieved first;
        anti-hubs are the rows with ``count == 0``.
    """
    frame = pd.DataFrame(
        {
            "row": gallery,
            "count": k_occurrence(neighbors, len(labels), k)[gallery],
            "wrong": bad_occurrence(neighbors, labels, k)[gallery],
        }
    )
    return frame.sort_values(["count", "wrong"], ascending=False, kind="stable", ignore_index=True)


def near_duplicates(
    neighbors: Neighbors, labels: np.ndarray, *, across: bool | None = None, limit: int = 100
) -> pd.DataFrame:
    """Find the most similar pairs of items: each item's nearest other one.

    Under leave-one-out every pair of items is looked at; under query -> gallery only pairs of a
    query and a gallery item.

    Args:
        neighbors: Of q queries.
        labels: int64, (n,).
        across: True: only pairs of different classes; False: only of the same; None: all.
        limit: Number of pairs.

    Returns:
        Columns ``a`` (query), ``b`` (neighbor), ``similarity``, most similar first; a pair found
        from both sides is listed once.
    """
    wanted = neighbors.ids >= 0
    if across is not None:
        hits = hit_matrix(neighbors, labels)
        wanted &= ~hits if across else hits
    # Neighbors come nearest first, so the first wanted one of each query is its nearest.
    first = wanted.argmax(1)
    found = np.flatnonzero(wanted.any(1))
    pairs = pd.DataFrame(
        {
            "a": neighbors.queries[found],
            "b": neighbors.ids[found, first[found]],
            "similarity": neighbors.similarities[found, first[found]],
        }
    )
    low, high = pairs[["a", "b"]].min(axis=1), pairs[["a", "b"]].max(axis=1)
    pairs = pairs[~pd.DataFrame({"low": low, "high": high}).duplicated()]
    return pairs.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)[
        :limit
    ]


def count_duplicates(neighbors: Neighbors, similarity: float) -> int:
    """Count the queries whose nearest item is at least this similar."""
    nearest = neighbors.similarities[:, 0][neighbors.ids[:, 0] >= 0]
    return int((nearest >= similarity).sum())


def suspected_label_errors(
    neighbors: Neighbors, labels: np.ndarray, k: int = HUB_K, share: float = AGREE
) -> pd.DataFrame:
    """Find queries whose neighbors agree on one other class.

    Args:
        neighbors: Of q queries.
        labels: int64, (n,).
        k: How many neighbors vote; nearer ones do not count more.
        share: Least share of the votes for the other class.

    Returns:
        Columns ``row``, ``label``, ``suggested`` (label), ``share`` (of the votes for it) and
        ``own`` (share for the given label), most suspicious first.
    """
    ids = neighbors.ids[:, :k]
    votes = np.where(ids >= 0, labels[ids], np.iinfo(np.int64).min)
    ordered = np.sort(votes, axis=1)
    width = ordered.shape[1]
    # Longest run of equal values in each sorted row = the class with the most votes.
    length = np.ones_like(ordered)
    for j in range(1, width):
        length[:, j] = np.where(ordered[:, j] == ordered[:, j - 1], length[:, j - 1] + 1, 1)
    length[ordered == np.iinfo(np.int64).min] = 0
    best = length.argmax(1)
    count = (ids >= 0).sum(1).clip(min=1)
    rows = np.arange(len(ids))
    own_label = labels[neighbors.queries]
    frame = pd.DataFrame(
        {
            "row": neighbors.queries,
            "label": own_label,
            "suggested": ordered[rows, best],
            "share": length[rows, best] / count,
            "own": (votes == own_label[:, None]).sum(1) / count,
        }
    )
    frame = frame[(frame["suggested"] != frame["label"]) & (frame["share"] >= share)]
    return frame.sort_values(
        ["share", "own"], ascending=[False, True], kind="stable", ignore_index=True
    )

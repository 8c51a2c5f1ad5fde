"""Find odd items of a run: hubs, anti-hubs, near-duplicates and suspected label errors.

Rows and labels are those of :mod:`workbench.analysis.failures`.
"""

import numpy as np
import pandas as pd

from retrieval.runs.run import Neighbors
from retrieval.validation import QUERY_GALLERY, base_protocol
from workbench.analysis.failures import hit_matrix

HUB_K = 10
AGREE = 0.6  # share of the neighbors, in one other class, that makes a label suspect


def k_occurrence(neighbors: Neighbors, n_items: int, k: int = HUB_K) -> np.ndarray:
    """Count in how many top-k lists each item appears: the k-occurrence N_k (Radovanovic 2010).

    Args:
        neighbors: The neighbors of q queries.
        n_items: Number of items of the run.
        k: Length of the lists. Defaults to 10.

    Returns:
        int64, (n_items,).
    """
    ids = neighbors.ids[:, :k]
    return np.bincount(ids[ids >= 0], minlength=n_items)


def bad_occurrence(neighbors: Neighbors, labels: np.ndarray, k: int = HUB_K) -> np.ndarray:
    """Count in how many top-k lists of queries of *other* classes each item appears.

    This is the bad k-occurrence BN_k (Radovanovic 2010).

    Args:
        neighbors: The neighbors of q queries.
        labels: int64, (n,), class of every item.
        k: Length of the lists. Defaults to 10.

    Returns:
        int64, (n,).
    """
    wrong = ~hit_matrix(neighbors, labels)[:, :k] & (neighbors.ids[:, :k] >= 0)
    return np.bincount(neighbors.ids[:, :k][wrong], minlength=len(labels))


def gallery_rows(neighbors: Neighbors, items: pd.DataFrame) -> np.ndarray:
    """Return the rows of the gallery items under the neighbors' protocol.

    Args:
        neighbors: The neighbors under one protocol.
        items: The items of the run.

    Returns:
        int64, (g,), ascending.
    """
    if base_protocol(neighbors.protocol) != QUERY_GALLERY:
        return neighbors.queries.astype(np.int64)
    return np.flatnonzero(items["role"].to_numpy() != "query")


def occurrences(
    neighbors: Neighbors, labels: np.ndarray, gallery: np.ndarray, k: int = HUB_K
) -> pd.DataFrame:
    """Count how often each gallery item is retrieved.

    Args:
        neighbors: The neighbors of q queries.
        labels: int64, (n,), class of every item.
        gallery: int64, (g,), rows of the gallery items.
        k: Length of the lists. Defaults to 10.

    Returns:
        Columns ``row``, ``count`` (:func:`k_occurrence`) and ``wrong`` (:func:`bad_occurrence`).
        Hubs, which have the highest counts, come first; anti-hubs have a count of 0.
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
    """Find the most similar pairs of items, pairing each query with its nearest item.

    Under leave-one-out, these are pairs of any two items; under query -> gallery, pairs of a query
    and a gallery item.

    Args:
        neighbors: The neighbors of q queries.
        labels: int64, (n,), class of every item.
        across: True for pairs of different classes only, False for pairs of the same class only,
            None for both. Defaults to None.
        limit: Largest number of pairs. Defaults to 100.

    Returns:
        Columns ``a`` (query), ``b`` (neighbor) and ``similarity``; the most similar pair first. A
        pair that is found from both sides is listed once.
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
    """Count the queries that have a near-duplicate.

    Args:
        neighbors: The neighbors of q queries.
        similarity: Smallest similarity of a near-duplicate.
    """
    nearest = neighbors.similarities[:, 0][neighbors.ids[:, 0] >= 0]
    return int((nearest >= similarity).sum())


def suspected_label_errors(
    neighbors: Neighbors, labels: np.ndarray, k: int = HUB_K, share: float = AGREE
) -> pd.DataFrame:
    """Find queries most of whose neighbors belong to one other class.

    Args:
        neighbors: The neighbors of q queries.
        labels: int64, (n,), class of every item.
        k: Number of neighbors that vote, each with the same weight. Defaults to 10.
        share: Smallest share of the votes for the other class. Defaults to 0.6.

    Returns:
        Columns ``row``, ``label`` (the given one), ``suggested`` (the class with the most votes),
        ``share`` (of the votes for it) and ``own`` (share of the votes for the given label); the
        most suspicious query first.
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

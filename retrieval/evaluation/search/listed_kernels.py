"""The compiled loops for pairs that another device has listed: candidates, and doubtful ranks.

A device that multiplies tiles lists the pairs of a query and an item that its float32 values cannot
decide. They are decided here, by the exact similarity, as :mod:`.kernels` decides them.
"""

import numpy as np
from numba import njit

from retrieval.evaluation.search.kernels import (
    CACHED,
    FEW,
    Candidates,
    Doubles,
    ExactRows,
    Ints,
    Positives,
    _first_beaten,
    _resolve,
    similarity,
)


@njit(nogil=True, cache=CACHED)
def listed_in(pool: Ints, cursor: Ints, stop: Ints, begin: int, width: int) -> tuple[Ints, Ints]:
    """Return the pairs of the queries' lists that lie in a tile: rows and columns of it.

    Args:
        pool: int64, gallery positions, ascending within the list of a query.
        cursor: int64, (m,), start of what the tiles have not yet passed of each list; moved on.
        stop: int64, (m,), end of each list.
        begin: Gallery position of the tile's first column.
        width: Number of its columns.

    Returns:
        int64, (r,), twice.
    """
    count = 0
    for i in range(len(cursor)):
        c = cursor[i]
        while c < stop[i] and pool[c] < begin + width:
            c += 1
        count += c - cursor[i]
    rows, columns = np.empty(count, np.int64), np.empty(count, np.int64)
    count = 0
    for i in range(len(cursor)):
        while cursor[i] < stop[i] and pool[cursor[i]] < begin + width:
            rows[count], columns[count] = i, pool[cursor[i]] - begin
            count += 1
            cursor[i] += 1
    return rows, columns


@njit(nogil=True, cache=CACHED)
def push_listed(
    queries: Ints, items: Ints, rows: ExactRows, k: int, candidates: Candidates
) -> None:
    """Keep listed pairs that may be among the ``k`` nearest, by their exact similarities.

    Args:
        queries: int64, (r,), rows of the block.
        items: int64, (r,), gallery positions.
        rows: The :class:`ExactRows` behind them.
        k: Neighbors wanted, at least 1.
        candidates: The :class:`Candidates`, updated in place.
    """
    width = candidates.ids.shape[1]
    for r in range(len(queries)):
        i = queries[r]
        x = similarity(rows.kind, rows.queries, i, rows.gallery, items[r] - rows.first)
        if x < candidates.floor[i]:
            continue
        c = candidates.counts[i]
        candidates.lower[i, c], candidates.exact[i, c] = x, x
        candidates.ids[i, c] = items[r]
        candidates.counts[i] = c + 1
        if c + 1 == width:
            _resolve(i, k, rows, candidates)


@njit(nogil=True, cache=CACHED)
def count_listed(queries: Ints, items: Ints, rows: ExactRows, positives: Positives) -> None:
    """Count listed pairs of other classes where they stand among the positives.

    Args:
        queries: int64, (r,), rows of the block.
        items: int64, (r,), gallery positions.
        rows: The :class:`ExactRows` behind them.
        positives: The :class:`Positives`, updated in place.
    """
    for r in range(len(queries)):
        i = queries[r]
        a, b = positives.starts[i], positives.starts[i + 1]
        x = similarity(rows.kind, rows.queries, i, rows.gallery, items[r] - rows.first)
        at = _first_beaten(positives.values, positives.members, a, b, x, items[r])
        for p in range(at, b if b - a <= FEW else min(at + 1, b)):
            positives.ahead[p] += 1


@njit(nogil=True, cache=CACHED)
def count_beaten(beaten: Ints, positives: Positives) -> None:
    """Add how many items are surely nearer than just so many of a query's positives.

    Args:
        beaten: int64, (m, most + 1): items that are nearer than the farthest 0, 1, 2, ... positives
            of a query, and no nearer.
        positives: The :class:`Positives`, updated in place.
    """
    for i in range(len(beaten)):
        a, b = positives.starts[i], positives.starts[i + 1]
        total = 0
        for p in range(a, b):  # nearest first: an item that beats it beats all that follow
            marked = beaten[i, b - p]
            total += marked
            positives.ahead[p] += total if b - a <= FEW else marked


@njit(nogil=True, cache=CACHED)
def bounds_of_positives(
    positives: Positives, shift: Doubles, slack: Doubles, low: np.ndarray, high: np.ndarray
) -> None:
    """Fill the tile values between which a positive's own value lies, farthest positive first.

    Args:
        positives: The :class:`Positives`.
        shift: float64, (m,), see :class:`retrieval.evaluation.search.kernels.Tile`.
        slack: float64, (m,).
        low: float32, (m, most), filled; the rest of a row is infinity.
        high: float32, (m, most), likewise.
    """
    low[:], high[:] = np.inf, np.inf
    for i in range(len(low)):
        a, b = positives.starts[i], positives.starts[i + 1]
        for p in range(a, b):
            low[i, b - 1 - p] = np.float32(positives.values[p] + shift[i] - slack[i])
            high[i, b - 1 - p] = np.float32(positives.values[p] + shift[i] + slack[i])

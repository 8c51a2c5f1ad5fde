"""The k nearest of every query, from tiles of fast similarities.

A tile is a float32 matrix, ``m`` queries by ``n`` gallery items; ``first`` is the gallery position
of a chunk's first row, ``begin`` that of a tile's first column. Candidates that the fast similarity
cannot rule out within its error bound are kept, and at the end ranked by the exact one, ties by
gallery position. Compiled by Numba; releases the GIL.
"""

import numpy as np
from numba import njit

from retrieval.evaluation.exact import similarity

LANES = 64  # values looked at together
ONE, NONE = np.float32(1), np.float32(0)


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def at_least(tile, i, start, stop, low):
    """Count the values >= low in a part of row ``i``.

    Counts in float32 (exact below 2**24) and unsigned indices let the loop vectorise.
    """
    count = NONE
    for j in range(np.uint64(start), np.uint64(stop)):
        count += ONE if tile[np.uint64(i), j] >= low else NONE
    return count


@njit(nogil=True, cache=True)
def _kth_largest(values, k):
    """Select the k-th largest (1-based) of ``values``, reordering them (quickselect)."""
    left, right, want = 0, len(values) - 1, k - 1
    while left < right:
        pivot = values[(left + right) // 2]
        i, j = left, right
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if want <= j:
            right = j
        elif want >= i:
            left = i
        else:
            break
    return values[want]


@njit(nogil=True, cache=True)
def _drop_beaten(i, k, top):
    """Drop candidates of query ``i`` that ``k`` others are sure to beat."""
    lower, ids, exact, count, floor, worst = top
    n = count[i]
    if n < k:
        return
    floor[i] = max(floor[i], _kth_largest(lower[i, :n].copy(), k))
    limit, kept = floor[i] - 2 * worst[i], 0
    for c in range(n):
        if lower[i, c] >= limit:
            lower[i, kept], ids[i, kept], exact[i, kept] = lower[i, c], ids[i, c], exact[i, c]
            kept += 1
    count[i] = kept


@njit(nogil=True, cache=True)
def _sift(values, ids, root, stop):
    """Let the pair at ``root`` sink in a heap whose top is the pair that belongs last."""
    value, item = values[root], ids[root]
    while 2 * root + 1 < stop:
        child = 2 * root + 1
        if child + 1 < stop:
            a, b = values[child], values[child + 1]
            if b < a or (b == a and ids[child + 1] > ids[child]):
                child += 1
        if values[child] > value or (values[child] == value and ids[child] < item):
            break
        values[root], ids[root] = values[child], ids[child]
        root = child
    values[root], ids[root] = value, item


@njit(nogil=True, cache=True)
def sort_nearest_first(values, ids):
    """Sort pairs in place by falling similarity, equal ones by rising id (heapsort)."""
    n = len(values)
    for root in range(n // 2 - 1, -1, -1):
        _sift(values, ids, root, n)
    for stop in range(n - 1, 0, -1):
        values[0], values[stop] = values[stop], values[0]
        ids[0], ids[stop] = ids[stop], ids[0]
        _sift(values, ids, 0, stop)


@njit(nogil=True, cache=True)
def _resolve(i, k, kind, queries, gallery, first, top):
    """Reduce the candidates of query ``i`` to its exact top ``k``, sorted."""
    lower, ids, exact, count, floor, _ = top
    n = count[i]
    for c in range(n):
        if np.isnan(exact[i, c]):
            exact[i, c] = similarity(kind, queries, i, gallery, ids[i, c] - first)
    sort_nearest_first(exact[i, :n], ids[i, :n])
    count[i] = min(n, k)
    lower[i, : count[i]] = exact[i, : count[i]]
    if n >= k:
        floor[i] = exact[i, k - 1]


@njit(nogil=True, cache=True)
def push_tile(tile, begin, k, kind, queries, gallery, first, own, shift, slack, top):
    """Keep every item of a tile that may be among the ``k`` nearest of a query.

    Args:
        tile: float32, (m, n); the query's own item is overwritten with -inf.
        begin: Gallery position of the tile's first column.
        k: Neighbours wanted, >= 1.
        kind: Code of the distance.
        queries: float32, (m, d), exact rows.
        gallery: float32, (g, d), exact rows of this chunk.
        first: Gallery position of the chunk's first row.
        own: int64, (m,), gallery position of each query, or -1.
        shift: float64, (m,): tile value minus exact similarity.
        slack: float64, (m,): largest error of a tile value.
        top: The candidates, (m, width) each: ``lower`` bound of the exact similarity, ``ids``,
            ``exact`` similarity or NaN; and per query their ``count``, the ``floor`` that ``k``
            of them reach, and the ``worst`` slack so far.
    """
    lower, ids, exact, count, floor, worst = top
    width, n = lower.shape[1], tile.shape[1]
    for i in range(len(tile)):
        if 0 <= own[i] - begin < n:
            tile[i, own[i] - begin] = -np.inf
        worst[i] = max(worst[i], slack[i])
        offset = shift[i] - slack[i]
        limit = np.float32(max(floor[i] + offset, -3e38))
        for start in range(0, n, LANES):
            stop = min(start + LANES, n)
            if at_least(tile, i, start, stop, limit) == NONE:
                continue
            for j in range(start, stop):
                if tile[i, j] >= limit:
                    c = count[i]
                    lower[i, c], ids[i, c] = tile[i, j] - shift[i] - slack[i], begin + j
                    exact[i, c] = np.nan
                    count[i] = c + 1
                    if c + 1 == width:
                        _drop_beaten(i, k, top)
                        if count[i] > width - LANES // 2:
                            _resolve(i, k, kind, queries, gallery, first, top)
                        limit = np.float32(max(floor[i] + offset, -3e38))


@njit(nogil=True, cache=True)
def resolve_all(k, kind, queries, gallery, first, top):
    """Reduce every query's candidates to its exact top ``k`` of all chunks seen so far."""
    for i in range(len(queries)):
        _drop_beaten(i, k, top)
        _resolve(i, k, kind, queries, gallery, first, top)

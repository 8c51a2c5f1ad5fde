"""The rank of every positive: counting the other-class items that are nearer, tile by tile.

See :mod:`retrieval.evaluation.selection` for what a tile is. An item that the fast similarity
cannot place before or after a positive within its error bound is compared exactly; ties by gallery
position. Compiled by Numba; releases the GIL.
"""

import numpy as np
from numba import njit

from retrieval.evaluation.exact import similarity
from retrieval.evaluation.selection import LANES, NONE, ONE, at_least, sort_nearest_first

FEW = 24  # up to this many positives, counting beats looking up where the tile is crowded


@njit(nogil=True, cache=True)
def sort_positives(starts, values, members):
    """Sort each query's pairs, nearest first, equal similarities by gallery position."""
    for i in range(len(starts) - 1):
        a, b = starts[i], starts[i + 1]
        sort_nearest_first(values[a:b], members[a:b])


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def _near_and_above(tile, i, low, high):
    """Count the values of row ``i`` that are >= low, and those > high."""
    near, above = NONE, NONE
    for j in range(np.uint64(tile.shape[1])):
        near += ONE if tile[np.uint64(i), j] >= low else NONE
        above += ONE if tile[np.uint64(i), j] > high else NONE
    return np.int64(near), np.int64(above)


@njit(nogil=True, cache=True)
def _first_beaten(values, members, a, b, x, item):
    """First position in ``a:b`` of the falling values that (similarity x, item) goes before."""
    while a < b:
        c = (a + b) // 2
        if values[c] < x or (values[c] == x and members[c] > item):
            b = c
        else:
            a = c + 1
    return a


@njit(nogil=True, cache=True)
def _count_by_positive(
    tile, i, a, b, begin, kind, queries, gallery, first, shift, slack, positives
):
    """Count for positive after positive: best where many items are nearer than some of them."""
    _, values, members, ahead, _, _, _ = positives
    for p in range(a, b):
        low = np.float32(values[p] + shift - slack)
        high = np.float32(values[p] + shift + slack)
        near, above = _near_and_above(tile, i, low, high)
        ahead[p] += above
        if near > above:
            for j in range(tile.shape[1]):
                if low <= tile[i, j] <= high:
                    x = similarity(kind, queries, i, gallery, begin - first + j)
                    if x > values[p] or (x == values[p] and begin + j < members[p]):
                        ahead[p] += 1


@njit(nogil=True, cache=True)
def _count_by_item(tile, i, a, b, begin, kind, queries, gallery, first, shift, slack, positives):
    """Look up for item after item which positives it beats: best where few items beat any."""
    _, values, members, ahead, _, _, _ = positives
    few, lowest = b - a <= FEW, np.float32(values[b - 1] + shift - slack)
    for start in range(0, tile.shape[1], LANES):
        stop = min(start + LANES, tile.shape[1])
        if at_least(tile, i, start, stop, lowest) == NONE:
            continue
        for j in range(start, stop):
            if tile[i, j] < lowest:
                continue
            x = np.float64(tile[i, j]) - shift
            at = _first_beaten(values, members, a, b, x + slack, -1)
            if at < b and values[at] >= x - slack:
                x = similarity(kind, queries, i, gallery, begin - first + j)
                at = _first_beaten(values, members, a, b, x, begin + j)
            # with many positives only the first is marked; ``sum_ahead`` adds up
            for p in range(at, b if few else min(at + 1, b)):
                ahead[p] += 1


@njit(nogil=True, cache=True)
def count_tile(tile, begin, kind, queries, gallery, first, shift, slack, positives):
    """Count, for every positive of every query, the tile's other-class items that are nearer.

    Args:
        tile: float32, (m, n); items of the query's class are overwritten with -inf.
        begin: Gallery position of the tile's first column.
        kind: Code of the distance.
        queries: float32, (m, d), exact rows.
        gallery: float32, (g, d), exact rows of this chunk.
        first: Gallery position of the chunk's first row.
        shift: float64, (m,): tile value minus exact similarity.
        slack: float64, (m,): largest error of a tile value.
        positives: (starts, values, members, ahead, pool, cursor, stop): per query, in
            ``starts[i]:starts[i + 1]``, the exact similarities and gallery positions of its
            positives, nearest first, and their counts; and the class's gallery positions
            ``pool[cursor[i]:stop[i]]`` that the tiles have not yet passed, rising.
    """
    starts, values, _, _, pool, cursor, stop = positives
    n = tile.shape[1]
    for i in range(len(tile)):
        a, b = starts[i], starts[i + 1]
        while cursor[i] < stop[i] and pool[cursor[i]] < begin + n:
            tile[i, pool[cursor[i]] - begin] = -np.inf
            cursor[i] += 1
        if a == b:
            continue
        nearer = at_least(tile, i, np.int64(0), n, np.float32(values[b - 1] + shift[i] - slack[i]))
        if nearer == NONE:
            continue
        crowded = b - a <= FEW and nearer > 4 * (b - a)
        where = (tile, i, a, b, begin, kind, queries, gallery, first, shift[i], slack[i], positives)
        if crowded:
            _count_by_positive(*where)
        else:
            _count_by_item(*where)


@njit(nogil=True, cache=True)
def sum_ahead(starts, ahead):
    """Add up the marks of queries with many positives to counts."""
    for i in range(len(starts) - 1):
        if starts[i + 1] - starts[i] > FEW:
            for p in range(starts[i] + 1, starts[i + 1]):
                ahead[p] += ahead[p - 1]

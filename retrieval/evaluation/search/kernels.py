"""The k nearest of every query, from tiles of fast similarities.

A tile is a float32 matrix, ``m`` queries by ``n`` gallery items; ``first`` is the gallery position
of a chunk's first row, ``begin`` that of a tile's first column. Candidates that the fast similarity
cannot rule out within its error bound are kept, and at the end ranked by the exact one, ties by
gallery position. Compiled by Numba; releases the GIL.

The rank of every positive: counting the other-class items that are nearer, tile by tile.

See :mod:`retrieval.evaluation.search.kernels` for what a tile is. An item that the fast
similarity cannot place before or after a positive within its error bound is compared exactly;
ties by gallery position. Compiled by Numba; releases the GIL.

The exact similarity of two rows: what every close decision of the search comes down to.

Compiled once per machine by Numba and cached beside this file; releases the GIL.
"""

import numpy as np
from numba import njit

DOT, SQUARED = 0, 1
DOT_GRID = 2.0**51
SPLIT = 2.0**13 + 1.0  # keeps 40 of 53 bits (Veltkamp's splitting)


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def _dot(a, i, b, j):
    # A product of two float32 is exact in float64. Rounded to the grid, products are whole numbers
    # below 2**53 in sum, so every order of summation gives the same result.
    total = 0.0
    for t in range(a.shape[1]):
        total += np.rint(np.float64(a[i, t]) * DOT_GRID * np.float64(b[j, t]))
    return total / DOT_GRID


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def _squared(a, i, b, j):
    total = 0.0
    for t in range(a.shape[1]):
        apart = np.float64(a[i, t]) - np.float64(b[j, t])
        total += apart * apart
    return total


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def _cityblock(a, i, b, j):
    total = 0.0
    for t in range(a.shape[1]):
        total += abs(np.float64(a[i, t]) - np.float64(b[j, t]))
    return total


@njit(nogil=True, cache=True)
def similarity(kind, a, i, b, j):
    """Exact similarity of rows ``a[i]`` and ``b[j]``: dot product, or negative distance.

    Dot products of unit rows are exact to 2**-52 per term in any order of summation. Distances are
    rounded to 40 bits, so that equal sums tie although they were added in another order.
    """
    if kind == DOT:
        return _dot(a, i, b, j)
    total = _squared(a, i, b, j) if kind == SQUARED else _cityblock(a, i, b, j)
    high = total * SPLIT
    return -(high - (high - total))


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def cityblock_tile(queries, gallery, tile):
    """Fill ``tile`` (m, n) with negative L1 distances in float32."""
    for i in range(len(queries)):
        for j in range(len(gallery)):
            total = np.float32(0)
            for t in range(queries.shape[1]):
                total += abs(queries[i, t] - gallery[j, t])
            tile[i, j] = -total


@njit(nogil=True, cache=True)
def positive_similarities(kind, queries, starts, members, gallery, first, out):
    """Set ``out[p]`` to the exact similarity of query ``i`` and ``gallery[members[p] - first]``.

    Pairs ``p`` of query ``i`` are ``starts[i]:starts[i + 1]``; members outside of
    ``first:first + len(gallery)`` are left alone.
    """
    for i in range(len(queries)):
        for p in range(starts[i], starts[i + 1]):
            at = members[p] - first
            if 0 <= at < len(gallery):
                out[p] = similarity(kind, queries, i, gallery, at)


LANES = 64  # values looked at together
ONE, NONE = np.float32(1), np.float32(0)


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def at_least(tile, i, start, stop, low):
    """Count the values >= low in a part of row ``i``.

    Counts in float32 (exact below 2**24) and unsigned indices let the loop vectorize.
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
        k: Neighbors wanted, >= 1.
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

"""Compiled inner loops of the exact neighbour search.

Compiled once per machine by Numba and cached beside this file. They release the GIL, so that
threads can run them side by side. Everything compares *exact* similarities: double precision,
summed in one fixed order, rounded to 40 bits (so that sums that are equal but were added in another
order still tie), ties by index.
"""

import numpy as np
from numba import njit

DOT, SQUARED = 0, 1
LANES = 32
FEW = 24  # up to this many positives, counting beats searching
GRID = 2.0**40
SPLIT = 2.0**13 + 1.0  # keeps 40 of 53 bits (Veltkamp's splitting)


@njit(nogil=True, cache=True)
def _term(kind, x, y):
    if kind == DOT:
        return x * y
    if kind == SQUARED:
        return (x - y) * (x - y)
    return abs(x - y)


@njit(nogil=True, cache=True)
def similarity(kind, a, b):
    """Exact similarity of two float32 rows: the dot product, or the negative distance."""
    d = len(a)
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = d - d % 8
    for i in range(0, whole, 8):
        s0 += _term(kind, np.float64(a[i]), np.float64(b[i]))
        s1 += _term(kind, np.float64(a[i + 1]), np.float64(b[i + 1]))
        s2 += _term(kind, np.float64(a[i + 2]), np.float64(b[i + 2]))
        s3 += _term(kind, np.float64(a[i + 3]), np.float64(b[i + 3]))
        s4 += _term(kind, np.float64(a[i + 4]), np.float64(b[i + 4]))
        s5 += _term(kind, np.float64(a[i + 5]), np.float64(b[i + 5]))
        s6 += _term(kind, np.float64(a[i + 6]), np.float64(b[i + 6]))
        s7 += _term(kind, np.float64(a[i + 7]), np.float64(b[i + 7]))
    for i in range(whole, d):
        s0 += _term(kind, np.float64(a[i]), np.float64(b[i]))
    total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
    if kind == DOT:
        return np.rint(total * GRID) / GRID
    high = total * SPLIT
    return -(high - (high - total))


@njit(nogil=True, cache=True, fastmath=True)
def cityblock_tile(queries, gallery, tile):
    """Fill ``tile`` (m, n) with negative L1 distances in float32."""
    for i in range(len(queries)):
        for j in range(len(gallery)):
            total = np.float32(0)
            for t in range(queries.shape[1]):
                total += abs(queries[i, t] - gallery[j, t])
            tile[i, j] = -total


@njit(nogil=True, cache=True)
def similarities_of(kind, queries, starts, members, gallery, first, out):
    """Exact similarity ``out[p]`` of query ``i`` and ``gallery[members[p] - first]``.

    Pairs ``p`` of query ``i`` are ``starts[i]:starts[i + 1]``; members outside of
    ``first:first + len(gallery)`` are left alone.
    """
    for i in range(len(queries)):
        for p in range(starts[i], starts[i + 1]):
            at = members[p] - first
            if 0 <= at < len(gallery):
                out[p] = similarity(kind, queries[i], gallery[at])


@njit(nogil=True, cache=True)
def sort_descending(starts, values, members):
    """Sort each query's pairs by falling value; pairs of equal value keep their order."""
    for i in range(len(starts) - 1):
        a, b = starts[i], starts[i + 1]
        order = np.argsort(-values[a:b], kind="mergesort")
        values[a:b] = values[a:b][order]
        members[a:b] = members[a:b][order]


@njit(nogil=True, cache=True, fastmath={"nnan", "nsz", "reassoc"})
def _largest(row, start):
    best = row[start]
    for j in range(LANES):
        value = row[start + j]
        best = value if value > best else best
    return best


@njit(nogil=True, cache=True, fastmath={"reassoc"})
def _count(row, low, high):
    """Count how many values are >= low and how many are > high (float32 counts: < 2**24)."""
    near, above = np.float32(0), np.float32(0)
    for j in range(len(row)):
        near += np.float32(1) if row[j] >= low else np.float32(0)
        above += np.float32(1) if row[j] > high else np.float32(0)
    return np.int64(near), np.int64(above)


@njit(nogil=True, cache=True)
def _resolve(i, k, kind, query, gallery, first, top):
    """Reduce the candidates of query ``i`` to the exact top ``k``, sorted."""
    lower, ids, exact, count, floor, _ = top
    n = count[i]
    for c in range(n):
        if np.isnan(exact[i, c]):
            exact[i, c] = similarity(kind, query, gallery[ids[i, c] - first])
    order = np.argsort(-exact[i, :n], kind="mergesort")[:k]
    kept = len(order)
    exact[i, :kept] = exact[i, :n][order]
    ids[i, :kept] = ids[i, :n][order]
    lower[i, :kept] = exact[i, :kept]
    count[i] = kept
    if kept == k:
        floor[i] = exact[i, k - 1]


@njit(nogil=True, cache=True)
def _compact(i, k, kind, query, gallery, first, top):
    """Drop candidates of query ``i`` that ``k`` others are sure to beat."""
    lower, ids, exact, count, floor, worst = top
    n = count[i]
    floor[i] = max(floor[i], np.partition(lower[i, :n], n - k)[n - k])
    kept = 0
    for c in range(n):
        if lower[i, c] >= floor[i] - 2 * worst[i]:
            lower[i, kept], ids[i, kept] = lower[i, c], ids[i, c]
            exact[i, kept] = exact[i, c]
            kept += 1
    count[i] = kept
    if kept > lower.shape[1] - LANES:
        _resolve(i, k, kind, query, gallery, first, top)


@njit(nogil=True, cache=True)
def _push_row(i, row, begin, k, kind, query, gallery, first, shift, slack, top):
    """Add to query ``i``'s candidates every item of ``row`` that may be among its ``k`` nearest."""
    lower, ids, exact, count, floor, worst = top
    worst[i] = max(worst[i], slack)
    limit = np.float32(max(floor[i] + shift - slack, -3e38))
    n = len(row)
    for start in range(0, n, LANES):
        if start + LANES <= n and _largest(row, start) < limit:
            continue
        for j in range(start, min(start + LANES, n)):
            if row[j] >= limit:
                c = count[i]
                lower[i, c], ids[i, c] = row[j] - shift - slack, begin + j
                exact[i, c] = np.nan
                count[i] = c + 1
                if c + 1 == lower.shape[1]:
                    _compact(i, k, kind, query, gallery, first, top)
                    limit = np.float32(max(floor[i] + shift - slack, -3e38))


@njit(nogil=True, cache=True)
def push_tile(tile, begin, k, kind, queries, gallery, first, own, shift, slack, top):
    """Take a tile of similarities into the candidates of its queries, self left out by index.

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
        top: The candidates: (lower, ids, exact, count, floor, worst).
    """
    for i in range(len(tile)):
        at = own[i] - begin
        if 0 <= at < tile.shape[1]:
            tile[i, at] = -np.inf
        _push_row(i, tile[i], begin, k, kind, queries[i], gallery, first, shift[i], slack[i], top)


@njit(nogil=True, cache=True)
def resolve_all(k, kind, queries, gallery, first, top):
    """Reduce every query's candidates to its exact top ``k`` of all chunks seen so far."""
    for i in range(len(queries)):
        _resolve(i, k, kind, queries[i], gallery, first, top)


@njit(nogil=True, cache=True)
def _first_beaten(values, members, x, item):
    """First position of the falling ``values`` that (similarity ``x``, ``item``) goes before."""
    a, b = 0, len(values)
    while a < b:
        c = (a + b) // 2
        if values[c] < x or (values[c] == x and members[c] > item):
            b = c
        else:
            a = c + 1
    return a


@njit(nogil=True, cache=True)
def _count_few(row, begin, kind, query, gallery, first, shift, slack, values, members, ahead):
    for t in range(len(values)):
        low = np.float32(values[t] + shift - slack)
        high = np.float32(values[t] + shift + slack)
        near, above = _count(row, low, high)
        ahead[t] += above
        if near == above:
            continue
        for j in range(len(row)):
            if low <= row[j] <= high:
                x = similarity(kind, query, gallery[begin - first + j])
                if x > values[t] or (x == values[t] and begin + j < members[t]):
                    ahead[t] += 1


@njit(nogil=True, cache=True)
def _count_many(row, begin, kind, query, gallery, first, shift, slack, values, members, ahead):
    last = len(values) - 1
    lowest = np.float32(values[last] + shift - slack)
    for j in range(len(row)):
        if row[j] < lowest:
            continue
        x = np.float64(row[j]) - shift
        at = _first_beaten(values, members, x + slack, -1)
        if at <= last and values[at] >= x - slack:
            x = similarity(kind, query, gallery[begin - first + j])
            at = _first_beaten(values, members, x, begin + j)
        if at <= last:
            ahead[at] += 1


@njit(nogil=True, cache=True)
def count_tile(tile, begin, kind, queries, gallery, first, shift, slack, positives):
    """Count, for every positive of every query, the tile's other-class items that are nearer.

    With more than ``FEW`` positives the counts are differences: ``accumulate`` sums them.

    Args:
        tile: float32, (m, n); items of the query's class are overwritten with -inf.
        begin: Gallery position of the tile's first column.
        kind: Code of the distance.
        queries: float32, (m, d), exact rows.
        gallery: float32, (g, d), exact rows of this chunk.
        first: Gallery position of the chunk's first row.
        shift: float64, (m,): tile value minus exact similarity.
        slack: float64, (m,): largest error of a tile value.
        positives: (starts, values, members, ahead, pool, cursor, stop): per query the exact
            similarities and gallery positions of its positives, nearest first; their counts; and
            the class's gallery positions ``pool[cursor:stop]``, rising, not yet passed.
    """
    starts, values, members, ahead, pool, cursor, stop = positives
    for i in range(len(tile)):
        row = tile[i]
        while cursor[i] < stop[i] and pool[cursor[i]] < begin + len(row):
            row[pool[cursor[i]] - begin] = -np.inf
            cursor[i] += 1
        a, b = starts[i], starts[i + 1]
        if a == b:
            continue
        v, p, n, query = values[a:b], members[a:b], ahead[a:b], queries[i]
        if b - a <= FEW:
            _count_few(row, begin, kind, query, gallery, first, shift[i], slack[i], v, p, n)
        else:
            _count_many(row, begin, kind, query, gallery, first, shift[i], slack[i], v, p, n)


@njit(nogil=True, cache=True)
def accumulate(starts, ahead):
    """Turn the differences of queries with many positives into counts."""
    for i in range(len(starts) - 1):
        if starts[i + 1] - starts[i] > FEW:
            for p in range(starts[i] + 1, starts[i + 1]):
                ahead[p] += ahead[p - 1]

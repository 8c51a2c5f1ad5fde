"""The compiled loops of the exact search: similarities, the k nearest, and ranks of positives.

The gallery is searched in tiles: float32 matrices of similarities between ``m`` queries and ``n``
gallery items that stay in the cache. Each value of a tile comes with a proven bound on its error
(:mod:`retrieval.evaluation.search.distances`), and what the bound leaves open is decided by the
exact similarity of the two rows:

* for the k nearest, every item that the bound cannot rule out is kept as a candidate, and the
  candidates are ranked by their exact similarities at the end;
* for the ranks of the positives, the other-class items that are nearer are counted, and an item
  that the bound cannot place before or after a positive is compared exactly.

Equal similarities are ordered by gallery position. Everything is compiled once per machine by
Numba, cached where that is possible, and releases the GIL.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from retrieval.caches import numba_can_cache

CACHED = numba_can_cache()
Singles = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

DOT, SQUARED = 0, 1
DOT_GRID = 2.0**51
SPLIT = 2.0**13 + 1.0  # keeps 40 of 53 bits (Veltkamp's splitting)
LANES = 64  # values looked at together
ONE, NONE = np.float32(1), np.float32(0)
FEW = 24  # up to this many positives, counting beats looking up where the tile is crowded


class ExactRows(NamedTuple):
    """The rows behind a tile, to compare pairs exactly that a tile value cannot decide.

    Attributes:
        kind: Code of the distance.
        queries: float32, (m, d).
        gallery: float32, (g, d), the gallery rows of this chunk.
        first: Gallery position of the chunk's first row.
    """

    kind: int
    queries: Singles
    gallery: Singles
    first: int


class Tile(NamedTuple):
    """Fast similarities of all queries of a block with a few gallery items.

    Attributes:
        values: float32, (m, n), similarity plus ``shift``; overwritten with -inf where an item does
            not count for a query.
        begin: Gallery position of the first column.
        shift: float64, (m,), constant by which a tile value exceeds the exact similarity.
        slack: float64, (m,), largest error of a tile value.
    """

    values: Singles
    begin: int
    shift: Doubles
    slack: Doubles


class Candidates(NamedTuple):
    """The items that may be among the k nearest of each query.

    Attributes:
        lower: float64, (m, width), lower bound of the exact similarity of a candidate.
        ids: int64, (m, width), its gallery position.
        exact: float64, (m, width), its exact similarity; NaN where not yet computed.
        counts: int64, (m,), number of candidates of each query.
        floor: float64, (m,), a similarity that at least k items reach.
        worst: float64, (m,), the largest slack of the tiles seen so far.
    """

    lower: Doubles
    ids: Ints
    exact: Doubles
    counts: Ints
    floor: Doubles
    worst: Doubles


class Positives(NamedTuple):
    """The positives of each query: ``starts[i]:starts[i + 1]`` of the flat arrays, nearest first.

    Attributes:
        starts: int64, (m + 1,), offset of each query's positives in the flat arrays.
        values: float64, (p,), exact similarity of each positive.
        members: int64, (p,), its gallery position.
        ahead: int64, (p,), the other-class items counted so far that are nearer.
        pool: int64, (g,), all gallery positions sorted by class, then position.
        cursor: int64, (m,), start of the part of ``pool`` that holds the items of the query's class
            which the tiles have not yet passed.
        stop: int64, (m,), end of that part of ``pool``.
    """

    starts: Ints
    values: Doubles
    members: Ints
    ahead: Ints
    pool: Ints
    cursor: Ints
    stop: Ints


@njit(nogil=True, cache=CACHED, fastmath={"reassoc"})
def _dot(a: Singles, i: int, b: Singles, j: int) -> float:
    # A product of two float32 is exact in float64. Rounded to the grid, products are whole numbers
    # below 2**53 in sum, so every order of summation gives the same result.
    total = 0.0
    for t in range(a.shape[1]):
        total += np.rint(np.float64(a[i, t]) * DOT_GRID * np.float64(b[j, t]))
    return total / DOT_GRID


@njit(nogil=True, cache=CACHED, fastmath={"reassoc"})
def _squared(a: Singles, i: int, b: Singles, j: int) -> float:
    total = 0.0
    for t in range(a.shape[1]):
        apart = np.float64(a[i, t]) - np.float64(b[j, t])
        total += apart * apart
    return total


@njit(nogil=True, cache=CACHED, fastmath={"reassoc"})
def _cityblock(a: Singles, i: int, b: Singles, j: int) -> float:
    total = 0.0
    for t in range(a.shape[1]):
        total += abs(np.float64(a[i, t]) - np.float64(b[j, t]))
    return total


@njit(nogil=True, cache=CACHED)
def similarity(kind: int, a: Singles, i: int, b: Singles, j: int) -> float:
    """Exact similarity of rows ``a[i]`` and ``b[j]``: dot product, or negative distance.

    Dot products of unit rows are exact to 2**-52 per term in any order of summation. Distances are
    rounded to 40 bits, so that equal sums tie although they were added in another order.
    """
    if kind == DOT:
        return _dot(a, i, b, j)
    total = _squared(a, i, b, j) if kind == SQUARED else _cityblock(a, i, b, j)
    high = total * SPLIT
    return -(high - (high - total))


@njit(nogil=True, cache=CACHED, fastmath={"reassoc"})
def cityblock_tile(queries: Singles, gallery: Singles, tile: Singles) -> None:
    """Fill ``tile`` (m, n) with negative L1 distances in float32."""
    for i in range(len(queries)):
        for j in range(len(gallery)):
            total = np.float32(0)
            for t in range(queries.shape[1]):
                total += abs(queries[i, t] - gallery[j, t])
            tile[i, j] = -total


@njit(nogil=True, cache=CACHED)
def positive_similarities(
    kind: int,
    queries: Singles,
    starts: Ints,
    members: Ints,
    gallery: Singles,
    first: int,
    out: Doubles,
) -> None:
    """Set ``out[p]`` to the exact similarity of query ``i`` and ``gallery[members[p] - first]``.

    The pairs ``p`` of query ``i`` are ``starts[i]:starts[i + 1]``. Members outside of
    ``first:first + len(gallery)`` are skipped.
    """
    for i in range(len(queries)):
        for p in range(starts[i], starts[i + 1]):
            at = members[p] - first
            if 0 <= at < len(gallery):
                out[p] = similarity(kind, queries, i, gallery, at)


@njit(nogil=True, cache=CACHED, fastmath={"reassoc"})
def at_least(tile: Singles, i: int, start: int, stop: int, low: np.float32) -> np.float32:
    """Count the values >= low in a part of row ``i``.

    Counts in float32 (exact below 2**24) and unsigned indices let the loop vectorize.
    """
    count = NONE
    for j in range(np.uint64(start), np.uint64(stop)):
        count += ONE if tile[np.uint64(i), j] >= low else NONE
    return count


@njit(nogil=True, cache=CACHED)
def _kth_largest(values: Doubles, k: int) -> float:
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
    return float(values[want])


@njit(nogil=True, cache=CACHED)
def _drop_beaten(i: int, k: int, candidates: Candidates) -> None:
    """Drop candidates of query ``i`` that ``k`` others are sure to beat."""
    lower, ids, exact = candidates.lower, candidates.ids, candidates.exact
    counts, floor = candidates.counts, candidates.floor
    n = counts[i]
    if n < k:
        return
    floor[i] = max(floor[i], _kth_largest(lower[i, :n].copy(), k))
    limit, kept = floor[i] - 2 * candidates.worst[i], 0
    for c in range(n):
        if lower[i, c] >= limit:
            lower[i, kept], ids[i, kept], exact[i, kept] = lower[i, c], ids[i, c], exact[i, c]
            kept += 1
    counts[i] = kept


@njit(nogil=True, cache=CACHED)
def _sift(values: Doubles, ids: Ints, root: int, stop: int) -> None:
    """Move the pair at ``root`` down a heap whose top is the pair that belongs last."""
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


@njit(nogil=True, cache=CACHED)
def sort_nearest_first(values: Doubles, ids: Ints) -> None:
    """Sort pairs in place by decreasing similarity, equal ones by increasing id (heapsort)."""
    n = len(values)
    for root in range(n // 2 - 1, -1, -1):
        _sift(values, ids, root, n)
    for stop in range(n - 1, 0, -1):
        values[0], values[stop] = values[stop], values[0]
        ids[0], ids[stop] = ids[stop], ids[0]
        _sift(values, ids, 0, stop)


@njit(nogil=True, cache=CACHED)
def _resolve(i: int, k: int, rows: ExactRows, candidates: Candidates) -> None:
    """Reduce the candidates of query ``i`` to its exact top ``k``, sorted."""
    ids, exact, counts = candidates.ids, candidates.exact, candidates.counts
    n = counts[i]
    for c in range(n):
        if np.isnan(exact[i, c]):
            j = ids[i, c] - rows.first
            exact[i, c] = similarity(rows.kind, rows.queries, i, rows.gallery, j)
    sort_nearest_first(exact[i, :n], ids[i, :n])
    counts[i] = min(n, k)
    candidates.lower[i, : counts[i]] = exact[i, : counts[i]]
    if n >= k:
        candidates.floor[i] = exact[i, k - 1]


@njit(nogil=True, cache=CACHED)
def drop_listed(
    starts: Ints, members: Ints, pool: Ints, begin: Ints, stop: Ints, keep: NDArray[np.bool_]
) -> None:
    """Clear ``keep`` of the members of a query, ascending, that its list contains too.

    Args:
        starts: int64, (m + 1,), offset of each query's members.
        members: int64, (p,), gallery positions, ascending within a query.
        pool: int64, gallery positions; the list of query ``i`` is ``begin[i]:stop[i]``, ascending.
        begin: int64, (m,).
        stop: int64, (m,).
        keep: bool, (p,), updated in place.
    """
    for i in range(len(begin)):
        for p in range(starts[i], starts[i + 1]):
            low, high = begin[i], stop[i]
            while low < high:
                middle = (low + high) // 2
                if pool[middle] < members[p]:
                    low = middle + 1
                else:
                    high = middle
            if low < stop[i] and pool[low] == members[p]:
                keep[p] = False


@njit(nogil=True, cache=CACHED)
def remove_items(tile: Tile, own: Ints) -> None:
    """Overwrite each query's own item with -inf, which no neighbor or rank counts.

    Args:
        tile: The :class:`Tile`.
        own: int64, (m,), gallery position of each query; -1 if it is not in the gallery.
    """
    for i in range(len(own)):
        if 0 <= own[i] - tile.begin < tile.values.shape[1]:
            tile.values[i, own[i] - tile.begin] = -np.inf


@njit(nogil=True, cache=CACHED)
def remove_listed(tile: Tile, pool: Ints, cursor: Ints, stop: Ints, removed: Ints) -> None:
    """Overwrite the listed items of a tile with -inf, and count those that were not before.

    Args:
        tile: The :class:`Tile`.
        pool: int64, gallery positions, ascending within the list of a query.
        cursor: int64, (m,), start of the part of a query's list that the tiles have not yet
            passed; moved on.
        stop: int64, (m,), end of that list.
        removed: int64, (m,), items removed so far, updated in place.
    """
    values, begin, n = tile.values, tile.begin, tile.values.shape[1]
    for i in range(len(cursor)):
        c = cursor[i]
        while c < stop[i] and pool[c] < begin + n:
            if values[i, pool[c] - begin] != -np.inf:
                values[i, pool[c] - begin] = -np.inf
                removed[i] += 1
            c += 1
        cursor[i] = c


@njit(nogil=True, cache=CACHED)
def push_tile(tile: Tile, rows: ExactRows, own: Ints, k: int, candidates: Candidates) -> None:
    """Keep every item of a tile that may be among the ``k`` nearest of a query.

    Args:
        tile: The :class:`Tile`; the query's own item is overwritten with -inf.
        rows: The :class:`ExactRows` behind it.
        own: int64, (m,), gallery position of each query; -1 if it is not in the gallery.
        k: Neighbors wanted, at least 1.
        candidates: The :class:`Candidates`, updated in place.
    """
    values, begin = tile.values, tile.begin
    lower, ids, exact = candidates.lower, candidates.ids, candidates.exact
    counts, floor, worst = candidates.counts, candidates.floor, candidates.worst
    width, n = lower.shape[1], values.shape[1]
    for i in range(len(values)):
        if 0 <= own[i] - begin < n:
            values[i, own[i] - begin] = -np.inf
        shift, slack = tile.shift[i], tile.slack[i]
        worst[i] = max(worst[i], slack)
        offset = shift - slack
        limit = np.float32(max(floor[i] + offset, -3e38))
        for start in range(0, n, LANES):
            stop = min(start + LANES, n)
            if at_least(values, i, start, stop, limit) == NONE:
                continue
            for j in range(start, stop):
                if values[i, j] >= limit:
                    c = counts[i]
                    lower[i, c], ids[i, c] = values[i, j] - shift - slack, begin + j
                    exact[i, c] = np.nan
                    counts[i] = c + 1
                    if c + 1 == width:
                        _drop_beaten(i, k, candidates)
                        if counts[i] > width - LANES // 2:
                            _resolve(i, k, rows, candidates)
                        limit = np.float32(max(floor[i] + offset, -3e38))


@njit(nogil=True, cache=CACHED)
def resolve_all(rows: ExactRows, k: int, candidates: Candidates) -> None:
    """Reduce every query's candidates to its exact top ``k`` of all chunks seen so far."""
    for i in range(len(rows.queries)):
        _drop_beaten(i, k, candidates)
        _resolve(i, k, rows, candidates)


@njit(nogil=True, cache=CACHED)
def sort_positives(starts: Ints, values: Doubles, members: Ints) -> None:
    """Sort each query's pairs, nearest first, equal similarities by gallery position."""
    for i in range(len(starts) - 1):
        a, b = starts[i], starts[i + 1]
        sort_nearest_first(values[a:b], members[a:b])


@njit(nogil=True, cache=CACHED, fastmath={"reassoc"})
def _near_and_above(
    tile: Singles, i: int, low: np.float32, high: np.float32
) -> tuple[np.int64, np.int64]:
    """Count the values of row ``i`` that are >= low, and those > high."""
    near, above = NONE, NONE
    for j in range(np.uint64(tile.shape[1])):
        near += ONE if tile[np.uint64(i), j] >= low else NONE
        above += ONE if tile[np.uint64(i), j] > high else NONE
    return np.int64(near), np.int64(above)


@njit(nogil=True, cache=CACHED)
def _first_beaten(values: Doubles, members: Ints, a: int, b: int, x: float, item: int) -> int:
    """Return where to insert (x, item) in the decreasing values of ``a:b``."""
    while a < b:
        c = (a + b) // 2
        if values[c] < x or (values[c] == x and members[c] > item):
            b = c
        else:
            a = c + 1
    return a


@njit(nogil=True, cache=CACHED)
def _count_by_positive(i: int, tile: Tile, rows: ExactRows, positives: Positives) -> None:
    """Count for one positive after another: best where many items are nearer than some of them."""
    tile_values, shift, slack = tile.values, tile.shift[i], tile.slack[i]
    values, members, ahead = positives.values, positives.members, positives.ahead
    for p in range(positives.starts[i], positives.starts[i + 1]):
        low = np.float32(values[p] + shift - slack)
        high = np.float32(values[p] + shift + slack)
        near, above = _near_and_above(tile_values, i, low, high)
        ahead[p] += above
        if near > above:
            for j in range(tile_values.shape[1]):
                if low <= tile_values[i, j] <= high:
                    item = tile.begin + j
                    x = similarity(rows.kind, rows.queries, i, rows.gallery, item - rows.first)
                    if x > values[p] or (x == values[p] and item < members[p]):
                        ahead[p] += 1


@njit(nogil=True, cache=CACHED)
def _count_by_item(i: int, tile: Tile, rows: ExactRows, positives: Positives) -> None:
    """Look up for one item after another which positives it beats: best where few items do."""
    tile_values, shift, slack = tile.values, tile.shift[i], tile.slack[i]
    values, members, ahead = positives.values, positives.members, positives.ahead
    a, b = positives.starts[i], positives.starts[i + 1]
    few, lowest = b - a <= FEW, np.float32(values[b - 1] + shift - slack)
    for start in range(0, tile_values.shape[1], LANES):
        stop = min(start + LANES, tile_values.shape[1])
        if at_least(tile_values, i, start, stop, lowest) == NONE:
            continue
        for j in range(start, stop):
            if tile_values[i, j] < lowest:
                continue
            x = np.float64(tile_values[i, j]) - shift
            at = _first_beaten(values, members, a, b, x + slack, -1)
            if at < b and values[at] >= x - slack:
                item = tile.begin + j
                x = similarity(rows.kind, rows.queries, i, rows.gallery, item - rows.first)
                at = _first_beaten(values, members, a, b, x, item)
            # with many positives only the first is marked; ``sum_ahead`` adds up
            for p in range(at, b if few else min(at + 1, b)):
                ahead[p] += 1


@njit(nogil=True, cache=CACHED)
def count_tile(tile: Tile, rows: ExactRows, positives: Positives) -> None:
    """Count, for every positive of every query, the tile's other-class items that are nearer.

    Args:
        tile: The :class:`Tile`; items of the query's class are overwritten with -inf.
        rows: The :class:`ExactRows` behind it.
        positives: The :class:`Positives`, updated in place.
    """
    values, begin = tile.values, tile.begin
    starts, pool, cursor, stop = positives.starts, positives.pool, positives.cursor, positives.stop
    n = values.shape[1]
    for i in range(len(values)):
        a, b = starts[i], starts[i + 1]
        while cursor[i] < stop[i] and pool[cursor[i]] < begin + n:
            values[i, pool[cursor[i]] - begin] = -np.inf
            cursor[i] += 1
        if a == b:
            continue
        lowest = np.float32(positives.values[b - 1] + tile.shift[i] - tile.slack[i])
        nearer = at_least(values, i, 0, n, lowest)
        if nearer == NONE:
            continue
        if b - a <= FEW and nearer > 4 * (b - a):
            _count_by_positive(i, tile, rows, positives)
        else:
            _count_by_item(i, tile, rows, positives)


@njit(nogil=True, cache=CACHED)
def sum_ahead(starts: Ints, ahead: Ints) -> None:
    """Turn the marks of queries with many positives into counts, by adding them up."""
    for i in range(len(starts) - 1):
        if starts[i + 1] - starts[i] > FEW:
            for p in range(starts[i] + 1, starts[i + 1]):
                ahead[p] += ahead[p - 1]

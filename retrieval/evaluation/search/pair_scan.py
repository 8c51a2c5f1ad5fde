"""The compiled loops of the symmetric search: each tile serves the queries of both its sides.

In a leave-one-out search the similarity of ``a`` to ``b`` is that of ``b`` to ``a``, so the tiles
above the diagonal are enough. Items are sorted by class, which makes the classes runs along the
diagonal: the similarities within them are computed exactly beforehand, and a tile is only searched
for items of other classes. A value concerns a query

* if the item may be among the ``k`` nearest: it is at least the query's floor, which ``k`` items
  are known to reach;
* if it may be nearer than a positive.

Both are one threshold per row and one per column of the tile, and most values pass none of them:
64 values at a time are compared with both, and only those that pass are looked at.

A positive so far away that many items are nearer would let everything pass. Such *far* positives
are counted for all of a tile at once, one positive after another, which takes the same time however
many items are nearer. Which positives are far is decided once for each query, from the first tile,
and changes no result.

What a float32 value leaves open is decided exactly, as in
:mod:`retrieval.evaluation.search.kernels`.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from retrieval.evaluation.search.kernels import (
    CACHED,
    DOT,
    SQUARED,
    Doubles,
    Ints,
    Singles,
    cityblock_tile,
    similarity,
    sort_nearest_first,
)

Indices = NDArray[np.int32]
WORD = 64  # values compared at once: one bit each
MOST_FAR = 512  # positives of a query, beyond which none is counted as a far one
BY_ITEM, BY_POSITIVE = 40.0, 0.4  # time to look at an item that passes; to count one value
BISECTIONS = 14
PREFETCHED = 8  # rows asked of the memory before they are needed
LINE, MOST_LINES = 16, 32  # values of a cache line; lines asked for at once
LOWEST = -3e38  # above the -inf of what does not count
UNIT = 2.0**-23  # relative: more than the rounding to float32


class Points(NamedTuple):
    """The items, sorted by class.

    Attributes:
        kind: Code of the distance.
        fast: float32, (n, d or d + 2), rows for the float32 product.
        exact: float32, (n, d), rows for the comparison in double precision, in some order.
        row: int32, (n,), where the exact row of an item is.
        position: int32, (n,), gallery position of each item, by which ties are ordered; increasing
            within a class.
        item: int32, (n,), the item at each gallery position.
        start: int32, (n,), where the item's class begins.
        stop: int32, (n,), where it ends.
    """

    kind: int
    fast: Singles
    exact: Singles
    row: Indices
    position: Indices
    item: Indices
    start: Indices
    stop: Indices


class Nearest(NamedTuple):
    """The items that may be among the k nearest of each query.

    Attributes:
        k: Number of neighbors wanted.
        lower: float32, (n, width), lower bound of the exact similarity of a candidate.
        ids: int32, (n, width), its gallery position.
        counts: int32, (n,), number of candidates of each query.
        floor: float64, (n,), a similarity that at least k items reach.
        worst: float64, (n,), the largest slack of the tiles seen so far.
    """

    k: int
    lower: Singles
    ids: Indices
    counts: Indices
    floor: Doubles
    worst: Doubles


class Own(NamedTuple):
    """The positives of each query: ``starts[i]:starts[i + 1]`` of the flat arrays, nearest first.

    Attributes:
        starts: int64, (n + 1,), offset of each query's positives in the flat arrays.
        values: float64, (p,), exact similarity of each positive.
        members: int32, (p,), which item it is.
        ahead: int32, (p,), other-class items that are nearer; of the positives that are not far,
            only those that are not nearer than the one before.
        far: int64, (n,), offset of each query's first far positive.
    """

    starts: Ints
    values: Doubles
    members: Indices
    ahead: Indices
    far: Ints


class Work(NamedTuple):
    """Memory for one tile.

    Attributes:
        values: float32, the tile.
        by_row: int32, places of values that pass the bar of their row.
        by_column: int32, places of values that pass the bar of their column.
    """

    values: Singles
    by_row: Indices
    by_column: Indices


class Strip(NamedTuple):
    """One side of a tile: consecutive queries, and what a value must reach to concern them.

    Attributes:
        first: The first query.
        slack: float64, (m,), largest error of a tile value.
        near: float32, (m,), least value of an item that may be among the k nearest.
        ahead: float32, (m,), least value of an item that may be nearer than a positive.
        bar: float32, (m,), the lesser of the two.
    """

    first: int
    slack: Doubles
    near: Singles
    ahead: Singles
    bar: Singles


@intrinsic
def _passing(typing_context: Any, values: Any, at: Any, bar: Any, bars: Any, start: Any) -> Any:
    """Set bit ``b`` where ``values[at + b]`` is at least ``bar`` or ``bars[start + b]``.

    Written as instructions of LLVM, which knows no way from 64 comparisons to 64 bits of its own:
    a loop over the values takes several times as long.
    """
    signature = types.uint64(values, types.intp, types.float32, bars, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), WORD)

        def load(array: Any, kind: Any, offset: Any) -> Any:
            data = context.make_array(kind)(context, builder, array).data
            return builder.load(
                builder.bitcast(builder.gep(data, [offset]), vector.as_pointer()), align=4
            )

        whole = load(arguments[0], signature.args[0], arguments[1])
        columns = load(arguments[3], signature.args[3], arguments[4])
        single = builder.insert_element(
            ir.Constant(vector, ir.Undefined), arguments[2], ir.Constant(ir.IntType(32), 0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), WORD), [0] * WORD)
        row = builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), zeros)
        either = builder.or_(
            builder.fcmp_ordered(">=", whole, row), builder.fcmp_ordered(">=", whole, columns)
        )
        return builder.bitcast(either, ir.IntType(WORD))

    return signature, generate


@intrinsic
def _prefetch_line(typing_context: Any, rows: Any, i: Any, j: Any) -> Any:
    """Ask the memory for the cache line of ``rows[i, j]``, without waiting for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        width = builder.extract_value(array.shape, 1)
        at = builder.add(builder.mul(arguments[1], width), arguments[2])
        byte, whole = ir.IntType(8).as_pointer(), ir.IntType(32)
        line = builder.bitcast(builder.gep(array.data, [at]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(prefetch, [line, *(ir.Constant(whole, number) for number in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(rows, types.intp, types.intp), generate


@njit(nogil=True, cache=CACHED)
def _prefetch(rows: Singles, i: int) -> None:
    """Ask the memory for the beginning of row ``i``."""
    for j in range(0, min(rows.shape[1], LINE * MOST_LINES), LINE):
        _prefetch_line(rows, i, j)  # type: ignore[call-arg]


@intrinsic
def _lowest_bit(typing_context: Any, word: Any) -> Any:
    """Return the position of the lowest bit that is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@njit(nogil=True, cache=CACHED)
def _exact(points: Points, i: int, j: int) -> float:
    return similarity(points.kind, points.exact, points.row[i], points.exact, points.row[j])


@njit(nogil=True, cache=CACHED)
def _find_own(points: Points, own: Own, first: int, stop: int) -> None:
    """Compute the exact similarities of the positives of the queries ``first:stop``, and sort them.

    Args:
        points: The items.
        own: The positives, updated in place.
        first: The first query.
        stop: Where the queries end.
    """
    kind, exact, row = points.kind, points.exact, points.row
    begin, end, starts, values, members = (
        points.start, points.stop, own.starts, own.values, own.members
    )  # fmt: skip
    for i in range(first, stop):
        at = starts[i]
        for j in range(begin[i], end[i]):
            if j != i:
                values[at] = similarity(kind, exact, row[i], exact, row[j])
                members[at] = j
                at += 1
        a, b = starts[i], starts[i + 1]
        sort_nearest_first(values[a:b], members[a:b])  # type: ignore[arg-type]


@njit(nogil=True, cache=CACHED, fastmath={"reassoc"})
def _at_least(values: Singles, low: np.float32) -> np.int64:
    """Count the values >= low."""
    count = np.int32(0)
    for j in range(np.uint64(len(values))):
        count += np.int32(values[j] >= low)
    return np.int64(count)


@njit(nogil=True, cache=CACHED)
def _reached(values: Singles, k: int) -> np.float32:
    """Return a number that at least ``k`` of the values reach, and not many more; else -inf.

    It is found by bisection, since counting all values takes a fraction of the time of moving a few
    of them.
    """
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for value in values:
        low = min(low, value if value > LOWEST else np.float32(np.inf))
        high = max(high, value)
    if not low <= high or _at_least(values, low) < k:
        return np.float32(-np.inf)
    for _ in range(BISECTIONS):
        middle = low + (high - low) * np.float32(0.5)
        count = _at_least(values, middle)
        if count >= k:
            low = middle
            if count <= k + k // 16:
                break
        else:
            high = middle
    return low


@njit(nogil=True, cache=CACHED)
def _keep_best(i: int, points: Points, nearest: Nearest, values: Doubles, ids: Ints) -> None:
    """Reduce the candidates of query ``i`` to its exact top ``k``, nearest first.

    Args:
        i: The query.
        points: The items.
        nearest: The candidates, updated in place.
        values: float64, (width,), filled with their exact similarities.
        ids: int64, (width,), filled with their gallery positions.
    """
    kind, exact, row, item = points.kind, points.exact, points.row, points.item
    n, k, candidates, lower = nearest.counts[i], nearest.k, nearest.ids, nearest.lower
    for c in range(n):
        ids[c] = candidates[i, c]
        if c < PREFETCHED:
            _prefetch(exact, row[item[ids[c]]])
    for c in range(n):
        if c + PREFETCHED < n:
            _prefetch(exact, row[item[ids[c + PREFETCHED]]])
        values[c] = similarity(kind, exact, row[i], exact, row[item[ids[c]]])
    sort_nearest_first(values[:n], ids[:n])
    n = min(n, k)
    for c in range(n):
        candidates[i, c] = ids[c]
        lower[i, c] = values[c] - abs(values[c]) * UNIT
    nearest.counts[i] = n
    if n == k and n > 0:
        nearest.floor[i] = values[n - 1]


@njit(nogil=True, cache=CACHED)
def _make_room(i: int, points: Points, nearest: Nearest) -> None:
    """Drop candidates of query ``i`` that ``k`` others are sure to beat."""
    lower, ids, n = nearest.lower, nearest.ids, nearest.counts[i]
    width = lower.shape[1]
    reached = np.float64(_reached(lower[i, :n], nearest.k))
    nearest.floor[i] = max(nearest.floor[i], reached)
    limit, kept = np.float32(nearest.floor[i] - 2 * nearest.worst[i]), 0
    for c in range(n):  # without a branch, which would be mispredicted half of the time
        value = lower[i, c]
        lower[i, kept], ids[i, kept] = value, ids[i, c]
        kept += int(value >= limit)
    nearest.counts[i] = kept
    if kept > width - (width - nearest.k) // 2:
        _keep_best(i, points, nearest, np.empty(width), np.empty(width, np.int64))


@njit(nogil=True, cache=CACHED)
def _find_passing(
    values: Singles, row_bars: Singles, column_bars: Singles, by_row: Indices, by_column: Indices
) -> tuple[int, int]:
    """List the values of a tile that pass the bar of their row, and that of their column.

    Args:
        values: float32, (m, n), the tile.
        row_bars: float32, (m,).
        column_bars: float32, (n,).
        by_row: int32, (m * n + 1,), filled with the places ``i * n + j`` of those that pass the bar
            of their row.
        by_column: int32, (m * n + 1,), filled with those that pass the bar of their column.

    Returns:
        The number of either.
    """
    m, n = values.shape
    flat = values.reshape(m * n)
    n_row = n_column = 0
    for i in range(m):
        bar = row_bars[i]
        for start in range(0, n, WORD):
            at = i * n + start
            if start + WORD <= n:
                word: Any = _passing(flat, at, bar, column_bars, start)  # type: ignore[call-arg]
            else:
                word = np.uint64(0)
                for b in range(n - start):
                    if flat[at + b] >= bar or flat[at + b] >= column_bars[start + b]:
                        word |= np.uint64(1) << np.uint64(b)
            while word:
                b = int(_lowest_bit(word))  # type: ignore[call-arg]
                word &= word - np.uint64(1)
                by_row[n_row] = by_column[n_column] = at + b
                value = flat[at + b]
                n_row += value >= bar
                n_column += value >= column_bars[start + b]
    return n_row, n_column


@njit(nogil=True, cache=CACHED)
def _take_candidates(
    passing: Indices,
    by_row: bool,
    values: Singles,
    strip: Strip,
    first_item: int,
    points: Points,
    nearest: Nearest,
) -> None:
    """Keep the items of a tile that may be among the ``k`` nearest of the queries of one side.

    Args:
        passing: int32, (p,), places of values that pass the bar of their query.
        by_row: Whether the queries are the rows of the tile; else its columns.
        values: float32, (m, n), the tile.
        strip: The queries.
        first_item: The first item of the other side.
        points: The items.
        nearest: The candidates, updated in place.
    """
    n = values.shape[1]
    flat, position, first = values.reshape(values.size), points.position, strip.first
    near, slack = strip.near, strip.slack
    lower, ids, counts, floor = nearest.lower, nearest.ids, nearest.counts, nearest.floor
    width = lower.shape[1]
    for at in passing:
        i, j = at // n, at % n
        if not by_row:
            i, j = j, i
        if flat[at] >= near[i]:
            query = first + i
            c = counts[query]
            lower[query, c] = flat[at] - slack[i]
            ids[query, c] = position[first_item + j]
            counts[query] = c + 1
            if c + 1 == width:
                _make_room(query, points, nearest)
                near[i] = max(floor[query] - slack[i], LOWEST)


@njit(nogil=True, cache=CACHED)
def _count_ahead(
    passing: Indices,
    by_row: bool,
    values: Singles,
    strip: Strip,
    first_item: int,
    points: Points,
    own: Own,
) -> None:
    """Count the items of a tile that are nearer than a positive of the queries of one side.

    Args:
        passing: int32, (p,), places of values that pass the bar of their query.
        by_row: Whether the queries are the rows of the tile; else its columns.
        values: float32, (m, n), the tile.
        strip: The queries.
        first_item: The first item of the other side.
        points: The items.
        own: The positives, updated in place.
    """
    n = values.shape[1]
    flat, first, bars, slacks = values.reshape(values.size), strip.first, strip.ahead, strip.slack
    position, row, rows, kind = points.position, points.row, points.exact, points.kind
    starts, far, of, members, ahead = own.starts, own.far, own.values, own.members, own.ahead
    for at in passing:
        i, j = at // n, at % n
        if not by_row:
            i, j = j, i
        if flat[at] < bars[i]:
            continue
        query, item, x = first + i, first_item + j, np.float64(flat[at])
        a, b = starts[query], far[query]
        high = x + slacks[i]
        while a < b:  # the first positive that may be beaten
            c = (a + b) // 2
            if of[c] < high:
                b = c
            else:
                a = c + 1
        b = far[query]
        if a < b and of[a] >= x - slacks[i]:
            x = np.float64(similarity(kind, rows, row[query], rows, row[item]))
            while a < b and (of[a] > x or (of[a] == x and position[members[a]] < position[item])):
                a += 1
        if a < b:
            ahead[a] += 1


@njit(nogil=True, cache=CACHED, fastmath={"reassoc"})
def _near_and_above(
    values: Singles, i: int, low: np.float32, high: np.float32
) -> tuple[np.int64, np.int64]:
    """Count the values of row ``i`` that are >= low, and those > high."""
    near, above = np.int32(0), np.int32(0)
    for j in range(np.uint64(values.shape[1])):
        value = values[np.uint64(i), j]
        near += np.int32(value >= low)
        above += np.int32(value > high)
    return np.int64(near), np.int64(above)


@njit(nogil=True, cache=CACHED)
def _count_far_of_rows(values: Singles, rows: Strip, first: int, points: Points, own: Own) -> None:
    """Count the items of a tile nearer than each far positive of the queries of its rows."""
    for i in range(len(values)):
        query, slack = rows.first + i, rows.slack[i]
        for p in range(own.far[query], own.starts[query + 1]):
            low = np.float32(own.values[p] - slack)
            high = np.float32(own.values[p] + slack)
            near, above = _near_and_above(values, i, low, high)
            own.ahead[p] += above
            if near > above:
                for j in range(values.shape[1]):
                    if low <= values[i, j] <= high:
                        own.ahead[p] += _is_ahead(query, first + j, p, points, own)


@njit(nogil=True, cache=CACHED)
def _is_ahead(query: int, item: int, p: int, points: Points, own: Own) -> int:
    """Return 1 if an item is nearer to a query than its positive ``p``, else 0."""
    x = _exact(points, query, item)
    equal = x == own.values[p] and points.position[item] < points.position[own.members[p]]
    return 1 if x > own.values[p] or equal else 0


@njit(nogil=True, cache=CACHED)
def _add_passing(
    values: Singles, start: int, low: Singles, high: Singles, near: Indices, above: Indices
) -> None:
    """Add for ``WORD`` columns from ``start``, and one positive of each, what reaches it."""
    n = values.shape[1]
    flat = values.reshape(values.size)
    for s in range(len(low)):
        for i in range(len(values)):
            at = np.uint64(i * n + start)
            for b in range(np.uint64(WORD)):
                value = flat[at + b]
                near[s, b] += np.int32(value >= low[s, b])
                above[s, b] += np.int32(value > high[s, b])


@njit(nogil=True, cache=CACHED)
def _count_far_of_columns(
    values: Singles, columns: Strip, first: int, points: Points, own: Own
) -> None:
    """Count the items of a tile nearer than each far positive of the queries of its columns."""
    m, n = values.shape
    for start in range(0, n, WORD):
        width, most = min(WORD, n - start), 0
        for b in range(width):
            query = columns.first + start + b
            most = max(most, own.starts[query + 1] - own.far[query])
        if most == 0:
            continue
        low = np.full((most, WORD), np.float32(np.inf), np.float32)
        high = np.full((most, WORD), np.float32(np.inf), np.float32)
        near = np.zeros((most, WORD), np.int32)
        above = np.zeros((most, WORD), np.int32)
        for b in range(width):
            query, slack = columns.first + start + b, columns.slack[start + b]
            a = own.far[query]
            for s in range(own.starts[query + 1] - a):
                low[s, b] = own.values[a + s] - slack
                high[s, b] = own.values[a + s] + slack
        if width == WORD:
            _add_passing(values, start, low, high, near, above)
        else:
            for s in range(most):
                for i in range(m):
                    for b in range(width):
                        near[s, b] += values[i, start + b] >= low[s, b]
                        above[s, b] += values[i, start + b] > high[s, b]
        for b in range(width):
            query = columns.first + start + b
            a = own.far[query]
            for s in range(own.starts[query + 1] - a):
                own.ahead[a + s] += above[s, b]
                if near[s, b] > above[s, b]:
                    for i in range(m):
                        if low[s, b] <= values[i, start + b] <= high[s, b]:
                            own.ahead[a + s] += _is_ahead(query, first + i, a + s, points, own)


@njit(nogil=True, cache=CACHED)
def _multiply(points: Points, a: int, b: int, c: int, d: int, buffer: Singles) -> Singles:
    """Return the fast similarities of the items ``a:b`` with ``c:d``, float32 (b - a, d - c)."""
    m, n = b - a, d - c
    values = buffer[: m * n].reshape(m, n)
    left, right = points.fast[a:b], points.fast[c:d]
    if points.kind == DOT:
        np.dot(left, right.T, values)
    elif points.kind == SQUARED:
        # (2 a, -1, -|a|^2) . (b, |b|^2, 1) = -|a - b|^2
        wide = points.fast.shape[1]
        query = np.empty((m, wide), np.float32)
        for i in range(m):
            for t in range(wide - 2):
                query[i, t] = 2 * left[i, t]
            query[i, wide - 2], query[i, wide - 1] = -1, -left[i, wide - 2]
        np.dot(query, right.T, values)
    else:
        cityblock_tile(left, right, values)
    return values


@njit(nogil=True, cache=CACHED)
def _leave_out_classes(values: Singles, a: int, c: int, points: Points) -> None:
    """Overwrite the pairs of one class by -inf; rows are items from ``a``, columns from ``c``."""
    m, n = values.shape
    for i in range(m):
        start, stop = max(points.start[a + i], c), min(points.stop[a + i], c + n)
        for j in range(start, stop):
            values[i, j - c] = -np.inf


@njit(nogil=True, cache=CACHED)
def _strip(first: int, slack: Doubles, nearest: Nearest, own: Own) -> Strip:
    """Return a side of a tile, and what a value must reach to concern each of its queries."""
    m = len(slack)
    near, ahead, bar = np.empty((3, m), np.float32)
    floor, worst, starts, far, values = (
        nearest.floor, nearest.worst, own.starts, own.far, own.values
    )  # fmt: skip
    for i in range(m):
        query = first + i
        worst[query] = max(worst[query], slack[i])
        near[i] = max(floor[query] - slack[i], LOWEST)
        a, b = starts[query], far[query]
        ahead[i] = max(values[b - 1] - slack[i], LOWEST) if b > a else np.inf
        bar[i] = min(near[i], ahead[i])
    return Strip(first, slack, near, ahead, bar)


@njit(nogil=True, cache=CACHED)
def _begin(
    values: Singles, first: int, slacks: Doubles, points: Points, nearest: Nearest, own: Own
) -> None:
    """Begin the search of each query of a tile on the diagonal.

    Its first candidates are its nearest positives. The first floor is a similarity that ``k`` items
    of the tile, or ``k`` positives, surely reach; and it is decided which positives are far.
    """
    n, k = values.shape[1], nearest.k
    for i in range(len(values)):
        query, slack = first + i, slacks[i]
        a, b = own.starts[query], own.starts[query + 1]
        floor = -np.inf if k else np.inf
        if k and n >= k:
            floor = np.float64(_reached(values[i], k)) - slack
        if k and b - a >= k:
            floor = max(floor, own.values[a + k - 1])
        nearest.floor[query] = floor
        count = 0
        for p in range(a, min(b, a + k)):
            value = own.values[p]
            if value >= floor:
                nearest.lower[query, count] = value - abs(value) * UNIT
                nearest.ids[query, count] = points.position[own.members[p]]
                count += 1
        nearest.counts[query] = count
        own.far[query] = _first_far(values, i, a, b, slack, own)


@njit(nogil=True, cache=CACHED)
def _first_far(values: Singles, i: int, a: int, b: int, slack: float, own: Own) -> int:
    """Return where the far positives of a query begin, for the least work in later tiles."""
    if b - a > MOST_FAR:
        return b
    n, least, far = values.shape[1], BY_POSITIVE * (b - a), a
    for p in range(a, b):
        passing, _ = _near_and_above(values, i, np.float32(own.values[p] - slack), np.float32(0))
        work = BY_ITEM * passing / n + BY_POSITIVE * (b - 1 - p)
        if work <= least:
            least, far = work, p + 1
    return far


@njit(nogil=True, cache=CACHED)
def _work(most: int) -> Work:
    size = most * most
    return Work(
        np.empty(size, np.float32), np.empty(size + 1, np.int32), np.empty(size + 1, np.int32)
    )


@njit(nogil=True, cache=CACHED)
def search_diagonal(
    points: Points, nearest: Nearest, own: Own, first: int, slack: Doubles, most: int
) -> None:
    """Search one tile on the diagonal: some queries among themselves.

    Args:
        points: The items.
        nearest: The candidates, updated in place.
        own: The positives with their similarities, updated in place.
        first: The first query.
        slack: float64, (m,), largest error of a fast similarity of each of the queries.
        most: Size of a tile.
    """
    stop, work = first + len(slack), _work(most)
    for a in range(first, stop, most):
        b = min(a + most, stop)
        _find_own(points, own, a, b)
        values = _multiply(points, a, b, a, b, work.values)
        _leave_out_classes(values, a, a, points)
        slack_of_tile = slack[a - first : b - first]
        _begin(values, a, slack_of_tile, points, nearest, own)
        rows = _strip(a, slack_of_tile, nearest, own)
        silent = np.full(b - a, np.inf, np.float32)
        n_row, _ = _find_passing(values, rows.bar, silent, work.by_row, work.by_column)
        by_row = work.by_row[:n_row]
        _take_candidates(by_row, True, values, rows, a, points, nearest)
        _count_ahead(by_row, True, values, rows, a, points, own)
        _count_far_of_rows(values, rows, a, points, own)
    for a in range(first, stop, most):
        for c in range(a + most, stop, most):
            b, d = min(a + most, stop), min(c + most, stop)
            _search_tile(
                points, nearest, own, a, c, slack[a - first : b - first],
                slack[c - first : d - first], work,
            )  # fmt: skip


@njit(nogil=True, cache=CACHED)
def search_pair(
    points: Points,
    nearest: Nearest,
    own: Own,
    first: int,
    second: int,
    slack_of_first: Doubles,
    slack_of_second: Doubles,
    most: int,
) -> None:
    """Search the tiles between two blocks of queries, for both.

    Args:
        points: The items.
        nearest: The candidates, updated in place.
        own: The positives, updated in place.
        first: The first query of the first block.
        second: The first query of the second block, which comes later and does not overlap.
        slack_of_first: float64, (m,), largest error of a fast similarity of each query of the first
            block.
        slack_of_second: float64, (o,), the same of the second block.
        most: Size of a tile.
    """
    work = _work(most)
    for a in range(0, len(slack_of_first), most):
        for c in range(0, len(slack_of_second), most):
            _search_tile(
                points, nearest, own, first + a, second + c, slack_of_first[a : a + most],
                slack_of_second[c : c + most], work,
            )  # fmt: skip


@njit(nogil=True, cache=CACHED)
def _search_tile(
    points: Points,
    nearest: Nearest,
    own: Own,
    a: int,
    c: int,
    slack_of_rows: Doubles,
    slack_of_columns: Doubles,
    work: Work,
) -> None:
    """Search one tile above the diagonal for the queries of both its sides."""
    values = _multiply(points, a, a + len(slack_of_rows), c, c + len(slack_of_columns), work.values)
    _leave_out_classes(values, a, c, points)
    rows, columns = (
        _strip(a, slack_of_rows, nearest, own), _strip(c, slack_of_columns, nearest, own)
    )  # fmt: skip
    n_row, n_column = _find_passing(values, rows.bar, columns.bar, work.by_row, work.by_column)
    by_row, by_column = work.by_row[:n_row], work.by_column[:n_column]
    _take_candidates(by_row, True, values, rows, c, points, nearest)
    _take_candidates(by_column, False, values, columns, a, points, nearest)
    _count_ahead(by_row, True, values, rows, c, points, own)
    _count_ahead(by_column, False, values, columns, a, points, own)
    _count_far_of_rows(values, rows, c, points, own)
    _count_far_of_columns(values, columns, a, points, own)


@njit(nogil=True, cache=CACHED)
def finish(
    points: Points, nearest: Nearest, own: Own, first: int, values: Doubles, ids: Ints
) -> None:
    """Rank the candidates of some queries exactly, and add up what is ahead of their positives.

    Args:
        points: The items.
        nearest: The candidates.
        own: The positives; afterwards ``ahead`` counts all other-class items that are nearer.
        first: The first query.
        values: float64, (m, width), filled with the exact similarities, nearest first.
        ids: int64, (m, width), filled with the gallery positions of the neighbors.
    """
    for i in range(len(values)):
        query = first + i
        for p in range(own.starts[query] + 1, own.far[query]):
            own.ahead[p] += own.ahead[p - 1]
        if nearest.counts[query] >= nearest.k > 0:
            _make_room(query, points, nearest)
        _keep_best(query, points, nearest, values[i], ids[i])

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
from llvmlite import ir
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
    sort_nearest_first,
    similarity,
)

Indices = NDArray[np.int32]
WORD = 64  # values compared at once: one bit each
MOST_FAR = 512  # positives of a query, beyond which none is counted as a far one
BY_ITEM, BY_POSITIVE = 40.0, 0.4  # time to look at an item that passes; to count one value
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
def _lowest_bit(typing_context: Any, word: Any) -> Any:
    """Return the position of the lowest bit that is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@njit(nogil=True, cache=CACHED)
def _exact(points: Points, i: int, j: int) -> float:
    return similarity(points.kind, points.exact, points.row[i], points.exact, points.row[j])


@njit(nogil=True, cache=CACHED)
def find_own(points: Points, own: Own, first: int, stop: int) -> None:
    """Compute the exact similarities of the positives of the queries ``first:stop``, and sort them.

    Args:
        points: The items.
        own: The positives, updated in place.
        first: The first query.
        stop: Where the queries end.
    """
    for i in range(first, stop):
        at = own.starts[i]
        for j in range(points.start[i], points.stop[i]):
            if j != i:
                own.values[at] = _exact(points, i, j)
                own.members[at] = j
                at += 1
        a, b = own.starts[i], own.starts[i + 1]
        sort_nearest_first(own.values[a:b], own.members[a:b])


@njit(nogil=True, cache=CACHED)
def _kth_largest(values: Singles, k: int) -> np.float32:
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


@njit(nogil=True, cache=CACHED)
def _keep_best(i: int, points: Points, nearest: Nearest, values: Doubles, ids: Ints) -> int:
    """Reduce the candidates of query ``i`` to its exact top ``k``, nearest first.

    Args:
        i: The query.
        points: The items.
        nearest: The candidates, updated in place.
        values: float64, (width,), filled with their exact similarities.
        ids: int64, (width,), filled with their gallery positions.

    Returns:
        Their number.
    """
    n = nearest.counts[i]
    for c in range(n):
        ids[c] = nearest.ids[i, c]
        values[c] = _exact(points, i, points.item[ids[c]])
    sort_nearest_first(values[:n], ids[:n])
    n = min(n, nearest.k)
    for c in range(n):
        nearest.ids[i, c] = ids[c]
        nearest.lower[i, c] = values[c] - abs(values[c]) * UNIT
    nearest.counts[i] = n
    if n == nearest.k and n > 0:
        nearest.floor[i] = values[n - 1]
    return n


@njit(nogil=True, cache=CACHED)
def _make_room(i: int, points: Points, nearest: Nearest) -> None:
    """Drop candidates of query ``i`` that ``k`` others are sure to beat."""
    lower, ids, n = nearest.lower, nearest.ids, nearest.counts[i]
    width = lower.shape[1]
    reached = np.float64(_kth_largest(lower[i, :n].copy(), nearest.k))
    nearest.floor[i] = max(nearest.floor[i], reached)
    limit, kept = nearest.floor[i] - 2 * nearest.worst[i], 0
    for c in range(n):
        if lower[i, c] >= limit:
            lower[i, kept], ids[i, kept] = lower[i, c], ids[i, c]
            kept += 1
    nearest.counts[i] = kept
    if kept > width - (width - nearest.k) // 2:
        _keep_best(i, points, nearest, np.empty(width), np.empty(width, np.int64))


@njit(nogil=True, cache=CACHED)
def _insert(a: int, b: int, x: float, position: int, points: Points, own: Own) -> int:
    """Return where an item of similarity ``x`` belongs among the decreasing positives ``a:b``."""
    while a < b:
        c = (a + b) // 2
        value = own.values[c]
        if value < x or (value == x and points.position[own.members[c]] > position):
            b = c
        else:
            a = c + 1
    return a


@njit(nogil=True, cache=CACHED)
def _look(
    i: int,
    item: int,
    value: np.float32,
    strip: Strip,
    points: Points,
    nearest: Nearest,
    own: Own,
) -> None:
    """Let a query, the ``i``-th of its strip, take note of an item whose value passes its bar."""
    query, slack = strip.first + i, strip.slack[i]
    if value >= strip.near[i]:
        c = nearest.counts[query]
        nearest.lower[query, c] = value - slack
        nearest.ids[query, c] = points.position[item]
        nearest.counts[query] = c + 1
        if c + 1 == nearest.lower.shape[1]:
            _make_room(query, points, nearest)
            strip.near[i] = max(nearest.floor[query] - slack, LOWEST)
            strip.bar[i] = min(strip.near[i], strip.ahead[i])
    if value >= strip.ahead[i]:
        a, b, x = own.starts[query], own.far[query], np.float64(value)
        at = _insert(a, b, x + slack, -1, points, own)
        if at < b and own.values[at] >= x - slack:
            exact = _exact(points, query, item)
            at = _insert(a, b, exact, points.position[item], points, own)
        if at < b:
            own.ahead[at] += 1


@njit(nogil=True, cache=CACHED)
def _set_bars(strip: Strip, nearest: Nearest, own: Own) -> None:
    """Set what a value must reach to concern each query of a strip."""
    for i in range(len(strip.bar)):
        query, slack = strip.first + i, strip.slack[i]
        nearest.worst[query] = max(nearest.worst[query], slack)
        strip.near[i] = max(nearest.floor[query] - slack, LOWEST)
        a, b = own.starts[query], own.far[query]
        strip.ahead[i] = max(own.values[b - 1] - slack, LOWEST) if b > a else np.inf
        strip.bar[i] = min(strip.near[i], strip.ahead[i])


@njit(nogil=True, cache=CACHED)
def _scan(
    values: Singles,
    rows: Strip,
    columns: Strip,
    points: Points,
    nearest: Nearest,
    own: Own,
) -> None:
    """Look at every value of a tile that passes the bar of its row or of its column."""
    m, n = values.shape
    flat = values.reshape(m * n)
    for i in range(m):
        for start in range(0, n, WORD):
            stop = min(start + WORD, n)
            if stop - start == WORD:
                word = _passing(flat, i * n + start, rows.bar[i], columns.bar, start)
            else:
                word = np.uint64(0)
                for j in range(start, stop):
                    if values[i, j] >= rows.bar[i] or values[i, j] >= columns.bar[j]:
                        word |= np.uint64(1) << np.uint64(j - start)
            while word:
                j = start + np.int64(_lowest_bit(word))
                word &= word - np.uint64(1)
                value = values[i, j]
                if value >= rows.bar[i]:
                    _look(i, columns.first + j, value, rows, points, nearest, own)
                if value >= columns.bar[j]:
                    _look(j, rows.first + i, value, columns, points, nearest, own)


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
def _count_far_of_rows(
    values: Singles, rows: Strip, first: int, points: Points, own: Own
) -> None:
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
def _strip(first: int, slack: Doubles, silent: bool) -> Strip:
    """Return a side of a tile; the queries of a silent one are concerned by nothing."""
    m = len(slack)
    bar = np.full(m, np.inf if silent else 0.0, np.float32)
    return Strip(first, slack, np.empty(m, np.float32), np.empty(m, np.float32), bar)


@njit(nogil=True, cache=CACHED)
def _begin(values: Singles, rows: Strip, points: Points, nearest: Nearest, own: Own) -> None:
    """Begin the search of each query of a tile on the diagonal.

    Its first candidates are its nearest positives. The first floor is a similarity that ``k`` items
    of the tile, or ``k`` positives, surely reach; and it is decided which positives are far.
    """
    n, k = values.shape[1], nearest.k
    for i in range(len(values)):
        query, slack = rows.first + i, rows.slack[i]
        a, b = own.starts[query], own.starts[query + 1]
        floor = -np.inf if k else np.inf
        if k and n >= k:
            floor = np.float64(_kth_largest(values[i].copy(), k)) - slack
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
    n = len(points.position)
    stop = min(first + len(slack), n)
    buffer = np.empty(most * most, np.float32)
    for a in range(first, stop, most):
        b = min(a + most, stop)
        find_own(points, own, a, b)
        values = _multiply(points, a, b, a, b, buffer)
        _leave_out_classes(values, a, a, points)
        rows = _strip(a, slack[a - first : b - first], False)
        _begin(values, rows, points, nearest, own)
        _set_bars(rows, nearest, own)
        _scan(values, rows, _strip(a, slack[a - first : b - first], True), points, nearest, own)
        _count_far_of_rows(values, rows, a, points, own)
    for a in range(first, stop, most):
        for c in range(a + most, stop, most):
            b, d = min(a + most, stop), min(c + most, stop)
            _search_tile(
                points, nearest, own, a, c, slack[a - first : b - first],
                slack[c - first : d - first], buffer,
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
    buffer = np.empty(most * most, np.float32)
    for a in range(0, len(slack_of_first), most):
        for c in range(0, len(slack_of_second), most):
            _search_tile(
                points, nearest, own, first + a, second + c, slack_of_first[a : a + most],
                slack_of_second[c : c + most], buffer,
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
    buffer: Singles,
) -> None:
    """Search one tile above the diagonal for the queries of both its sides."""
    values = _multiply(points, a, a + len(slack_of_rows), c, c + len(slack_of_columns), buffer)
    _leave_out_classes(values, a, c, points)
    rows, columns = _strip(a, slack_of_rows, False), _strip(c, slack_of_columns, False)
    _set_bars(rows, nearest, own)
    _set_bars(columns, nearest, own)
    _scan(values, rows, columns, points, nearest, own)
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

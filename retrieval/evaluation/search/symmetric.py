"""The search of all items by all, which computes each similarity once for both its items.

Leave-one-out, the queries are the gallery, and the similarity of two items serves both. Items are
sorted by class and divided into blocks; each pair of blocks is compared once
(:mod:`retrieval.evaluation.search.pair_scan`), so that half the products of the general search
suffice. The result is the same to the last digit, for neighbors and ranks are those of the exact
similarities either way.

All queries are searched at the same time, so that the candidates of all of them are in memory:
about twice the neighbors asked for. The general search
(:mod:`retrieval.evaluation.search.block`) takes over where that is too much, where embeddings stay
on disk, and where queries and gallery differ, or where relevant or excluded items are listed for
each query, so that what counts for one item of a pair need not count for the other.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from retrieval.evaluation.metrics import score_ranks
from retrieval.evaluation.protocol import Sides
from retrieval.evaluation.search import distances, pair_scan
from retrieval.evaluation.search.distances import SQUARED
from retrieval.evaluation.search.pair_scan import Nearest, Own, Points
from retrieval.evaluation.search.plan import BlockSizes, Judgments, Ranking, mean_of, take

WRITTEN = 2_048  # queries whose results are written at once
BLOCKS = 40  # blocks of queries, if they are larger than a tile: half as many pairs at a time
BY_POSITIVE_PAIR = 24  # bytes kept for a query and a positive


def candidates_of(k: int) -> int:
    """Return how many candidates are kept for each query: room for those that are not decided."""
    return k + max(64, k // 2)


def suits(
    embeddings: np.ndarray,
    codes: np.ndarray,
    sides: Sides,
    k: int,
    sizes: BlockSizes,
    judgments: Judgments,
) -> bool:
    """Return whether a search is one of all items by all that can be done at once.

    Args:
        embeddings: float, (n, d).
        codes: int64, (n,), class of each item, 0-based.
        sides: The queries and the gallery.
        k: Number of neighbors wanted.
        sizes: How the search is divided.
        judgments: What counts for each query.
    """
    n = len(sides.gallery)
    if not judgments.plain or judgments.grades is not None:
        return False
    if len(sides.queries) != n or not np.array_equal(sides.queries, sides.gallery):
        return False
    row_bytes = 8 * embeddings.shape[1] + 16
    if isinstance(embeddings, np.memmap) and n * row_bytes > sizes.chunk_bytes:
        return False
    of_class = np.bincount(codes[sides.gallery])
    pairs = int((of_class * (of_class - 1)).sum())
    state = 8 * n * candidates_of(min(k, n)) + BY_POSITIVE_PAIR * pairs
    return state <= sizes.state_bytes


@dataclass(frozen=True)
class State:
    """One search of all items by all.

    Attributes:
        points: The items, sorted by class.
        nearest: The candidates of every query.
        own: The positives of every query.
        size: float64, (n,), the norm of each item for the error bound.
        sides: The queries and the gallery.
        distance: Name of the distance.
    """

    points: Points
    nearest: Nearest
    own: Own
    size: np.ndarray
    sides: Sides
    distance: str

    def slack(self, part: slice, other: slice) -> np.ndarray:
        """Bound the error of the fast similarities of some items with others, float64 (m,)."""
        kind, largest = self.points.kind, float(self.size[other].max())
        return distances.symmetric_slack(self.size[part], largest, kind, self.points.exact.shape[1])


def prepare(
    embeddings: np.ndarray, codes: np.ndarray, sides: Sides, distance: str, k: int
) -> State:
    """Sort the items by class and prepare them for comparison; see :func:`search_all`."""
    kind = distances.kind_of(distance)
    n, gallery = len(sides.gallery), sides.gallery
    order = np.argsort(codes[gallery], kind="stable")
    of_class = np.bincount(codes[gallery], minlength=1)
    of_class = of_class[of_class > 0]
    stops = np.cumsum(of_class)
    position = order.astype(np.int32)
    item = np.empty(n, np.int32)
    item[position] = np.arange(n, dtype=np.int32)
    rows = take(embeddings, gallery)
    fast, exact, size = distances.prepare_symmetric(
        rows, order, kind, mean_of(embeddings, gallery, kind)
    )
    k = min(k, n)
    width, pairs = candidates_of(k), np.repeat(of_class - 1, of_class)
    points = Points(
        kind=kind,
        fast=fast,
        exact=exact,
        row=position if kind == SQUARED else np.arange(n, dtype=np.int32),
        position=position,
        item=item,
        start=np.repeat(stops - of_class, of_class).astype(np.int32),
        stop=np.repeat(stops, of_class).astype(np.int32),
    )
    nearest = Nearest(
        k=k,
        lower=np.empty((n, width), np.float32),
        ids=np.empty((n, width), np.int32),
        counts=np.zeros(n, np.int32),
        floor=np.empty(n),
        worst=np.zeros(n),
    )
    own = Own(
        starts=np.concatenate([[0], np.cumsum(pairs)]),
        values=np.empty(int(pairs.sum())),
        members=np.empty(int(pairs.sum()), np.int32),
        ahead=np.zeros(int(pairs.sum()), np.int32),
        far=np.zeros(n, np.int64),
    )
    return State(points, nearest, own, size, sides, distance)


def search_all(
    embeddings: np.ndarray,
    codes: np.ndarray,
    sides: Sides,
    distance: str,
    k: int,
    out: Ranking,
    *,
    pool: ThreadPoolExecutor,
    sizes: BlockSizes,
    further: tuple[str, ...],
    advance: Callable[[int], None] | None = None,
) -> None:
    """Search all items by all and write the result.

    Args:
        embeddings: float, (n, d).
        codes: int64, (n,), class of each item, 0-based.
        sides: The queries, which are the gallery.
        distance: Name of the distance.
        k: Number of neighbors wanted.
        out: The arrays of the result, which are filled.
        pool: Worker threads.
        sizes: How the search is divided.
        further: Names of metrics to compute on request.
        advance: Is told how many queries' worth of the work is done, see
            :func:`retrieval.evaluation.search.search.search`. Defaults to None.
    """
    state = prepare(embeddings, codes, sides, distance, k)
    n, most = len(sides.gallery), sizes.tile
    rows = most * max(1, -(-n // (BLOCKS * most)))
    blocks = [slice(first, min(first + rows, n)) for first in range(0, n, rows)]

    def begin(block: slice) -> None:
        pair_scan.search_diagonal(
            state.points, state.nearest, state.own, block.start, state.slack(block, block), most
        )

    def compare(a: int, b: int) -> None:
        one, other = blocks[a], blocks[b]
        pair_scan.search_pair(
            state.points, state.nearest, state.own, one.start, other.start,
            state.slack(one, other), state.slack(other, one), most,
        )  # fmt: skip

    list(pool.map(begin, blocks))
    run_pairs(len(blocks), compare, pool, _in_queries(advance, n, len(blocks)))
    list(
        pool.map(
            lambda first: write(state, first, min(first + WRITTEN, n), out, further),
            range(0, n, WRITTEN),
        )
    )


def write(state: State, first: int, stop: int, out: Ranking, further: tuple[str, ...]) -> None:
    """Write the results of the queries ``first:stop``, in the order of their classes."""
    points, own, k = state.points, state.own, state.nearest.k
    item_rows, at = state.sides.gallery, points.position[first:stop]
    width = state.nearest.lower.shape[1]
    values, found = np.empty((stop - first, width)), np.empty((stop - first, width), np.int64)
    pair_scan.finish(points, state.nearest, own, first, values, found)
    if k:
        is_found = np.arange(k) < state.nearest.counts[first:stop, None]
        out.ids[at] = np.where(is_found, item_rows[np.where(is_found, found[:, :k], 0)], -1)
        exact = np.where(is_found, values[:, :k], -np.inf)
        out.similarities[at] = distances.reported(exact, state.distance)
    starts = own.starts[first : stop + 1]
    part = slice(starts[0], starts[-1])
    starts = starts - starts[0]
    n_positive, some = np.diff(starts), np.diff(starts) > 0
    ahead = own.ahead[part].astype(np.int64)
    ranks = ahead + 1 + np.arange(len(ahead)) - np.repeat(starts[:-1], n_positive)
    nearest = own.members[part][starts[:-1][some]]
    out.n_positive[at] = n_positive
    out.first_relevant_rank[at[some]] = ranks[starts[:-1][some]]
    out.first_relevant_item[at[some]] = item_rows[points.position[nearest]]
    for name, scores in score_ranks(ranks, n_positive, None, further).items():
        out.scores[name][at] = scores


def rounds(n: int) -> Iterator[tuple[int, int]]:
    """Yield every pair of ``n`` numbers, in an order in which neighbors share none.

    It is that of a tournament in which everyone plays everyone: rounds of pairs that share no
    number, by the circle method.

    >>> list(rounds(4))
    [(0, 3), (1, 2), (0, 2), (1, 3), (0, 1), (2, 3)]
    """
    ring = [*range(n), *([-1] if n % 2 else [])]
    for _ in range(len(ring) - 1):
        for a, b in zip(ring[: len(ring) // 2], reversed(ring), strict=False):
            if a >= 0 and b >= 0:
                yield min(a, b), max(a, b)
        ring = [ring[0], ring[-1], *ring[1:-1]]


def _in_queries(
    advance: Callable[[int], None] | None, n: int, blocks: int
) -> Callable[[int], None] | None:
    """Return what is told of the pairs of blocks done so far, and tells of as many queries more."""
    if advance is None:
        return None
    pairs, told = blocks * (blocks - 1) // 2, 0
    if not pairs:
        advance(n)

    def tell(done: int) -> None:
        nonlocal told
        more = n * done // pairs - told
        told += more
        advance(more)

    return tell


def run_pairs(
    n: int,
    compare: Callable[[int, int], None],
    pool: ThreadPoolExecutor,
    tell: Callable[[int], None] | None = None,
) -> None:
    """Call a function for every pair of ``n`` numbers, and never at once for two that share one.

    Args:
        n: Number of numbers.
        compare: Function of two numbers, the lesser first.
        pool: Threads that call it.
        tell: Is told the number of pairs that are done, after each. Defaults to None.
    """
    left, busy, free = list(rounds(n)), set[int](), threading.Condition()
    ended, done = False, 0

    def next_pair() -> tuple[int, int] | None:
        with free:
            while left and not ended:
                for at, pair in enumerate(left):
                    if busy.isdisjoint(pair):
                        busy.update(pair)
                        return left.pop(at)
                free.wait()
        return None

    def work(_: int) -> None:
        nonlocal ended, done
        try:
            while (pair := next_pair()) is not None:
                compare(*pair)
                with free:
                    busy.difference_update(pair)
                    done += 1
                    if tell is not None:
                        tell(done)
                    free.notify_all()
        finally:
            with free:
                if left:  # an error, or an interruption: the others need not go on
                    ended = True
                free.notify_all()

    try:
        list(pool.map(work, range(n // 2)))
    finally:
        ended = True

"""Count all pairs of a query and a gallery item by their similarity, exactly and in bounded memory.

Two passes over the pairs. The first fills a fine histogram of float32 similarities, which tells
where the thresholds of interest lie. The second counts, for every class, the pairs between chosen
similarities (*edges*), and lists the pairs of the few short intervals that hold a threshold. In
that pass a pair near an edge is compared exactly, so counts and listed similarities are those of
double precision, whatever the BLAS, the block sizes or the number of threads.

A query is never paired with itself: it is excluded by its index. Under leave-one-out the pair of a
and b is that of b and a, and is counted once. So what is left out must be so both ways, as it is by
equal values of a column.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval.evaluation.protocol import Sides
from retrieval.evaluation.search import distances
from retrieval.evaluation.search.distances import Rows
from retrieval.evaluation.search.lists import Lists
from retrieval.evaluation.search.plan import BlockSizes, Gallery, mean_of, take, take_any
from retrieval.validation import LEAVE_ONE_OUT

SAMPLE = 512  # queries and gallery items whose similarities give the range of the histogram
EXAMPLES = 6  # pairs kept per cell
LISTED = 1 << 23  # pairs listed exactly, at most: 200 MB

Found = TypeVar("Found")  # what a worker returns


@dataclass(frozen=True)
class Histogram:
    """All pairs by float32 similarity.

    Attributes:
        low: Similarity of the lower end of bin 0, which also holds what is lower.
        width: Width of a bin; the last one also holds what is higher.
        error: Largest error of a similarity.
        counts: int64, (5, bins): pairs of one class of half 0, of half 1; of two classes of half 0,
            of half 1, of both halves.
    """

    low: float
    width: float
    error: float
    counts: NDArray[np.int64]

    @property
    def positive(self) -> NDArray[np.int64]:
        """Pairs of one class, (bins,)."""
        pairs: NDArray[np.int64] = self.counts[:2].sum(axis=0)
        return pairs

    @property
    def negative(self) -> NDArray[np.int64]:
        """Pairs of two classes, (bins,)."""
        pairs: NDArray[np.int64] = self.counts[2:].sum(axis=0)
        return pairs

    def edge(self, bins: np.ndarray) -> NDArray[np.float64]:
        """Return the similarity at which bins begin."""
        return self.low + np.asarray(bins, np.float64) * self.width


@dataclass(frozen=True)
class PairCounts:
    """Pairs of each class between chosen similarities.

    Attributes:
        edges: float64, (e,), ascending. Cell i holds the pairs with ``edges[i - 1] <= s <
            edges[i]``, so that a threshold ``edges[i]`` accepts the cells after i.
        positive: int64, (c, e + 1), pairs of the class.
        negative: int64, (c, e + 1), pairs of one item of the class and one of another. Every pair
            is in the rows of both classes.
        negative_half: int64, (c, e + 1), those whose two classes are in one half.
        listed: float64, (m,), exact similarities in the listed cells, highest first.
        listed_classes: int64, (m, 2), their classes.
        examples: Pairs near the edges, see :class:`Examples`.
    """

    edges: NDArray[np.float64]
    positive: NDArray[np.int64]
    negative: NDArray[np.int64]
    negative_half: NDArray[np.int64]
    listed: NDArray[np.float64]
    listed_classes: NDArray[np.int64]
    examples: "Examples"


@dataclass(frozen=True)
class Examples:
    """Some pairs of every cell, to look at.

    Attributes:
        cell: int64, (m,), cell of a pair; -1 for the extremes of all: the most similar pairs of two
            classes and the least similar of one.
        same: bool, (m,), whether it is of one class.
        rows: int64, (m, 2), rows of the query and of the gallery item.
        similarity: float64, (m,). Of two classes, the lowest of each cell are kept; of one class,
            the highest.
    """

    cell: NDArray[np.int64]
    same: NDArray[np.bool_]
    rows: NDArray[np.int64]
    similarity: NDArray[np.float64]


@dataclass
class PairSearch:
    """All pairs of the queries and the gallery, compared block by block.

    Attributes:
        embeddings: float, (n, d); a memory map is read in chunks.
        codes: int64, (n,), class of each item, 0-based.
        sides: The queries and the gallery.
        distance: Name of the distance.
        half: int64, (c,), half of each class, 0 or 1.
        pool: Worker threads.
        sizes: How the work is divided, which does not change the result.
        excluded: Gallery items that are not paired with a query. Defaults to none.
    """

    embeddings: np.ndarray
    codes: np.ndarray
    sides: Sides
    distance: str
    half: np.ndarray
    pool: ThreadPoolExecutor
    sizes: BlockSizes = field(default_factory=BlockSizes)
    excluded: tuple[Lists, ...] = ()

    def __post_init__(self) -> None:
        self.kind = distances.kind_of(self.distance)
        gallery = self.sides.gallery
        row_bytes = 8 * self.embeddings.shape[1] + 16
        on_disk = isinstance(self.embeddings, np.memmap)
        chunk = max(1, self.sizes.chunk_bytes // row_bytes) if on_disk else len(gallery)
        center = mean_of(self.embeddings, gallery, self.kind)
        self.gallery = Gallery(self.embeddings, gallery, self.kind, center, chunk)
        own = self.sides.own
        once = self.sides.name == LEAVE_ONE_OUT
        self.start = own + 1 if once else np.zeros(len(own), np.int64)
        self.query_codes = self.codes[self.sides.queries]
        self.gallery_codes = self.codes[gallery]

    @property
    def n_pairs(self) -> int:
        """Number of pairs, without those of an item with itself; with those that are left out."""
        pairs = len(self.gallery_codes) * len(self.query_codes) - int((self.sides.own >= 0).sum())
        return pairs // 2 if self.sides.name == LEAVE_ONE_OUT else pairs

    def queries(self, rows: np.ndarray) -> Rows:
        """Prepare items as queries."""
        center = self.gallery.center
        return distances.prepare(take_any(self.embeddings, rows), self.kind, center, as_query=True)

    def multiply(self, queries: Rows, rows: Rows, part: slice, out: np.ndarray) -> None:
        """Fill ``out`` with the fast similarities of queries and some rows of the gallery."""
        from retrieval.evaluation.search.kernels import cityblock_tile  # imports Numba

        if self.kind == distances.CITYBLOCK:
            cityblock_tile(queries.exact, rows.exact[part], out)
        else:
            np.matmul(queries.fast, rows.fast[part].T, out=out)

    def guide(self, bins: int = 1 << 16) -> Histogram:
        """Count the pairs by float32 similarity.

        Args:
            bins: Number of bins. Defaults to 65,536.
        """
        from retrieval.evaluation.search.pair_kernels import histogram_tile

        low, high, error = self.range()
        width = (high - low) / (bins - 2)
        low -= width

        def work(walk: "Walk") -> np.ndarray:
            counts = np.zeros((5, bins), np.int64)
            for tile, _, _ in walk(low, 1 / width):
                histogram_tile(tile, counts)
            return counts

        return Histogram(low, width, error, sum(self.run(work), np.zeros((5, bins), np.int64)))

    def range(self) -> tuple[float, float, float]:
        """Return where most similarities lie, from a sample, and the largest error of a fast one.

        The first and the last bin of the histogram hold what lies outside.
        """
        rng = np.random.default_rng(0)
        pick = [
            np.sort(rng.choice(rows, min(SAMPLE, len(rows)), replace=False))
            for rows in (self.sides.queries, self.sides.gallery)
        ]
        queries = self.queries(pick[0])
        center = self.gallery.center
        rows = distances.prepare(take(self.embeddings, pick[1]), self.kind, center, as_query=False)
        values = np.empty((len(queries), len(rows)), np.float32)
        self.multiply(queries, rows, slice(None), values)
        found = values - distances.shift_of(queries, self.kind)[:, None]
        low, high = float(found.min()), float(found.max())
        margin = 0.1 * (high - low) + 1e-6 * max(1.0, abs(low))
        most = 1.0 if self.kind == distances.DOT else 0.0
        return low - margin, min(high + margin, most + 0.01 * margin), self._error()

    def _error(self) -> float:
        """Return the largest error of a fast similarity of any pair."""
        if self.kind == distances.DOT:
            one = self.queries(self.sides.queries[:1])
            return float(distances.slack(one, 1.0, self.kind)[0])
        largest, bound = 0.0, 0.0
        for _, rows in self.gallery.chunks():
            largest = max(largest, float(rows.size.max()))
        for block in self.blocks(0, 1):
            queries = self.queries(self.sides.queries[block])
            bound = max(bound, float(distances.slack(queries, largest, self.kind).max()))
        return bound

    def blocks(self, worker: int, workers: int) -> Iterator[np.ndarray]:
        """Yield the positions of the queries of every block of one worker."""
        size, n = self.sizes.queries, len(self.sides.queries)
        for at in range(worker * size, n, workers * size):
            yield np.arange(at, min(n, at + size))

    def run(self, work: Callable[["Walk"], Found]) -> list[Found]:
        """Let every worker walk over its part of the pairs; return what each has found."""
        workers = self.pool._max_workers
        return list(self.pool.map(lambda w: work(Walk(self, w, workers)), range(workers)))

    def count(self, guide: Histogram, edges: np.ndarray, wanted: np.ndarray) -> PairCounts:
        """Count the pairs of every class between edges, exactly.

        Args:
            guide: The histogram of the pairs.
            edges: float64, (e,), ascending.
            wanted: bool, (e + 1,), cells whose pairs are listed.
        """
        from retrieval.evaluation.search.pair_kernels import Cells, count_tile

        bins, c, e = guide.counts.shape[1], len(self.half), len(edges)
        begin = guide.edge(np.arange(bins + 1))
        begin[[0, -1]] = -np.inf, np.inf
        doubt = guide.error + 1e-9 * guide.width * bins
        first = np.searchsorted(edges, begin[:-1] - doubt, side="right")
        last = np.searchsorted(edges, begin[1:] + doubt, side="right")
        of_bin = np.where((first == last) & ~wanted[first], first, -1)
        found: list[list[tuple[np.ndarray, np.ndarray]]] = []

        def work(walk: "Walk") -> "Cells":
            cells = Cells(
                of_bin=of_bin,
                edges=edges,
                wanted=wanted,
                positive=np.zeros((c, e + 1), np.int64),
                negative=np.zeros((c, e + 1), np.int64),
                negative_half=np.zeros((c, e + 1), np.int64),
                near=np.full((2, e + 2, EXAMPLES), np.inf),
                near_rows=np.full((2, e + 2, EXAMPLES, 2), -1, np.int64),
            )
            values = np.empty(self.sizes.queries * self.sizes.tile)
            codes = np.empty((len(values), 2), np.int64)
            parts: list[tuple[np.ndarray, np.ndarray]] = []
            for tile, rows, query in walk(guide.low, 1 / guide.width):
                listed = count_tile(tile, rows, query, cells, values, codes)
                if listed:
                    parts.append((values[:listed].copy(), codes[:listed].copy()))
            found.append(parts)
            return cells

        done = self.run(work)
        parts = [part for each in found for part in each]
        listed = np.concatenate([np.empty(0), *(value for value, _ in parts)])
        classes = np.concatenate([np.empty((0, 2), np.int64), *(code for _, code in parts)])
        order = np.lexsort((classes[:, 1], classes[:, 0], -listed))
        return PairCounts(
            edges=edges,
            positive=sum_of([cells.positive for cells in done]),
            negative=sum_of([cells.negative for cells in done]),
            negative_half=sum_of([cells.negative_half for cells in done]),
            listed=listed[order],
            listed_classes=classes[order],
            examples=self._examples(done),
        )

    def _examples(self, done: Sequence[Any]) -> Examples:
        """Merge the examples that the workers have kept."""
        near = np.concatenate([cells.near for cells in done], axis=2)
        rows = np.concatenate([cells.near_rows for cells in done], axis=2)
        order = np.lexsort((rows[..., 1], rows[..., 0], near))[..., :EXAMPLES]
        near = np.take_along_axis(near, order, axis=2)
        rows = np.take_along_axis(rows, order[..., None], axis=2)
        kind, cell, place = np.nonzero(np.isfinite(near))
        value, pair = near[kind, cell, place], rows[kind, cell, place]
        extreme = cell == near.shape[1] - 1
        value = np.where((kind == 1) != extreme, -value, value)
        at = np.stack([self.sides.queries[pair[:, 0]], self.sides.gallery[pair[:, 1]]], axis=1)
        return Examples(np.where(extreme, -1, cell), kind == 1, at, value)


@dataclass(frozen=True)
class Walk:
    """One worker's way over its tiles."""

    search: PairSearch
    worker: int
    workers: int

    def __call__(self, low: float, scale: float) -> Iterator[tuple[Any, Any, int]]:
        """Yield every tile, the rows behind it, and the position of its first query."""
        from retrieval.evaluation.search.kernels import ExactRows
        from retrieval.evaluation.search.pair_kernels import PairTile, leave_out

        search = self.search
        sizes = search.sizes
        buffer = np.empty(sizes.queries * sizes.tile, np.float32)
        for first, rows in search.gallery.chunks():
            for block in search.blocks(self.worker, self.workers):
                start = search.start[block]
                if start.min() >= first + len(rows):
                    continue
                queries = search.queries(search.sides.queries[block])
                exact = ExactRows(search.kind, queries.exact, rows.exact, first)
                shift = distances.shift_of(queries, search.kind)
                for begin in range(0, len(rows), sizes.tile):
                    part = slice(begin, min(begin + sizes.tile, len(rows)))
                    if start.min() >= first + part.stop:
                        continue
                    values = buffer[: len(block) * (part.stop - begin)].reshape(len(block), -1)
                    search.multiply(queries, rows, part, values)
                    for each in search.excluded:
                        ends = each.begin[block], each.stop[block]
                        leave_out(values, first + begin, each.pool, *ends)
                    tile = PairTile(
                        values=values,
                        shift=shift,
                        begin=first + begin,
                        start=start,
                        own=search.sides.own[block],
                        query_codes=search.query_codes[block],
                        gallery_codes=search.gallery_codes,
                        half=search.half,
                        low=low,
                        scale=scale,
                    )
                    yield tile, exact, int(block[0])


def sum_of(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Add arrays of one shape."""
    total = np.zeros_like(parts[0])
    for part in parts:
        total += part
    return total

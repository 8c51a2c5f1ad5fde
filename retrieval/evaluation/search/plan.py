"""The plan of an exact search: the prepared gallery, blocks of queries, and the result's arrays.

The search finds the k nearest neighbors of every query and the rank of every positive in one pass
over the gallery. A block of queries is compared with the gallery tile by tile: each tile is a
float32 product small enough for the cache, from which compiled loops keep the candidates for the k
nearest and count, for every positive of a query, the other-class items that are nearer. No array of
size queries x gallery is ever allocated.

Neighbors and ranks are those of the exact similarities (double precision, see
:mod:`retrieval.evaluation.search.distances`), whatever the BLAS, the block sizes or the number of
threads. Items of equal similarity, duplicates above all, are ordered by index. A query is excluded
from its own ranking by its index.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retrieval.errors import UserError
from retrieval.evaluation.protocol import Sides
from retrieval.evaluation.search import distances
from retrieval.evaluation.search.distances import Rows
from retrieval.evaluation.search.lists import Lists, of_same

LARGEST = 1e17  # its square, summed over dimensions, is still a float32


@dataclass(frozen=True)
class Gallery:
    """The gallery, prepared at once or chunk by chunk.

    Attributes:
        embeddings: (n, d), all items.
        positions: int64, (g,), item row of each gallery position, increasing.
        kind: Code of the distance.
        center: float64, (d,), see :func:`retrieval.evaluation.search.distances.prepare`.
        chunk: Number of rows prepared at a time.
    """

    embeddings: np.ndarray
    positions: np.ndarray
    kind: int
    center: np.ndarray
    chunk: int

    def rows(self, positions: np.ndarray) -> Rows:
        """Prepare the rows at some gallery positions (increasing)."""
        return distances.prepare(
            take(self.embeddings, self.positions[positions]), self.kind, self.center, as_query=False
        )

    def chunks(self) -> Iterator[tuple[int, Rows]]:
        """Yield (first position, prepared rows) over the gallery."""
        for first in range(0, len(self.positions), self.chunk):
            yield first, self.rows(np.arange(first, min(first + self.chunk, len(self.positions))))


def take(embeddings: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return rows (increasing) after checking their values; without a copy where contiguous.

    Raises:
        UserError: A value is NaN, infinite, or too large to square in float32.
    """
    whole = len(rows) and rows[-1] - rows[0] == len(rows) - 1
    part = embeddings[rows[0] : rows[-1] + 1] if whole else embeddings[rows]
    with np.errstate(invalid="ignore", over="ignore"):
        bad = ~(np.maximum(part.max(axis=1), -part.min(axis=1)) < LARGEST)
    if bad.any():
        row = int(rows[np.argmax(bad)])
        what = (
            f"is too large ({LARGEST:g})" if np.isfinite(embeddings[row]).all() else "is NaN or Inf"
        )
        raise UserError(f"embeddings: row {row} {what}: correct or remove it")
    return part


def take_any(embeddings: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return rows in any order, checked as in :func:`take`."""
    order = np.argsort(rows, kind="stable")
    part = take(embeddings, rows[order])
    back = np.empty_like(order)
    back[order] = np.arange(len(rows))
    return part[back]


def mean_of(embeddings: np.ndarray, rows: np.ndarray, kind: int) -> np.ndarray:
    """Return the mean of some rows, float64 (d,); zeros where it is not needed."""
    total = np.zeros(embeddings.shape[1])
    if kind == distances.SQUARED:
        for start in range(0, len(rows), 65536):
            total += take(embeddings, rows[start : start + 65536]).sum(axis=0, dtype=np.float64)
    return total / max(1, len(rows))


@dataclass(frozen=True)
class BlockSizes:
    """How a search is divided. The result is the same for all sizes, but not the time and memory.

    Attributes:
        queries: Queries per block. Defaults to 512.
        tile: Gallery items per tile. Defaults to 512, so that a tile stays in the second-level
            cache.
        pairs: Pairs of a query and a positive per block, which bounds the memory of a huge class.
            Defaults to 4 Mi.
        chunk_bytes: Size of the part of a gallery on disk that is in memory at a time. Defaults to
            256 MiB.
        group_bytes: Size of the candidates and positives kept for one pass over the disk. Defaults
            to 256 MiB.
        state_bytes: Most memory for the candidates and positives of all queries at once, which a
            search of all items by all needs to compute each similarity once; 0 never does so.
            Defaults to 512 MiB.
    """

    queries: int = 512
    tile: int = 512
    pairs: int = 1 << 22
    chunk_bytes: int = 256 << 20
    group_bytes: int = 256 << 20
    state_bytes: int = 512 << 20


@dataclass(frozen=True)
class Judgments:
    """What counts for each query, where it is not just the class of the items.

    Attributes:
        excluded: Lists of the gallery items that are removed from the ranking of a query: they are
            no neighbors, no positives and take no rank. An item may be in several of them.
            Defaults to none.
        relevant: The positives of each query. Defaults to the gallery items of its class.
        grades: float64, one per entry of ``relevant.pool``, the gain of a positive. Defaults to 1
            for all.
        metrics: Names of metrics to score besides those that every search scores. Defaults to none.
    """

    excluded: tuple[Lists, ...] = ()
    relevant: Lists | None = None
    grades: np.ndarray | None = None
    metrics: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether every item of a query's class is relevant, and nothing is excluded."""
        return not self.excluded and self.relevant is None


PLAIN = Judgments()


@dataclass(frozen=True)
class Ranking:
    """The result of a search, one row per query.

    Attributes:
        queries: int32, (q,), item row of each query.
        ids: int32, (q, k), item rows of the nearest gallery items, nearest first; -1 pads.
        similarities: float32, (q, k), cosine or negative distance of the neighbors; -inf pads.
        n_positive: int64, (q,), number of positives that are ranked: without the query itself and
            without what is excluded.
        n_excluded: int64, (q,), number of gallery items that are removed from the query's ranking,
            not counting the query itself.
        n_excluded_positive: int64, (q,), how many of those are positives.
        first_relevant_rank: int32, (q,), 1-based rank of the nearest positive; 0 if there is none.
        first_relevant_item: int32, (q,), item row of the nearest positive; -1 if there is none.
        scores: Metric -> per-query score, float64 (q,), see
            :func:`retrieval.evaluation.metrics.score_ranks`; NaN without positives.
    """

    queries: np.ndarray
    ids: np.ndarray
    similarities: np.ndarray
    n_positive: np.ndarray
    n_excluded: np.ndarray
    n_excluded_positive: np.ndarray
    first_relevant_rank: np.ndarray
    first_relevant_item: np.ndarray
    scores: dict[str, np.ndarray]


def query_bytes(k: int, width: int) -> int:
    """Return the bytes that a query holds while a gallery on disk is read, beside its positives.

    Args:
        k: Number of neighbors to find.
        width: Dimension of the embeddings.
    """
    return 24 * (2 * k + 64) + 8 * width  # its candidates, and its own row in float64


class Search:
    """The inputs of one exact search, sorted by class and split into chunks and blocks."""

    def __init__(
        self,
        embeddings: np.ndarray,
        codes: np.ndarray,
        sides: Sides,
        distance: str,
        k: int,
        sizes: BlockSizes,
        judgments: Judgments = PLAIN,
        center: np.ndarray | None = None,
    ):
        """Sort the gallery by class and choose the chunk size.

        Args:
            embeddings: float, (n, d), all items.
            codes: int64, (n,), class of each item, 0-based.
            sides: The queries and the gallery.
            distance: Name of the distance.
            k: Number of neighbors wanted.
            sizes: How the search is divided.
            judgments: What counts for each query. Defaults to the items of its class.
            center: float64, (d,), see :class:`Gallery`; it changes no result. Defaults to the mean
                of the gallery.
        """
        self.judgments = judgments
        self.embeddings, self.sides, self.distance = embeddings, sides, distance
        self.sizes = sizes
        self.kind = distances.kind_of(distance)
        self.k = min(k, len(sides.gallery))
        on_disk = isinstance(embeddings, np.memmap)
        row_bytes = 8 * embeddings.shape[1] + 16
        chunk = max(1, sizes.chunk_bytes // row_bytes if on_disk else len(sides.gallery))
        if center is None:
            center = mean_of(embeddings, sides.gallery, self.kind)
        self.gallery = Gallery(embeddings, sides.gallery, self.kind, center, chunk)
        self.codes, self.query_codes = codes, codes[sides.queries]
        self.relevant = judgments.relevant or of_same(codes, sides)
        self.whole: tuple[int, Rows] | None = None
        if chunk >= len(sides.gallery):
            self.whole = next(self.gallery.chunks())

    def fill_similarities(
        self, queries: np.ndarray, starts: np.ndarray, members: np.ndarray, out: np.ndarray
    ) -> None:
        """Set ``out`` to the exact similarity of each query and each of its positives."""
        from retrieval.evaluation.search.kernels import positive_similarities  # imports Numba

        if self.whole is not None:
            rows = self.whole[1].exact
            positive_similarities(self.kind, queries, starts, members, rows, 0, out)
            return
        needed = np.unique(members)
        local = np.searchsorted(needed, members)
        for first in range(0, len(needed), self.gallery.chunk):
            rows = self.gallery.rows(needed[first : first + self.gallery.chunk]).exact
            positive_similarities(self.kind, queries, starts, local, rows, first, out)

    def blocks(self) -> list[np.ndarray]:
        """Split the queries, sorted by class, into blocks of bounded size."""
        order = np.argsort(self.query_codes, kind="stable")
        pairs = np.cumsum(self.relevant.sizes[order])
        blocks: list[np.ndarray] = []
        start = 0
        while start < len(order):
            before = pairs[start - 1] if start else 0
            stop = int(np.searchsorted(pairs, before + self.sizes.pairs, side="right"))
            stop = min(max(stop, start + 1), start + self.sizes.queries)
            blocks.append(order[start:stop])
            start = stop
        return blocks

    def groups(self) -> Iterator[list[np.ndarray]]:
        """Group the blocks that share one pass over a gallery on disk, by the memory they need."""
        group: list[np.ndarray] = []
        size = 0
        for block in self.blocks():
            group.append(block)
            size += query_bytes(self.k, self.embeddings.shape[1]) * len(block)
            size += 24 * int(self.relevant.sizes[block].sum())
            if size > self.sizes.group_bytes:
                yield group
                group, size = [], 0
        if group:
            yield group

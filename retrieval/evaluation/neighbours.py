"""Exact nearest neighbours and the rank of every positive, in one pass over the gallery.

A block of queries meets the gallery tile by tile: a float32 product small enough for the cache,
from which compiled loops keep the candidates for the ``k`` nearest and count, for every item of the
query's class, the other-class items that are nearer. Nothing of size queries x gallery is ever held
and no list is as long as the largest class.

What is guaranteed: neighbours and ranks are those of exact similarities (double precision, see
:mod:`retrieval.evaluation.distances`), whatever the BLAS, the block sizes or the threads; items of
equal similarity (duplicates above all) are ordered by index; a query never meets itself, because it
is left out by index.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from retrieval.errors import UserError
from retrieval.evaluation import distances
from retrieval.evaluation.distances import Rows
from retrieval.evaluation.protocol import Sides
from retrieval.evaluation.ranking import score_ranks

BLOCK = 512  # queries of a tile
TILE = 512  # gallery items of a tile: BLOCK x TILE float32 stay in the second-level cache
CHUNK_BYTES = 256 << 20  # of a gallery that is read from disk, held at a time
PAIRS = 1 << 22  # (query, positive) pairs of a block: bounds memory when a class is huge
GROUP_BYTES = 256 << 20  # candidates and positives kept while a gallery on disk streams by


@dataclass(frozen=True)
class Ranking:
    """Per-query outcome of a search; rows are item rows, queries in the order of ``queries``.

    Attributes:
        queries: int32, (q,), item row of each query.
        ids: int32, (q, k), item rows of the nearest, nearest first; -1 pads.
        similarities: float32, (q, k): cosine, or the negative distance; -inf pads.
        n_positive: int64, (q,), gallery items of the query's class, itself left out.
        first_hit: int32, (q,), 1-based rank of the nearest positive; 0 if there is none.
        first_hit_item: int32, (q,), its item row; -1 if there is none.
        scores: Per-query metrics from the ranks, float64 (q,), see
            :func:`retrieval.evaluation.ranking.score_ranks`; NaN without a positive.
    """

    queries: np.ndarray
    ids: np.ndarray
    similarities: np.ndarray
    n_positive: np.ndarray
    first_hit: np.ndarray
    first_hit_item: np.ndarray
    scores: dict[str, np.ndarray]


@dataclass(frozen=True)
class Gallery:
    """The searched side, prepared at once or chunk by chunk.

    Attributes:
        embeddings: (n, d), all items.
        positions: int64, (g,), the item row of each gallery position, rising.
        kind: Code of the distance.
        centre: float64, (d,), see :func:`retrieval.evaluation.distances.prepare`.
        chunk: Rows prepared at a time.
    """

    embeddings: np.ndarray
    positions: np.ndarray
    kind: int
    centre: np.ndarray
    chunk: int

    def rows(self, positions: np.ndarray) -> Rows:
        """Prepare the rows at some gallery positions (rising)."""
        return distances.prepare(
            take(self.embeddings, self.positions[positions]), self.kind, self.centre, as_query=False
        )

    def chunks(self) -> Iterator[tuple[int, Rows]]:
        """Yield (first position, prepared rows) over the gallery."""
        for first in range(0, len(self.positions), self.chunk):
            yield first, self.rows(np.arange(first, min(first + self.chunk, len(self.positions))))


def take(embeddings: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return some rows, checked; without a copy where they are contiguous.

    Raises:
        UserError: A value is NaN, infinite, or too large to square in float32.
    """
    whole = len(rows) and rows[-1] - rows[0] == len(rows) - 1
    part = embeddings[rows[0] : rows[-1] + 1] if whole else embeddings[rows]
    with np.errstate(invalid="ignore", over="ignore"):
        bad = ~(np.abs(part).max(axis=1, initial=0) < 1e17)
    if bad.any():
        row = int(rows[np.argmax(bad)])
        what = "is too large (1e17)" if np.isfinite(embeddings[row]).all() else "is NaN or Inf"
        raise UserError(f"embeddings: row {row} {what}; correct or remove it")
    return part


class Block:
    """Some queries of neighbouring classes while the gallery passes by."""

    def __init__(self, search: "Search", index: np.ndarray):
        """Find the positives of the queries ``index`` (positions in ``search.sides.queries``)."""
        from retrieval.evaluation import kernels

        self.search, self.index = search, index
        side, m, k = search.sides, len(index), search.k
        self.queries = distances.prepare(
            take_any(search.embeddings, side.queries[index]),
            search.kind,
            search.gallery.centre,
            as_query=True,
        )
        self.own = side.own[index]
        self.shift = distances.shift_of(self.queries, search.kind)
        width = 2 * k + 64
        self.top = (
            np.empty((m, width)),
            np.empty((m, width), np.int64),
            np.empty((m, width)),
            np.zeros(m, np.int64),
            np.full(m, -np.inf),
            np.zeros(m),
        )
        begin, stop = search.class_begin[index], search.class_stop[index]
        self.starts, members = positives_of(search.pool, begin, stop, self.own)
        values = np.empty(len(members))
        search.fill_similarities(self.queries.exact, self.starts, members, values)
        kernels.sort_positives(self.starts, values, members)
        self.positives = (
            self.starts, values, members, np.zeros(len(members), np.int64),
            search.pool, begin.copy(), stop,
        )  # fmt: skip

    def scan(self, first: int, rows: Rows) -> None:
        """Take in one chunk of the gallery."""
        from retrieval.evaluation import kernels

        kind, k = self.search.kind, self.search.k
        exact = self.queries.exact
        buffer = np.empty(len(exact) * TILE, np.float32)
        for begin in range(0, len(rows), TILE):
            part = slice(begin, min(begin + TILE, len(rows)))
            width = part.stop - begin
            tile = buffer[: len(exact) * width].reshape(len(exact), width)
            if kind == distances.CITYBLOCK:
                kernels.cityblock_tile(exact, rows.exact[part], tile)
            else:
                np.matmul(self.queries.fast, rows.fast[part].T, out=tile)
            slack = distances.slack(self.queries, rows.size[part].max(), kind)
            common = kind, exact, rows.exact, first
            if k and not first and not begin:
                self.start_floor(tile, slack)
            if k:
                kernels.push_tile(
                    tile, first + begin, k, *common, self.own, self.shift, slack, self.top
                )
            kernels.count_tile(tile, first + begin, *common, self.shift, slack, self.positives)
        if k:
            kernels.resolve_all(k, kind, exact, rows.exact, first, self.top)

    def start_floor(self, tile: np.ndarray, slack: np.ndarray) -> None:
        """Take what ``k`` items of the first tile reach (self may be one more) as a first floor."""
        rank = tile.shape[1] - self.search.k - 1
        if rank >= 0:
            reached = np.partition(tile, rank, axis=1)[:, rank]
            self.top[4][:] = reached - self.shift - slack

    def write(self, out: Ranking) -> None:
        """Put this block's outcome into the arrays of the whole search."""
        from retrieval.evaluation import kernels

        search, at, k = self.search, self.index, self.search.k
        item_rows = search.sides.gallery
        _, ids, exact, count, _, _ = self.top
        if k:
            found = np.arange(k) < count[:, None]
            out.ids[at] = np.where(found, item_rows[np.where(found, ids[:, :k], 0)], -1)
            similarity = distances.reported(np.where(found, exact[:, :k], -np.inf), search.distance)
            out.similarities[at] = similarity
        starts, _, members, ahead, *_ = self.positives
        kernels.sum_ahead(starts, ahead)
        n_positive = np.diff(starts)
        out.n_positive[at] = n_positive
        some = n_positive > 0
        ranks = ahead + 1 + np.arange(len(ahead)) - np.repeat(starts[:-1], n_positive)
        out.first_hit[at[some]] = ranks[starts[:-1][some]]
        out.first_hit_item[at[some]] = item_rows[members[starts[:-1][some]]]
        for name, values in score_ranks(ranks, n_positive).items():
            out.scores[name][at] = values


def take_any(embeddings: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return rows in any order, checked as in :func:`take`."""
    order = np.argsort(rows, kind="stable")
    part = take(embeddings, rows[order])
    back = np.empty_like(order)
    back[order] = np.arange(len(rows))
    return part[back]


def positives_of(
    pool: np.ndarray, begin: np.ndarray, stop: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """List the gallery positions of each query's class, the query itself left out.

    Args:
        pool: int64, gallery positions sorted by class, then position.
        begin: int64, (m,), where each query's class begins in ``pool``.
        stop: int64, (m,), where it ends.
        own: int64, (m,), gallery position of each query; -1 if it is not in the gallery.

    Returns:
        ``starts`` int64 (m + 1,) and the positions, int64, flat; query ``i`` has
        ``starts[i]:starts[i + 1]``.
    """
    size = stop - begin
    offset = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    members = pool[np.repeat(begin, size) + offset]
    keep = members != np.repeat(own, size)
    starts = np.concatenate([[0], np.cumsum(size - (own >= 0))])
    return starts, members[keep]


class Search:
    """One exact search: who is searched with what; see :func:`search`."""

    def __init__(
        self, embeddings: np.ndarray, codes: np.ndarray, sides: Sides, distance: str, k: int
    ):
        """Sort the gallery by class and choose chunk and block sizes."""
        self.embeddings, self.sides, self.distance = embeddings, sides, distance
        self.kind = distances.kind_of(distance)
        self.k = min(k, len(sides.gallery))
        on_disk = isinstance(embeddings, np.memmap)
        row_bytes = 8 * embeddings.shape[1] + 16
        chunk = max(TILE, CHUNK_BYTES // row_bytes) if on_disk else max(1, len(sides.gallery))
        centre = mean_of(embeddings, sides.gallery, self.kind)
        self.gallery = Gallery(embeddings, sides.gallery, self.kind, centre, chunk)
        gallery_codes = codes[sides.gallery]
        self.pool = np.argsort(gallery_codes, kind="stable")
        ends = np.concatenate(
            [[0], np.cumsum(np.bincount(gallery_codes, minlength=codes.max() + 1))]
        )
        self.query_codes = codes[sides.queries]
        self.class_begin = ends[self.query_codes]
        self.class_stop = ends[self.query_codes + 1]
        self.whole: tuple[int, Rows] | None = None
        if chunk >= len(sides.gallery):
            self.whole = next(self.gallery.chunks())

    def fill_similarities(
        self, queries: np.ndarray, starts: np.ndarray, members: np.ndarray, out: np.ndarray
    ) -> None:
        """Set ``out`` to the exact similarity of each query with each of its members."""
        from retrieval.evaluation import kernels

        if self.whole is not None:
            rows = self.whole[1].exact
            kernels.positive_similarities(self.kind, queries, starts, members, rows, 0, out)
            return
        needed = np.unique(members)
        local = np.searchsorted(needed, members)
        for first in range(0, len(needed), self.gallery.chunk):
            rows = self.gallery.rows(needed[first : first + self.gallery.chunk]).exact
            kernels.positive_similarities(self.kind, queries, starts, local, rows, first, out)

    def blocks(self) -> list[np.ndarray]:
        """Split the queries, sorted by class, into blocks of bounded size."""
        order = np.argsort(self.query_codes, kind="stable")
        pairs = np.cumsum((self.class_stop - self.class_begin)[order])
        blocks, start = [], 0
        while start < len(order):
            before = pairs[start - 1] if start else 0
            stop = int(np.searchsorted(pairs, before + PAIRS, side="right"))
            stop = min(max(stop, start + 1), start + BLOCK)
            blocks.append(order[start:stop])
            start = stop
        return blocks

    def groups(self) -> Iterator[list[np.ndarray]]:
        """Gather blocks that are kept together while the gallery streams by once."""
        group, size = [], 0
        for block in self.blocks():
            group.append(block)
            size += 24 * (2 * self.k + 64) * len(block)
            size += 24 * int((self.class_stop - self.class_begin)[block].sum())
            size += 8 * self.embeddings.shape[1] * len(block)
            if size > GROUP_BYTES:
                yield group
                group, size = [], 0
        if group:
            yield group


def mean_of(embeddings: np.ndarray, rows: np.ndarray, kind: int) -> np.ndarray:
    """Return the mean of some rows, float64 (d,); zeros where it is not needed."""
    total = np.zeros(embeddings.shape[1])
    if kind == distances.SQUARED:
        for start in range(0, len(rows), 65536):
            total += take(embeddings, rows[start : start + 65536]).sum(axis=0, dtype=np.float64)
    return total / max(1, len(rows))


def search(
    embeddings: np.ndarray,
    codes: np.ndarray,
    sides: Sides,
    distance: str = "cosine",
    k: int = 64,
    *,
    pool: ThreadPoolExecutor,
) -> Ranking:
    """Find the ``k`` nearest of every query and the rank of every positive, exactly.

    Args:
        embeddings: (n, d), float; a memory map is read in chunks and never held whole.
        codes: int64, (n,), class of each item, 0-based.
        sides: Who queries whom.
        distance: One of the four distances.
        k: Neighbours kept per query; fewer if the gallery is smaller, 0 keeps none.
        pool: From :func:`retrieval.evaluation.threads.worker_pool`.

    Returns:
        Neighbours, first hits and per-query scores.
    """
    job, q = Search(embeddings, codes, sides, distance, k), len(sides.queries)
    out = Ranking(
        sides.queries.astype(np.int32),
        np.full((q, job.k), -1, np.int32),
        np.full((q, job.k), -np.inf, np.float32),
        np.zeros(q, np.int64),
        np.zeros(q, np.int32),
        np.full(q, -1, np.int32),
        {name: np.full(q, np.nan) for name in score_ranks(np.empty(0), np.empty(0, int))},
    )

    def run(index: np.ndarray) -> None:
        block = Block(job, index)
        block.scan(*job.whole)
        block.write(out)

    if job.whole is not None:
        list(pool.map(run, job.blocks()))
        return out
    for group in job.groups():
        blocks = list(pool.map(lambda index: Block(job, index), group))
        for first, rows in job.gallery.chunks():
            list(pool.map(lambda b, f=first, r=rows: b.scan(f, r), blocks))
        list(pool.map(lambda block: block.write(out), blocks))
    return out

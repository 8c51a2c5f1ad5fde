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

from retrieval.evaluation import distances
from retrieval.evaluation.distances import Rows
from retrieval.evaluation.gallery import Gallery, mean_of
from retrieval.evaluation.protocol import Sides
from retrieval.evaluation.ranking import score_ranks

BLOCK = 512  # queries of a tile
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
        chunk = max(1, CHUNK_BYTES // row_bytes) if on_disk else max(1, len(sides.gallery))
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
        from retrieval.evaluation.exact import positive_similarities

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
    from retrieval.evaluation.block import Block  # compiled loops: loading Numba takes a moment

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

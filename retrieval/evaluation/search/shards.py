"""The exact search in shards: parts of the gallery are searched apart, and their results add up.

A query's similarities to its own positives are computed first, by everyone who needs them. A part
of the gallery then says how many of its other-class items are nearer than each positive, and which
of its items are the ``k`` nearest. Counts add and nearest items merge, so the ranks of all
positives, every metric that follows from them, and the neighbors are those of one search of the
whole gallery (:func:`retrieval.evaluation.search.search.search`), to the last digit: similarities
are exact (:mod:`retrieval.evaluation.search.distances`), and ties are ordered by gallery position.

Nothing here knows where a shard is computed: :mod:`retrieval.evaluation.search.shard_files` keeps
finished shards on disk.
"""

import itertools
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from retrieval.evaluation.search import distances, kernels
from retrieval.evaluation.search.block import Block
from retrieval.evaluation.search.distances import Rows
from retrieval.evaluation.search.kernels import ExactRows, Tile, cityblock_tile
from retrieval.evaluation.search.plan import Ranking, Search

PAIRS = 20_000_000_000  # of a query and a gallery item that one shard compares, about a minute


@dataclass(frozen=True)
class Partial:
    """What one part of the gallery says about a group of queries.

    Attributes:
        ahead: int64, (p,), items of the part that are nearer than each positive of the queries, as
            :class:`retrieval.evaluation.search.kernels.Positives` marks them.
        ids: int64, (m, k), gallery positions of the nearest items of the part, nearest first; -1
            pads.
        exact: float64, (m, k), their exact similarities; -inf pads.
        n_excluded: int64, (m,), items of the part that are left out of the query's ranking.
    """

    ahead: np.ndarray
    ids: np.ndarray
    exact: np.ndarray
    n_excluded: np.ndarray


def default_shards(n_queries: int, n_gallery: int) -> int:
    """Return into how many parts a gallery is divided unless the user says otherwise.

    One part per :data:`PAIRS` pairs of a query and an item, so that a killed search loses a minute
    or two, and a small search is not divided.

    >>> default_shards(60_502, 60_502), default_shards(10_000, 10_000_000)
    (1, 5)
    """
    return max(1, min(n_gallery, -(-n_queries * n_gallery // PAIRS)))


def parts_of(n_gallery: int, shards: int) -> list[range]:
    """Divide gallery positions into parts of (nearly) equal size; no part is empty.

    >>> parts_of(10, 3)
    [range(0, 3), range(3, 6), range(6, 10)]
    """
    shards = max(1, min(shards, n_gallery))
    ends = [n_gallery * number // shards for number in range(shards + 1)]
    return [range(a, b) for a, b in itertools.pairwise(ends)]


def count_part(
    job: Search, group: Sequence[np.ndarray], part: range, pool: ThreadPoolExecutor
) -> Partial:
    """Compare a group of queries with one part of the gallery.

    Args:
        job: The search; its gallery is read in chunks where it lies on disk.
        group: The queries, in blocks, see :meth:`retrieval.evaluation.search.plan.Search.groups`.
        part: The gallery positions to compare with.
        pool: Worker threads that share the blocks.

    Returns:
        What the part says about the queries.
    """
    blocks = list(pool.map(lambda index: Block(job, index), group))
    for block in blocks:
        begin_at(block, part.start)
    for first, rows in chunks_of(job, part):
        list(pool.map(lambda b, f=first, r=rows: scan(b, f, r, first_of=part.start), blocks))
    return partial_of(blocks)


def partial_of(blocks: Sequence[Block]) -> Partial:
    """Return what one part of the gallery, which the blocks have been compared with, says."""
    return Partial(
        ahead=np.concatenate([block.positives.ahead for block in blocks]),
        ids=np.concatenate([_found(block)[0] for block in blocks]),
        exact=np.concatenate([_found(block)[1] for block in blocks]),
        n_excluded=np.concatenate([block.n_excluded for block in blocks]),
    )


def merge_parts(
    job: Search,
    group: Sequence[np.ndarray],
    partials: Iterable[Partial],
    out: Ranking,
    pool: ThreadPoolExecutor,
) -> None:
    """Write the ranking of a group of queries from what all parts of the gallery say.

    Args:
        job: The search.
        group: The queries, in blocks.
        partials: One per part of the gallery, in any order; one is in memory at a time.
        out: The arrays of the whole search, filled at the group's queries.
        pool: Worker threads that share the blocks.
    """
    blocks = list(pool.map(lambda index: Block(job, index), group))
    rows = np.cumsum([0, *(len(block.index) for block in blocks)])
    pairs = np.cumsum([0, *(len(block.positives.ahead) for block in blocks)])

    for partial in partials:

        def add(number: int, part: Partial = partial) -> None:
            own, positives = _slice(rows, number), _slice(pairs, number)
            block = blocks[number]
            block.positives.ahead[:] += part.ahead[positives]
            block.n_excluded[:] += part.n_excluded[own]
            if job.k:
                _merge_nearest(block, part.ids[own], part.exact[own], job.k)

        list(pool.map(add, range(len(blocks))))
    list(pool.map(lambda block: block.write(out), blocks))


def _slice(ends: np.ndarray, number: int) -> slice:
    return slice(int(ends[number]), int(ends[number + 1]))


def _found(block: Block) -> tuple[np.ndarray, np.ndarray]:
    """Return gallery positions and exact similarities of a block's nearest items, padded."""
    k, found = block.search.k, block.candidates
    there = np.arange(k) < found.counts[:, None]
    return (
        np.where(there, found.ids[:, :k], -1),
        np.where(there, found.exact[:, :k], -np.inf),
    )


def _merge_nearest(block: Block, ids: np.ndarray, exact: np.ndarray, k: int) -> None:
    """Keep the ``k`` nearest of those that a block has and of further ones (m, <= k)."""
    own_ids, own_exact = _found(block)
    ids, exact = np.hstack([own_ids, ids]), np.hstack([own_exact, exact])
    # Nearest first, equal ones by position; padding is last.
    last = np.where(ids < 0, np.iinfo(np.int64).max, ids)
    order = np.lexsort((last, -exact), axis=1)[:, :k]
    found = block.candidates
    found.ids[:, :k] = np.take_along_axis(ids, order, axis=1)
    found.exact[:, :k] = np.take_along_axis(exact, order, axis=1)
    found.counts[:] = (found.ids[:, :k] >= 0).sum(axis=1)


def begin_at(block: Block, first: int) -> None:
    """Let a block begin in the middle of the gallery: what lies before is not compared."""
    for pool, cursor, stop in (
        (block.positives.pool, block.positives.cursor, block.positives.stop),
        *block.excluded,
    ):
        for query, (low, high) in enumerate(zip(cursor, stop, strict=True)):
            cursor[query] = low + np.searchsorted(pool[low:high], first)


def chunks_of(job: Search, part: range) -> Iterable[tuple[int, Rows]]:
    """Yield (first position, prepared rows) over a part of the gallery, in chunks."""
    if job.whole is not None:
        rows = job.whole[1]
        at = slice(part.start, part.stop)
        yield part.start, Rows(rows.exact[at], rows.fast[at], rows.size[at])
        return
    for first in range(part.start, part.stop, job.gallery.chunk):
        stop = min(first + job.gallery.chunk, part.stop)
        yield first, job.gallery.rows(np.arange(first, stop))


def scan(block: Block, first: int, rows: Rows, *, first_of: int) -> None:
    """Compare a block with one chunk of a part, as :meth:`Block.scan` does with the whole gallery.

    Args:
        block: The block.
        first: Gallery position of the chunk's first row.
        rows: The chunk's rows.
        first_of: Gallery position at which the part begins.
    """
    kind, k, most = block.search.kind, block.search.k, block.search.sizes.tile
    exact = ExactRows(kind, block.queries.exact, rows.exact, first)
    m = len(block.queries)
    buffer = np.empty(m * most, np.float32)
    for begin in range(0, len(rows), most):
        at = slice(begin, min(begin + most, len(rows)))
        values = buffer[: m * (at.stop - begin)].reshape(m, at.stop - begin)
        if kind == distances.CITYBLOCK:
            cityblock_tile(block.queries.exact, rows.exact[at], values)
        else:
            np.matmul(block.queries.fast, rows.fast[at].T, out=values)
        slack = distances.slack(block.queries, rows.size[at].max(), kind)
        take_tile(
            block,
            Tile(values, first + begin, block.shift, slack),
            exact,
            is_first=first + begin == first_of,
        )
    if k:
        kernels.resolve_all(exact, k, block.candidates)


def take_tile(block: Block, tile: Tile, exact: ExactRows, *, is_first: bool) -> None:
    """Take what a tile says about a block's neighbors and ranks."""
    if not block.search.judgments.plain:
        kernels.remove_items(tile, block.own)
        for pool, cursor, stop in block.excluded:
            kernels.remove_listed(tile, pool, cursor, stop, block.n_excluded)
    if block.search.k:
        if is_first:
            block.start_floor(tile)
        kernels.push_tile(tile, exact, block.own, block.search.k, block.candidates)
    kernels.count_tile(tile, exact, block.positives)

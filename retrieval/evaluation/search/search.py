"""The exact search: the k nearest items of every query, and the ranks of its positives."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from retrieval.evaluation.metrics import score_ranks
from retrieval.evaluation.protocol import Sides
from retrieval.evaluation.search.plan import PLAIN, BlockSizes, Judgments, Ranking, Search
from retrieval.validation import DEFAULT_DISTANCE


def search(
    embeddings: np.ndarray,
    codes: np.ndarray,
    sides: Sides,
    distance: str = DEFAULT_DISTANCE,
    k: int = 64,
    *,
    pool: ThreadPoolExecutor,
    sizes: BlockSizes | None = None,
    judgments: Judgments = PLAIN,
    advance: Callable[[int], None] | None = None,
) -> Ranking:
    """Find the ``k`` nearest items of every query and the rank of every positive, exactly.

    Args:
        embeddings: float, (n, d); a memory map is read in chunks and never loaded whole.
        codes: int64, (n,), class of each item, 0-based.
        sides: The queries and the gallery.
        distance: One of :data:`retrieval.validation.Distance`. Defaults to ``cosine``.
        k: Number of neighbors kept per query; fewer if the gallery is smaller; 0 keeps none.
            Defaults to 64.
        pool: Worker threads, from :func:`retrieval.evaluation.search.threads.worker_pool`.
        sizes: How the search is divided, which does not change the result. Defaults to
            :class:`~retrieval.evaluation.search.plan.BlockSizes` as it stands.
        judgments: What is excluded, and what is relevant, for each query. Defaults to the items of
            its class, and nothing excluded.
        advance: Is told by any thread that the work of so many queries more is done, which add up
            to all queries. Defaults to None.

    Returns:
        Neighbors, ranks of the first relevant items, and per-query scores.
    """
    from retrieval.evaluation.search import symmetric  # imports Numba, most of a second
    from retrieval.evaluation.search.block import Block

    sizes = sizes or BlockSizes()
    out = empty_ranking(sides, k, judgments)
    if symmetric.suits(embeddings, codes, sides, k, sizes, judgments):
        symmetric.search_all(
            embeddings,
            codes,
            sides,
            distance,
            k,
            out,
            pool=pool,
            sizes=sizes,
            further=judgments.metrics,
            advance=advance,
        )
        return out
    job = Search(embeddings, codes, sides, distance, k, sizes, judgments)
    if job.whole is not None:
        first, rows = job.whole

        def run(index: np.ndarray) -> None:
            block = Block(job, index)
            block.scan(first, rows)
            block.write(out)
            if advance is not None:
                advance(len(index))

        list(pool.map(run, job.blocks()))
        return out
    for group in job.groups():
        blocks = list(pool.map(lambda index: Block(job, index), group))
        for first, rows in job.gallery.chunks():
            list(pool.map(lambda b, f=first, r=rows: b.scan(f, r), blocks))
        list(pool.map(lambda block: block.write(out), blocks))
        if advance is not None:
            advance(sum(len(index) for index in group))
    return out


def empty_ranking(sides: Sides, k: int, judgments: Judgments = PLAIN) -> Ranking:
    """Return the arrays of a search before anything is found.

    Args:
        sides: The queries and the gallery.
        k: Number of neighbors wanted; fewer are kept if the gallery is smaller.
        judgments: What is scored besides the usual metrics. Defaults to nothing.
    """
    q, k = len(sides.queries), min(k, len(sides.gallery))
    names = score_ranks(np.empty(0), np.empty(0, int), further=judgments.metrics)
    return Ranking(
        queries=sides.queries.astype(np.int32),
        ids=np.full((q, k), -1, np.int32),
        similarities=np.full((q, k), -np.inf, np.float32),
        n_positive=np.zeros(q, np.int64),
        n_excluded=np.zeros(q, np.int64),
        n_excluded_positive=np.zeros(q, np.int64),
        first_relevant_rank=np.zeros(q, np.int32),
        first_relevant_item=np.full(q, -1, np.int32),
        scores={name: np.full(q, np.nan) for name in names},
    )

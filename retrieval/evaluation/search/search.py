"""Search the whole gallery for every query, exactly."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from retrieval.evaluation.metrics import score_ranks
from retrieval.evaluation.protocol import Sides
from retrieval.evaluation.search.plan import Ranking, Search


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
        k: Neighbors kept per query; fewer if the gallery is smaller, 0 keeps none.
        pool: From :func:`retrieval.evaluation.search.threads.worker_pool`.

    Returns:
        Neighbors, first hits and per-query scores.
    """
    from retrieval.evaluation.search.block import (
        Block,  # compiled loops: loading Numba takes a moment
    )

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

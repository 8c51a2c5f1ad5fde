"""Worker threads for blocks of work that release the GIL (products, compiled loops)."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def worker_pool(threads: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """Open a pool in which every thread multiplies its own blocks.

    The BLAS is kept from starting threads of its own meanwhile: two layers of threads fight for
    the cores, and the BLAS's wait for one another by spinning.

    Args:
        threads: Worker threads; default: one per core that this process may use.

    Yields:
        The pool; use its ``map``.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with (
        threadpool_limits(limits=1, user_api="blas"),
        ThreadPoolExecutor(max(1, threads if threads is not None else cores)) as pool,
    ):
        yield pool

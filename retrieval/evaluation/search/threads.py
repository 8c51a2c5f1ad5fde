"""Worker threads for work that releases the GIL: matrix products and compiled loops."""

import importlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from retrieval.validation import check_integer

THREADS = "RETRIEVAL_THREADS"


@contextmanager
def worker_pool(threads: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """Open a pool of threads, each of which multiplies its own blocks.

    Meanwhile the BLAS is limited to one thread: two layers of threads would compete for the cores,
    and the threads of the BLAS wait for one another by spinning.

    Args:
        threads: Number of threads. Defaults to one per core that this process may use, and to no
            more than the variable ``RETRIEVAL_THREADS`` says, as it does in a task of a cluster.

    Yields:
        The pool.

    Raises:
        UserError: The number of threads is not a whole number of at least 1.
    """
    if threads is not None:
        threads = check_integer("threads", threads, least=1)
    # Compiled loops multiply with the BLAS of SciPy: it is limited only if it is loaded by now.
    importlib.import_module("scipy.linalg.cython_blas")
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    if (most := os.environ.get(THREADS)) is not None and threads is None:
        cores = min(cores, check_integer(THREADS, int(most) if most.isdigit() else most, least=1))
    with (
        threadpool_limits(limits=1, user_api="blas"),
        ThreadPoolExecutor(threads or cores) as pool,
    ):
        yield pool

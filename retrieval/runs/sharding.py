"""Search a run in shards: by this process, or by tasks on a Ray cluster that share its folder."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from retrieval.cluster import (
    LOCAL,
    Resources,
    check_on,
    check_shared,
    connected,
    nodes,
    run_tasks,
)
from retrieval.errors import counted
from retrieval.evaluation.search.shard_files import HERE, SHARDS, ShardedSearch, Workers
from retrieval.files import remove
from retrieval.runs.places import final_path
from retrieval.validation import SearchDevice, check_choice, check_integer, choices_of


@dataclass(frozen=True)
class Sharding:
    """Where a search is computed, and in how many parts. The result is the same for all.

    Attributes:
        on: ``local``, this process; or a Ray cluster, see
            :func:`retrieval.cluster.connected`. Defaults to ``local``.
        shards: Number of parts of the gallery. Defaults to None: one per 20 billion pairs of a
            query and an item, which is none of a small run, nor of one whose items all search each
            other in memory; and at least two per processor of a cluster.
        device: ``cpu``, or ``gpu`` for tile products and selection on a GPU. Defaults to ``cpu``.
    """

    on: str = LOCAL
    shards: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_on(self.on)
        if self.shards is not None:
            check_integer("shards", self.shards, least=1)
        check_choice("device", self.device, choices_of(SearchDevice))


IN_PROCESS = Sharding()


def shards_path(path: Path) -> Path:
    """Return the hidden sibling that holds the finished shards of a run under evaluation.

    Args:
        path: The run's final folder.
    """
    return path.parent / f".{path.name}.shards"


@contextlib.contextmanager
def sharded_search(
    folder: Path, sharding: Sharding = IN_PROCESS, *, progress: bool = False
) -> Iterator[ShardedSearch]:
    """Provide the search of a run, whose finished shards outlive a kill.

    If the block succeeds they are removed. If it fails, those that are finished stay for the next
    try, and a line says where; without any, nothing stays.

    Args:
        folder: The run's folder, or one of its hidden siblings.
        sharding: Where and in how many parts. Defaults to this process.
        progress: Whether to show a bar. Defaults to False.

    Yields:
        What :func:`retrieval.evaluation.evaluate` may search with.

    Raises:
        UserError: The cluster cannot be reached, one of its nodes does not see the folder, or there
            is no GPU to search on.
    """
    kept = shards_path(final_path(folder))
    with _workers(sharding, kept.parent) as workers:
        try:
            yield ShardedSearch(kept, sharding.shards, workers, progress)
        except BaseException:
            with contextlib.suppress(OSError):  # the error itself is what the user must see
                _keep_finished(kept)
            raise
    remove(kept)


@contextlib.contextmanager
def _workers(sharding: Sharding, folder: Path) -> Iterator[Workers]:
    """Provide those who compute the shards, which are written to a folder."""
    if sharding.on != LOCAL:
        with connected(sharding.on):
            check_shared(folder)
            yield workers_of_cluster(sharding.device)
        return
    if sharding.device == "gpu":
        from retrieval.evaluation.search.device import first_gpu  # imports Numba

        first_gpu()  # is missing: said before anything is read or written
    yield replace(HERE, device=sharding.device)


def _keep_finished(kept: Path) -> None:
    """Say where the finished shards of a search that ended early are, or remove what has none."""
    finished = sum(1 for _ in kept.glob(f"*/{SHARDS}"))
    if finished:
        tqdm.write(
            f"{kept}: {counted(finished, 'finished shard')}: the same command continues from there"
        )
    else:
        remove(kept)


def passes_of(search: ShardedSearch) -> Callable[[np.ndarray], Any] | None:
    """Return who goes through the points of k-means: those who search, if they are of a cluster."""
    if search.workers.run is HERE.run:
        return None

    def passes(points: np.ndarray) -> Any:
        from retrieval.evaluation.kmeans_shards import passes_in_parts  # imports Numba

        return passes_in_parts(search.file_of(points), len(points), search.workers)

    return passes


def workers_of_cluster(device: str = "cpu") -> Workers:
    """Return the workers of the cluster that this process is connected to.

    Args:
        device: ``cpu``, one call per processor at a time, or ``gpu``, one per GPU. Defaults to
            ``cpu``.
    """
    gpus = 1 if device == "gpu" else 0
    resources = Resources(cpus=1, gpus=gpus)

    def run(function: Callable[..., Any], calls: Sequence[Mapping[str, Any]]) -> Iterator[None]:
        for outcome in run_tasks(function, calls, resources=resources):
            if outcome.error is not None:
                raise outcome.error
            yield

    at_once = sum(resources.copies(node) for node in nodes())
    return Workers(run, at_once, threads=1, device=device)

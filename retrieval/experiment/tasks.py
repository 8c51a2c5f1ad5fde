"""Runs as tasks of a cluster: each is trained on some node, in the shared folder of runs.

A task makes a run exactly as a command does, so everything else holds as well: one that was killed
continues from its last checkpoint, wherever it is begun again, and what it is at stands in its
``live.json``, which is how all runs are seen in one view.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.cluster import LOCAL, Resources, check_on, check_shared, nodes, run_tasks
from retrieval.errors import UserError
from retrieval.experiment.making import PlannedRun
from retrieval.experiment.pipeline import train_planned
from retrieval.files import cache_folder
from retrieval.quiet import import_tensorflow
from retrieval.runs.live import Training, list_trainings
from retrieval.runs.lock import wait_for_run
from retrieval.runs.mirrors import pull, refresh
from retrieval.runs.records import DatasetConfig
from retrieval.runs.resume import dataset_changes
from retrieval.runs.writing import describe_dataset
from retrieval.settings.resolve import catalog_of
from retrieval.settings.schema import TrainSettings
from retrieval.storage.addresses import address_of, located
from retrieval.training.live import planned_live

LOOK = 2.0  # seconds between two looks at all runs, as often as they tell what they are at
# A run whose node is lost is begun again before the lock of the lost node is free: a server of NFS
# gives it back after 90 seconds, by default.
LOCKED = 150.0


@dataclass(frozen=True)
class Place:
    """Where runs are made.

    Attributes:
        on: ``local``, one after the other in this process; or the cluster, see
            :func:`retrieval.cluster.connected`. Defaults to ``local``.
        cpus: Processors of each run. Defaults to 1.
        gpus: GPUs of each run; a fraction shares one. Defaults to None: one, or none in a cluster
            without GPUs.
        retries: How often a run is begun again whose node was lost. Defaults to 3.

    Raises:
        UserError: A number that cannot be meant, or one for a cluster where there is none.
    """

    on: str = LOCAL
    cpus: float = 1
    gpus: float | None = None
    retries: int = 3

    def __post_init__(self) -> None:
        check_on(self.on)
        Resources(self.cpus, self.gpus or 0)  # which checks them
        if self.retries < 0:
            raise UserError(f"--retries {self.retries}: give 0 or more")
        if self.is_local and self.of_cluster:
            flags = ", ".join(self.of_cluster)
            raise UserError(f"without --on, {flags} would have no effect: drop it, or add --on ray")

    @property
    def of_cluster(self) -> list[str]:
        """The options that ask something of a cluster, and differ from their defaults."""
        names = ("cpus", "gpus", "retries")
        return [f"--{name}" for name in names if getattr(self, name) != getattr(Place, name)]

    @property
    def is_local(self) -> bool:
        """Whether the runs are made in this process."""
        return self.on == LOCAL

    def resources(self) -> Resources:
        """Return what each run asks of the cluster that this process is connected to."""
        gpus = self.gpus
        if gpus is None:
            gpus = 1.0 if any(node.gpus for node in nodes()) else 0.0
        return Resources(self.cpus, gpus)


@dataclass(frozen=True)
class View:
    """What all runs of a command are at.

    Attributes:
        total: Number of runs.
        finished: Number of finished ones.
        failed: Number of failed ones.
        trainings: The others: running, waiting, stalled or interrupted ones.
    """

    total: int
    finished: int
    failed: int
    trainings: Sequence[Training]


Watch = Callable[[View], None]


def make_run(
    settings: TrainSettings, where: str, dataset: DatasetConfig, *, overwrite: bool, evaluate: bool
) -> None:
    """Make a run; this is the task.

    Args:
        settings: Its settings, checked and resolved.
        where: Its final folder: an absolute path that all nodes share, or a URL.
        dataset: What the command found of its data set.
        overwrite: Replace a run of the same name.
        evaluate: Embed and evaluate it after training.

    Raises:
        UserError: This node has other data; see also :func:`train_planned`.
    """
    import_tensorflow()
    path = located(where)
    pull(path)
    with planned_live(path, settings):
        catalog = catalog_of(settings)
    if facts := dataset_changes(dataset, catalog):
        raise UserError(
            f"node {socket.gethostname()} has other data in {catalog.root} than the machine of the "
            f"command ({', '.join(facts)} differ): give all nodes the same files"
        )
    wait_for_run(path, LOCKED)
    train_planned(
        PlannedRun(path, settings, catalog),
        overwrite=overwrite,
        keep=not overwrite,
        evaluate=evaluate,
        progress=False,
    )


def make_all(
    planned: Sequence[PlannedRun], place: Place, *, overwrite: bool, evaluate: bool
) -> Generator[tuple[PlannedRun, Exception | None], None, None]:
    """Make runs as tasks of the cluster that this process is connected to.

    Args:
        planned: The runs.
        place: What each of them needs.
        overwrite: Replace runs of the same name.
        evaluate: Embed and evaluate each after training.

    Yields:
        Each run as soon as it is made, and why it failed; None if it did not.

    Raises:
        UserError: No node has what a run needs, or the folder of runs is not shared.
    """
    if not planned:
        return
    root = planned[0].path.parents[1]
    if address_of(root) is None:
        check_shared(root)
    check_shared(cache_folder("features").parent, required=False)
    calls = [
        {
            "settings": run.settings,
            "where": address_of(run.path) or str(run.path.absolute()),
            "dataset": describe_dataset(run.catalog),
            "overwrite": overwrite,
            "evaluate": evaluate,
        }
        for run in planned
    ]
    outcomes = run_tasks(make_run, calls, resources=place.resources(), retries=place.retries)
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            run = planned[outcome.index]
            if outcome.error is None:
                pull(run.path)  # if it is at a URL
            yield run, outcome.error


@contextlib.contextmanager
def watching(
    paths: Sequence[Path], counted: Callable[[], tuple[int, int]], watch: Watch | None
) -> Iterator[None]:
    """Look at all runs every two seconds in the block, and once at its end.

    Args:
        paths: Final folders of the runs, of one folder of runs.
        counted: Returns how many are finished and how many failed.
        watch: Called with what they are at, from another thread; None for no call.

    Yields:
        Nothing.
    """
    if watch is None:
        yield
        return
    ended, wanted, root = threading.Event(), set(paths), paths[0].parents[1]

    def look() -> None:
        with contextlib.suppress(UserError):  # a store that is not reached at this moment
            refresh(root, show=False)
        finished, failed = counted()
        trainings = [each for each in list_trainings(root) if each.path in wanted]
        watch(View(len(paths), finished, failed, trainings))

    def work() -> None:
        while not ended.wait(LOOK):
            look()

    watcher = threading.Thread(target=work, daemon=True, name="watch")
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        look()

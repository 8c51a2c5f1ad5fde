"""Train a run on several workers: processes of this machine, or of a Ray cluster.

The process that was asked for the run (the driver) holds its lock, starts the workers, shows what
they are at and publishes the run. The first worker, the chief, writes the run's partial folder,
which all of them and the driver share. Two files in it carry words: what the chief has to say to
the user, and that it is to stop.
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from retrieval.cluster.connection import LOCAL, connected
from retrieval.cluster.groups import run_group
from retrieval.cluster.processes import run_processes
from retrieval.cluster.resources import Resources, fair_share
from retrieval.experiment.making import PlannedRun, train_and_embed
from retrieval.files import remove, write_text
from retrieval.progress import listening
from retrieval.quiet import hold_back_stderr, quiet_import
from retrieval.runs.live import Live, read_live
from retrieval.runs.places import partial_path
from retrieval.settings.resolve import batch_size
from retrieval.settings.schema import UNTRAINED, TrainSettings
from retrieval.training.interruption import Interrupted, check_stop, deferred, stop_asked, stoppable
from retrieval.training.live import LiveRecord

if TYPE_CHECKING:
    from retrieval.training.workers import Workers

CHANNEL = ".workers"  # folder in the partial folder
SAID, STOP = "said.txt", "stop"
LOOK = 0.3  # seconds between two looks at these files


@dataclass(frozen=True)
class Report:
    """What the chief has done.

    Attributes:
        seconds: Seconds of each stage.
        device: What it was computed on.
        stopped: Whether it was told to stop.
    """

    seconds: dict[str, float]
    device: str
    stopped: bool = False


def on_workers(settings: TrainSettings) -> bool:
    """Tell whether a run is trained by several workers; an untrained network is by none."""
    return settings.distribute == "workers" and settings.loss != UNTRAINED


def train_on_workers(
    planned: PlannedRun,
    *,
    on: str,
    evaluate: bool,
    progress: bool,
    live: LiveRecord,
) -> Report:
    """Train a run on several workers and write the embeddings of its test split.

    If a worker is lost, all start again from the latest checkpoint; on a cluster that does not
    replace its node in time, with fewer workers.

    Args:
        planned: The run, whose settings say how many workers. Its partial folder and the data set
            lie at the same paths on all machines.
        on: Where: ``local`` for processes of this machine, or a Ray cluster, see
            :func:`retrieval.cluster.connection.connected`.
        evaluate: Whether embeddings are wanted.
        progress: Whether to show a progress bar.
        live: The run's record, which the chief writes meanwhile.

    Returns:
        What the chief has done.

    Raises:
        Interrupted: SIGINT or SIGTERM has arrived; the chief has finished its step and saved it.
        UserError: The workers were lost too often, the cluster has no room for them, or the run
            failed.
    """
    folder = partial_path(planned.path)
    channel = folder / CHANNEL
    remove(channel)
    channel.mkdir()
    arguments = {
        "planned": planned,
        "evaluate": evaluate,
        "driver": live.live,
    }
    count = planned.settings.workers

    def say_loss(words: str) -> None:
        tqdm.write(f"{words}; the workers start again from the latest checkpoint")

    live.hand_over()
    try:
        with deferred(), _forwarding_stop(channel), _shown(folder, planned, show=progress):
            if on == LOCAL:
                reports = run_processes(
                    work,
                    arguments,
                    size=count,
                    resources=_share_of_this_machine(count),
                    led=True,
                    on_loss=say_loss,
                )
            else:
                with connected(on):
                    reports = run_group(
                        work,
                        arguments,
                        size=count,
                        resources=fair_share(count),
                        smaller=fewer_workers(count, batch_size(planned.settings)),
                        led=True,
                        on_loss=say_loss,
                    )
    finally:
        live.take_back()
        remove(channel)
    report: Report = reports[0]
    if report.stopped:
        check_stop()
    return report


def fewer_workers(count: int, batch: int) -> list[int]:
    """Return the smaller numbers of workers that can share a batch equally, the largest first."""
    return [n for n in range(count - 1, 0, -1) if batch % n == 0]


def _share_of_this_machine(count: int) -> Resources:
    from retrieval.training.devices import visible_gpus  # loads TensorFlow

    return Resources(max(1, (os.cpu_count() or 1) // count), visible_gpus() // count)


def work(
    rank: int, addresses: Sequence[str], *, planned: PlannedRun, evaluate: bool, driver: Live
) -> Report | None:
    """Be one of the workers of a run; runs in a process of its own.

    Args:
        rank: Number of this worker; 0 is the chief.
        addresses: ``HOST:PORT`` of every worker.
        planned: The run.
        evaluate: Whether embeddings are wanted.
        driver: What the process that was asked for the run says about itself.

    Returns:
        What the chief has done; None from the others.
    """
    with quiet_import():  # nothing may be computed before the workers are joined
        from retrieval.training.devices import describe_devices
        from retrieval.training.fit import follow

    settings = planned.settings
    channel = partial_path(planned.path) / CHANNEL
    if rank:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            follow(settings, planned.catalog, _joined(rank, addresses))
        return None
    with (
        (channel / SAID).open("a", buffering=1, encoding="utf-8") as said,
        contextlib.redirect_stdout(said),
        stoppable(),
    ):
        try:
            with _stopping_when_told(channel):
                workers = _joined(rank, addresses)
                device = f"{_named(addresses)}, each {describe_devices(settings)}"
                tqdm.write(f"on {device}")
                record = LiveRecord(partial_path(planned.path), settings, device=device)
                record.live = replace(driver, device=device)
                record.start()
                try:
                    with listening(record):
                        seconds = train_and_embed(
                            planned,
                            evaluate=evaluate,
                            progress=False,
                            live=record,
                            workers=workers,
                        )
                finally:
                    record.hand_over()
                return Report(seconds, device)
        except Interrupted:
            return Report({}, "", stopped=True)


def _joined(rank: int, addresses: Sequence[str]) -> "Workers":
    from retrieval.training.workers import join_workers

    with hold_back_stderr():  # what TensorFlow says about devices
        return join_workers(rank, addresses)


def _named(addresses: Sequence[str]) -> str:
    """Return workers in words, by the names of their machines."""
    hosts = [address.rpartition(":")[0] for address in addresses]
    own = socket.gethostname()
    names = dict.fromkeys(own if host == "127.0.0.1" else host for host in hosts)
    return f"{len(hosts)} workers ({', '.join(names)})"


@contextlib.contextmanager
def _forwarding_stop(channel: Path) -> Iterator[None]:
    """Tell the chief to stop when a signal has arrived here, in the block."""

    def look() -> bool:
        if (number := stop_asked()) is None:
            return False
        with contextlib.suppress(OSError):
            write_text(channel / STOP, str(number))
        return True

    with _looking(look):
        yield


@contextlib.contextmanager
def _stopping_when_told(channel: Path) -> Iterator[None]:
    """Let the block stop as by a signal when the driver says so."""

    def look() -> bool:
        if not (channel / STOP).exists():
            return False
        os.kill(os.getpid(), signal.SIGTERM)
        return True

    with _looking(look):
        yield


@contextlib.contextmanager
def _looking(look: Callable[[], bool]) -> Iterator[None]:
    """Call a function again and again in the block, from a thread, until it returns True."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(LOOK):
            if look():
                return

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _shown(folder: Path, planned: PlannedRun, *, show: bool) -> Iterator[None]:
    """Show in this process what the chief is at and what it says, in the block."""
    view = _View(folder, planned, show=show)

    def look() -> bool:
        view.update()
        return False

    try:
        with _looking(look):
            yield
    finally:
        view.update()
        view.close()


class _View:
    """A progress bar over the steps of the chief, and its words above the bar."""

    def __init__(self, folder: Path, planned: PlannedRun, *, show: bool) -> None:
        self.folder, self.read = folder, 0
        self.bar: Any = None
        if show:
            settings = planned.settings
            self.bar = tqdm(total=settings.steps, desc=settings.loss, unit="step", mininterval=0.3)
            self.bar.start_t = time.time()

    def update(self) -> None:
        """Read what is new."""
        with contextlib.suppress(OSError):
            with (self.folder / CHANNEL / SAID).open("rb") as file:
                file.seek(self.read)
                lines = file.read().rpartition(b"\n")
            self.read += len(lines[0]) + len(lines[1])
            if lines[1]:
                tqdm.write(lines[0].decode("utf-8", "replace"))
        if self.bar is None:
            return
        live = read_live(self.folder)
        if live is not None and live.step != self.bar.n:
            if live.loss is not None:
                self.bar.set_postfix({"loss": f"{live.loss:.4f}"}, refresh=False)
            if live.step < self.bar.n or not self.bar.n:  # a new start, from a checkpoint
                self.bar.initial = self.bar.n = live.step
                self.bar.refresh()
            else:
                self.bar.update(live.step - self.bar.n)

    def close(self) -> None:
        """End the bar's line."""
        if self.bar is not None:
            self.bar.close()

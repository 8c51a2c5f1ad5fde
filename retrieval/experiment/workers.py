"""Train a run on several workers: processes of this machine, or of a Ray cluster.

The process that was asked for the run (the driver) holds its lock, starts the workers, shows what
they are at and publishes the run. The first worker, the chief, writes the run's partial folder,
which all of them and the driver share. Two files in it carry words: what the chief has to say to
the user, and that it is to stop.
"""

import contextlib
import functools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from retrieval.cluster.connection import LOCAL, connected
from retrieval.cluster.groups import run_group
from retrieval.cluster.processes import run_processes
from retrieval.cluster.resources import Resources, fair_share
from retrieval.errors import UserError, counted
from retrieval.experiment.making import PlannedRun, train_and_embed
from retrieval.files import remove, write_text
from retrieval.progress import listening
from retrieval.runs.live import Live, read_live
from retrieval.runs.places import partial_path
from retrieval.settings.resolve import batch_size
from retrieval.settings.schema import UNTRAINED, TrainSettings
from retrieval.training.interruption import (
    EXIT_CODE,
    Interrupted,
    ask_to_stop,
    check_stop,
    deferred,
    stop_asked,
    stoppable,
)
from retrieval.training.live import LiveRecord
from retrieval.training.memory_check import available_memory, check_memory, training_images
from retrieval.training.workers import join_workers

CHANNEL = ".workers"  # folder in the partial folder
TRIES = 4  # starts of the workers without a new checkpoint
ANY_NUMBER = 1_000_000  # of losses in a training
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

    losses = _Losses(live)
    live.hand_over()
    try:
        with deferred(), _forwarding_stop(channel), _shown(folder, planned, show=progress):
            if on == LOCAL:
                reports = run_processes(
                    work,
                    arguments,
                    size=count,
                    resources=_share_of_this_machine(count),
                    restarts=ANY_NUMBER,
                    led=True,
                    on_loss=losses.note,
                )
            else:
                with connected(on):
                    reports = run_group(
                        work,
                        arguments,
                        size=count,
                        resources=fair_share(count),
                        smaller=fewer_workers(count, batch_size(planned.settings)),
                        restarts=ANY_NUMBER,
                        led=True,
                        on_loss=losses.note,
                    )
    finally:
        live.take_back()
        remove(channel)
    report: Report = reports[0]
    if report.stopped:
        check_stop()
    return report


class _Losses:
    """Counts lost workers: a long training may lose many, but not all the time at one place.

    Args:
        live: The run's record, which the chief writes.
    """

    def __init__(self, live: LiveRecord) -> None:
        self.live, self.in_vain = live, 0

    def note(self, words: str) -> None:
        """Hear of a loss, before the workers start again.

        Args:
            words: What was lost.

        Raises:
            Interrupted: A signal has arrived here, so that nothing is to be started again.
            UserError: It happens again and again without a new checkpoint in between.
        """
        check_stop()
        self.live.take_back()
        saved = self.live.live.checkpoint
        self.in_vain = 0 if saved is not None else self.in_vain + 1
        # So that the next start does not take credit for the checkpoints of this one.
        self.live.live = replace(self.live.live, checkpoint=None)
        self.live.hand_over()
        if self.in_vain >= TRIES:
            raise UserError(
                f"{words}; that is the {TRIES}th start without a new checkpoint: is there enough "
                "memory for every worker, and can they reach each other? The same command goes on"
            )
        tqdm.write(f"{words}; the workers start again from the latest checkpoint")


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
    settings = planned.settings
    channel = partial_path(planned.path) / CHANNEL
    if rank:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            workers = join_workers(rank, addresses)
            from retrieval.training.fit import follow

            follow(settings, planned.catalog, workers)
        return None
    with (
        (channel / SAID).open("a", buffering=1, encoding="utf-8") as said,
        contextlib.redirect_stdout(said),
        stoppable(),
    ):
        try:
            with _stopping_when_told(channel):
                workers = join_workers(rank, addresses)
                from retrieval.training.devices import describe_devices

                device = f"{_named(addresses)}, each {describe_devices(settings)}"
                tqdm.write(f"on {device}")
                record = LiveRecord(partial_path(planned.path), settings, device=device)
                record.live = replace(driver, device=device)
                record.start()
                try:
                    with listening(record):
                        check_memory(
                            settings,
                            images=training_images(settings, planned.catalog),
                            available=functools.partial(_memory_for, addresses),
                        )
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
        except Interrupted as error:
            if not (channel / STOP).exists():
                # A signal to this process alone, as where its machine is taken away: it is lost.
                os._exit(EXIT_CODE + error.signal)
            return Report({}, "", stopped=True)


def _memory_for(addresses: Sequence[str]) -> int | None:
    """Return the bytes for one worker: those of its GPU, or its part of the machine's memory."""
    from retrieval.training.devices import find_gpus  # loads TensorFlow

    free, own = available_memory(), addresses[0].rpartition(":")[0]
    here = sum(address.rpartition(":")[0] == own for address in addresses)
    return free if free is None or find_gpus() else free // here


def _named(addresses: Sequence[str]) -> str:
    """Return workers in words, by the names of their machines."""
    hosts = [address.rpartition(":")[0] for address in addresses]
    own = socket.gethostname()
    names = dict.fromkeys(own if host == "127.0.0.1" else host for host in hosts)
    return f"{counted(len(hosts), 'worker')} ({', '.join(names)})"


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
        ask_to_stop()
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

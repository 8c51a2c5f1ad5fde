"""Tell the app what a training is at, without disturbing it.

The training leaves numbers in a :class:`LiveRecord`, which costs it less than a microsecond each; a
thread writes them to ``live.json`` every two seconds, if anything has changed. It does not wait for
the disk: what a power cut takes from this file is worthless anyway. If the file cannot be written,
the training goes on. :mod:`retrieval.runs.live` reads it.

This module does not load TensorFlow.
"""

import contextlib
import dataclasses
import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from retrieval.errors import UserError, one_line
from retrieval.failures import as_user_error
from retrieval.files import TEMPORARY, write_json
from retrieval.progress import listening
from retrieval.runs.live import (
    DONE,
    FAILED,
    INTERRUPTED,
    MOST_POINTS,
    TRAINING,
    WAITING,
    Live,
    SavedStep,
    queue_path,
    read_live,
)
from retrieval.runs.places import LIVE_FILE
from retrieval.runs.process import Process
from retrieval.runs.provenance import command_line
from retrieval.settings.schema import TrainSettings

EVERY = 2.0  # seconds between two writes, at least
PATIENCE = 120.0  # seconds without a move after which something may be wrong
LONG_PATIENCE = 900.0  # where a single move may take minutes: the first step, k-means, a checkpoint
STEPS_OF_PATIENCE = 50  # a step that takes that many times the usual has stalled
# What tells one run from others.
SHOWN = (
    "loss",
    "backbone",
    "freeze_backbone",
    "embedding_size",
    "image_size",
    "classes_per_batch",
    "samples_per_class",
    "optimizer",
    "learning_rate",
    "seed",
    "eval_split",
    "eval_every",
    "monitor",
)


class Thinned:
    """A curve of a bounded number of points: neighbors are averaged when there are too many.

    Args:
        most: Largest number of points. Defaults to that of a curve on the screen.
    """

    def __init__(self, most: int = MOST_POINTS) -> None:
        self.most = most
        self.clear()

    def clear(self) -> None:
        """Begin a new curve."""
        self.points: list[tuple[int, float]] = []
        self.width, self.count, self.total = 1, 0, 0.0  # steps per point; of the unfinished point

    def add(self, step: int, value: float) -> None:
        """Add the value of a step."""
        if not math.isfinite(value):
            return
        self.count += 1
        self.total += value
        if self.count < self.width:
            return
        self.points.append((step, self.total / self.count))
        self.count, self.total = 0, 0.0
        if len(self.points) >= self.most:
            pairs = zip(self.points[::2], self.points[1::2], strict=False)
            self.points = [(late, (a + b) / 2) for (_, a), (late, b) in pairs]
            self.width *= 2


class LiveRecord:
    """What a training is at, as a thread writes it to ``live.json`` of the partial folder.

    It listens to the stages and bars of :mod:`retrieval.progress`. The attributes may be set at
    any time by the thread that trains.

    Args:
        folder: The run's partial folder.
        settings: Resolved settings of the run.
        device: What it is computed on, with the precision.
        overwrite: Whether the run replaces a finished one of its name. Defaults to False.
        evaluate: Whether it is evaluated after training. Defaults to True.
        gpu_memory: Returns the bytes of GPU memory in use, or None. Defaults to None, no call.
        every: Seconds between two writes. Defaults to 2.0.

    Attributes:
        live: The record, without what changes from step to step.
        has_worked: Whether anything was done that took time, such as a step.
        step: Number of training steps taken.
        loss: Loss of the last step.
        learning_rate: Its learning rate.
        recent: Losses since the last row of ``history.csv``.
        rate: Seconds that a step takes; None until that is known.
        evaluation: Seconds that an evaluation during training takes, with its checkpoint.
        batch: Number of images of a batch.
        interval: Number of steps between two evaluations.
    """

    def __init__(
        self,
        folder: Path,
        settings: TrainSettings,
        *,
        device: str = "",
        overwrite: bool = False,
        evaluate: bool = True,
        gpu_memory: Callable[[], int | None] | None = None,
        every: float = EVERY,
    ) -> None:
        now = time.time()
        self.file = folder / LIVE_FILE
        self.every, self.gpu_memory = every, gpu_memory
        self.has_worked = False
        self.recent = Thinned()
        self.rate: float | None = None
        self.evaluation = 0.0
        self.batch = self.interval = 0
        self.tasks: list[tuple[str, int | None, int]] = []  # title, number of parts, parts done
        self.moves = 1  # anything that happens raises it
        self.written = 0
        self.live = Live(
            Process.of_this_one(),
            started=now,
            updated=now,
            patience=LONG_PATIENCE,
            steps=settings.steps,
            device=device,
            settings=_shown(settings),
            overwrite=overwrite,
            evaluate=evaluate,
            command=_own_command(),
        )
        # Apart from `live`, as they change with every step.
        self.step, self.loss, self.learning_rate = 0, math.nan, math.nan
        self.moved = now
        self._ended = threading.Event()
        self._writer: threading.Thread | None = None
        self._process = psutil.Process()

    def begin(self, title: str, total: int | None) -> None:
        """Hear that a task begins; see :class:`retrieval.progress.Listener`."""
        self.tasks.append((title, total, 0))
        self.move()

    def advance(self, done: int) -> None:
        """Hear how many parts of the innermost task are done."""
        title, total, _ = self.tasks[-1]
        self.tasks[-1] = (title, total, done)
        self.has_worked = True
        self.move()

    def end(self) -> None:
        """Hear that the innermost task has ended."""
        self.tasks.pop()
        self.move()

    def move(self) -> None:
        """Note that something has happened."""
        self.moves += 1
        self.moved = time.time()

    def enter(self, stage: str) -> None:
        """Begin a stage.

        Args:
            stage: ``caching features``, ``training``, ``embedding`` or ``evaluating``.
        """
        self.live = dataclasses.replace(self.live, stage=stage)
        self.move()

    def saved(self, step: int) -> None:
        """Note that a checkpoint was saved, and that ``history.csv`` has every step up to it."""
        saved = SavedStep(step, time.time())
        self.live = dataclasses.replace(self.live, checkpoint=saved)
        self.move()

    def start(self) -> None:
        """Begin to write."""
        self.write()
        self._writer = threading.Thread(target=self._work, daemon=True, name="live")
        self._writer.start()

    def stop(self, state: str | None = None, error: str | None = None) -> None:
        """End writing.

        Args:
            state: What has become of the training: interrupted or failed. Defaults to None: it is
                finished, and the file is removed.
            error: Why it failed, in one line. Defaults to None.
        """
        self._ended.set()
        if self._writer is not None:
            self._writer.join()
        if state is None:
            with contextlib.suppress(OSError):
                self.file.unlink(missing_ok=True)
            return
        self.live = dataclasses.replace(self.live, state=state, error=error)
        self.move()
        self.write()

    def hand_over(self) -> None:
        """Leave the file as it is now to another process, which writes it from here on."""
        self._ended.set()
        if self._writer is not None:
            self._writer.join()
        self.write()

    def take_back(self) -> None:
        """Go on with the file as another process has left it."""
        left = read_live(self.file.parent)
        if left is not None:
            self.live = dataclasses.replace(left, process=self.live.process, task=None, total=None)
            self.step, self.has_worked = left.step, left.has_worked
            self.loss = math.nan if left.loss is None else left.loss
            self.learning_rate = math.nan if left.learning_rate is None else left.learning_rate
            self.recent.points = list(left.recent)
        self._ended = threading.Event()
        self.start()

    def _work(self) -> None:
        while not self._ended.wait(self.every):
            if self.moves != self.written:
                self.write()

    def write(self) -> None:
        """Write the file now. A failure is nothing that a training should stop for."""
        self.written = self.moves
        own = f"{TEMPORARY}{socket.gethostname()}-{os.getpid()}-{LIVE_FILE}"
        temporary = self.file.with_name(own)
        with contextlib.suppress(OSError, ValueError):
            try:
                text = json.dumps(self.snapshot().to_mapping(), allow_nan=False)
                temporary.write_text(text, encoding="utf-8")
                os.replace(temporary, self.file)
            finally:
                temporary.unlink(missing_ok=True)

    def snapshot(self) -> Live:
        """Return the record as it is now."""
        # The training goes on meanwhile: what it changes is read once.
        task, total, done = next(reversed([*self.tasks]), (None, None, 0))
        live, left, speed, patience = self.live, None, None, LONG_PATIENCE
        if self.rate is not None:
            to_do = live.steps - self.step
            evaluations = -(-to_do // self.interval) if self.interval else 0
            left = self.rate * to_do + self.evaluation * evaluations
            speed = self.batch / self.rate if self.rate else None
            if task is None and live.stage == TRAINING:
                patience = max(PATIENCE, STEPS_OF_PATIENCE * self.rate)
        if total:
            patience = PATIENCE if done else LONG_PATIENCE
        memory = gpu = None
        with contextlib.suppress(Exception):  # of a device that is lost, say
            memory = self._process.memory_info().rss
            gpu = self.gpu_memory() if self.gpu_memory is not None else None
        return dataclasses.replace(
            live,
            memory=memory,
            gpu_memory=gpu,
            updated=self.moved,
            patience=patience,
            task=task,
            total=total,
            done=done,
            step=self.step,
            loss=_finite(self.loss),
            learning_rate=_finite(self.learning_rate),
            images_per_second=speed,
            seconds_left=left,
            recent=tuple(self.recent.points),
            has_worked=self.has_worked,
        )


class QueueRecord:
    """The runs that a command makes one after the other, in a file beside the data sets.

    From it the app knows which runs wait for their turn, and which failed before they began. It is
    removed when all runs are made.

    Args:
        paths: Final folders of the runs, of one folder of runs, in order.
        key: Tells the command from others, in characters of file names; the same command replaces
            its file.
    """

    def __init__(self, paths: Sequence[Path], key: str) -> None:
        self.root = paths[0].parents[1]
        self.file = queue_path(self.root, key)
        self.process, self.command = Process.of_this_one(), _own_command()
        self.runs = {path.relative_to(self.root).as_posix(): WAITING for path in paths}
        self.errors: dict[str, str] = {}
        self._write()

    def mark(self, path: Path, error: UserError | None = None) -> None:
        """Note what has become of a run.

        Args:
            path: The run's final folder.
            error: Why it failed. Defaults to None: it is made.
        """
        name = path.relative_to(self.root).as_posix()
        self.runs[name] = DONE if error is None else FAILED
        if error is not None:
            self.errors[name] = str(error)
        self._write()

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # nothing that a training should stop for
            if set(self.runs.values()) == {DONE}:
                self.file.unlink(missing_ok=True)
                return
            values = {
                "process": dataclasses.asdict(self.process),
                "command": self.command,
                "runs": self.runs,
                "errors": self.errors,
            }
            write_json(self.file, values)


class PlanRecord:
    """What a command is at before its first run has a folder; it listens while it plans.

    Nothing is written in the first two seconds, so that a command that is refused leaves nothing.

    Args:
        path: Final folder of the run that is made first.
        settings: Its settings.
        clock: Returns a time in seconds. Defaults to ``time.monotonic``.
    """

    def __init__(
        self,
        path: Path,
        settings: TrainSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path, self.clock = path, clock
        self.root = path.parents[1]
        self.file = queue_path(self.root, f"plan-{socket.gethostname()}-{os.getpid()}")
        self.record = LiveRecord(self.root, settings)
        self.made_root = not self.root.exists()
        self.written = clock()

    def begin(self, title: str, total: int | None) -> None:
        """Hear that a task begins; see :class:`retrieval.progress.Listener`."""
        self.record.begin(title, total)
        self._write()

    def advance(self, done: int) -> None:
        """Hear how many parts of the innermost task are done."""
        self.record.advance(done)
        self._write()

    def end(self) -> None:
        """Hear that the innermost task has ended."""
        self.record.end()

    def _write(self) -> None:
        if self.clock() - self.written < EVERY:
            return
        self.written = self.clock()
        live = self.record.snapshot()
        values = {
            "process": vars(live.process),
            "command": live.command,
            "runs": {self.path.relative_to(self.root).as_posix(): WAITING},
            "errors": {},
            "live": live.to_mapping(),
        }
        with contextlib.suppress(OSError):
            write_json(self.file, values)


@contextlib.contextmanager
def planned_live(path: Path, settings: TrainSettings) -> Iterator[None]:
    """Let those who look know what a command is at while it plans, in the block.

    Args:
        path: Final folder of the run that is made first.
        settings: Its settings.

    Yields:
        Nothing.
    """
    record = PlanRecord(path, settings)
    try:
        with listening(record):
            yield
    finally:
        with contextlib.suppress(OSError):
            record.file.unlink(missing_ok=True)
            if record.made_root:
                record.root.rmdir()  # unless something was put there since


@contextlib.contextmanager
def live_record(record: LiveRecord) -> Iterator[LiveRecord]:
    """Keep a record of a training for the block, and say how the block ended.

    Args:
        record: The record.

    Yields:
        It.
    """
    record.start()
    try:
        with listening(record):
            yield record
    except KeyboardInterrupt:
        record.stop(INTERRUPTED)
        raise
    except BaseException as error:
        known = as_user_error(error) if isinstance(error, Exception) else None
        words = str(known) if known is not None else f"{type(error).__name__}: {error}"
        record.stop(FAILED, one_line(" ".join(words.split())))
        raise
    else:
        record.stop()


def _shown(settings: TrainSettings) -> Mapping[str, Any]:
    values = settings.to_mapping()
    return {name: values[name] for name in SHOWN if name in values}


def _own_command() -> str:
    """Return what was typed to start this process; empty in a notebook or another program."""
    typed = command_line()
    return typed if typed.startswith("retrieval ") else ""


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

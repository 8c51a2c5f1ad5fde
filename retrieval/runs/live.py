"""Trainings that are not finished: running, stalled, interrupted, failed or waiting for their turn.

A training writes what it is at into its partial folder (``live.json``), every two seconds at most;
a command that makes several runs lists them in a file beside the data sets (``.queue-<id>.json``).
This module reads both. Looking takes no lock, so that it never disturbs a training. TensorFlow is
not needed. :mod:`retrieval.training.live` writes them.
"""

import contextlib
import json
import shlex
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from retrieval.errors import UserError
from retrieval.files import TEMPORARY, remove, write_json
from retrieval.runs.places import LIVE_FILE, final_path, partial_path
from retrieval.runs.process import Process
from retrieval.runs.store import locked_run

QUEUE, QUEUE_SUFFIX = ".queue-", ".json"
PREPARING, CACHING, TRAINING = "preparing", "caching features", "training"
EMBEDDING, EVALUATING = "embedding", "evaluating"
RUNNING, STALLED, WAITING = "running", "stalled", "waiting"
INTERRUPTED, FAILED = "interrupted", "failed"
DONE = "done"  # of a run in a queue
# What each state means. Trainings are listed in this order.
STATES = {
    RUNNING: "goes on",
    STALLED: "has not moved for longer than expected",
    FAILED: "ended with an error",
    INTERRUPTED: "was stopped, or its process was killed",
    WAITING: "has not begun",
}
FIRST_MOMENT = 30.0  # seconds in which a new training may say nothing yet, and an old one no more
TRIES = 3  # to read a file that is replaced at this moment
MOST_POINTS = 300  # of a curve
LARGEST = 16 << 20  # bytes of a file of these: a queue of 100,000 runs is smaller


@dataclass(frozen=True)
class SavedStep:
    """The latest checkpoint of a training.

    Attributes:
        step: Number of steps taken when it was saved.
        time: When, in seconds since 1970.
    """

    step: int
    time: float


@dataclass(frozen=True)
class Live:
    """What a training says about itself in its ``live.json``.

    Attributes:
        process: Who writes it.
        started: When this process began with the training, in seconds since 1970.
        updated: When the training last moved.
        patience: Seconds without a move after which it counts as stalled.
        state: ``running``, ``interrupted`` or ``failed``, as far as the process could say itself.
        stage: What it is at: preparing, caching features, training, embedding or evaluating.
        task: The task within the stage, if it has a name of its own, e.g. ``thumbnails``.
        done: Number of parts of the task that are done.
        total: Number of its parts; None if unknown.
        step: Number of training steps taken.
        steps: Number of steps of the whole training.
        loss: Loss of the last step.
        learning_rate: Learning rate of the last step.
        images_per_second: Training images per second, without evaluations.
        seconds_left: Expected seconds to the last step, evaluations during training included.
        device: What it is computed on, with the precision.
        memory: Bytes of main memory that the process uses.
        gpu_memory: Bytes of the first GPU's memory that it uses.
        checkpoint: The latest checkpoint.
        settings: What tells the run from others: setting -> value.
        overwrite: Whether it replaces a finished run of its name.
        evaluate: Whether it is evaluated after training.
        command: The command that started the process; empty if it was another program.
        recent: Steps and losses since the last row of ``history.csv``, thinned out.
        error: Why it failed, in one line.
        has_worked: Whether it has done anything that took time, such as a step.
    """

    process: Process
    started: float
    updated: float
    patience: float
    state: str = RUNNING
    stage: str = PREPARING
    task: str | None = None
    done: int = 0
    total: int | None = None
    step: int = 0
    steps: int = 0
    loss: float | None = None
    learning_rate: float | None = None
    images_per_second: float | None = None
    seconds_left: float | None = None
    device: str = ""
    memory: int | None = None
    gpu_memory: int | None = None
    checkpoint: SavedStep | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    overwrite: bool = False
    evaluate: bool = True
    command: str = ""
    recent: tuple[tuple[int, float], ...] = ()
    error: str | None = None
    has_worked: bool = False

    def stage_words(self) -> str:
        """Return what it is at, e.g. ``evaluating: thumbnails, 120 of 500``."""
        task = self.task
        if task is not None and self.total:
            task = f"{task}, {self.done:,} of {self.total:,}"
        return self.stage if task is None or task == self.stage else f"{self.stage}: {task}"

    def share(self) -> float:
        """Return how much of the training, or of the task before or after it, is done: 0 to 1."""
        done, total = self.step, self.steps
        if self.total and self.stage != TRAINING:
            done, total = self.done, self.total
        return min(1.0, max(0.0, done / total)) if total else 0.0

    def to_mapping(self) -> dict[str, Any]:
        """Return what :meth:`from_mapping` reads, of JSON's kinds."""
        values = dict(vars(self))  # `asdict` would copy every point of the curve
        values["process"] = vars(self.process)
        values["checkpoint"] = None if self.checkpoint is None else vars(self.checkpoint)
        return values

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Live":
        """Make one from the content of a file; what a later version has added is left out.

        Raises:
            ValueError: Something is missing or of another kind.
        """
        return _LIVE.validate_python(values)


_LIVE = TypeAdapter(Live)


@dataclass(frozen=True)
class Queue:
    """The runs that one command makes, one after the other.

    Attributes:
        process: Who makes them.
        command: The command that started it, which also goes on with them; empty if it was another
            program.
        runs: Folder of each run, relative to the folder of runs -> ``waiting``, ``done`` or
            ``failed``.
        errors: Folder of each failed run -> why, in one line.
        live: What the command is at before the first run has a folder: its data set is read and
            every image of it decoded once. None afterwards.
    """

    process: Process
    command: str
    runs: Mapping[str, str]
    errors: Mapping[str, str]
    live: Live | None = None


_QUEUE = TypeAdapter(Queue)


@dataclass(frozen=True)
class Training:
    """A training that is not finished.

    Attributes:
        path: The run's final folder.
        state: One of :data:`STATES`.
        command: The command that continues it or begins it again; None if nothing is to be typed
            now, or if it was not started by a command.
        live: What it says about itself; None if it says nothing.
        error: Why it failed, in one line; None if it did not.
        is_alive: Whether a process works on it, or may: it is worth looking again. Defaults to
            False.
    """

    path: Path
    state: str
    command: str | None = None
    live: Live | None = None
    error: str | None = None
    is_alive: bool = False

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.path.name

    @property
    def dataset(self) -> str:
        """Name of its data set."""
        return self.path.parent.name


def list_trainings(root: Path | str = "runs", *, now: float | None = None) -> list[Training]:
    """List the trainings under a folder of runs that are not finished.

    Nothing is locked and nothing is changed.

    Args:
        root: Folder of runs. Defaults to ``runs``.
        now: Seconds since 1970. Defaults to None, the present.

    Returns:
        In the order of :data:`STATES`, those that were begun first or wait in front first.
    """
    root = Path(root)
    now = time.time() if now is None else now
    found = {}
    for folder in root.glob("*/.*.partial"):
        training = _of_folder(folder, now)
        if training is not None:
            found[training.path] = training
    for queue in _read_queues(root):
        _add_queued(found, queue, root)
    order = list(STATES)
    return sorted(
        found.values(),
        key=lambda each: (order.index(each.state), each.live.started if each.live else 0.0),
    )


def forget(path: Path) -> None:
    """Remove what a training left that nobody works on: its folder, and its place in a queue.

    Args:
        path: The run's final folder. A finished run there stays.

    Raises:
        UserError: There is no such training, or a process works on it.
    """
    root = path.parents[1]
    known = {each.path: each for each in list_trainings(root)}
    training = known.get(path)
    if training is None:
        names = ", ".join(str(each) for each in known) or "there is none"
        raise UserError(f"no training at {path} that is not finished: {names}")
    if training.is_alive:
        raise UserError(f"{path} is {training.state}: stop its process first")
    with locked_run(path):
        remove(partial_path(path))
    name = path.relative_to(root).as_posix()
    for file in root.glob(f"{QUEUE}*{QUEUE_SUFFIX}"):
        values = _read_json(file)
        if values is None or name not in values.get("runs", ()):
            continue
        del values["runs"][name]
        if set(values["runs"].values()) <= {DONE}:
            remove(file)
        else:
            write_json(file, values)


def finished_names(root: Path | str) -> frozenset[str]:
    """Return which finished runs there are, and which of each: a run that is replaced is another.

    Args:
        root: Folder of runs.
    """
    found = []
    with contextlib.suppress(OSError):
        for path in Path(root).glob("*/*"):
            if path.name.startswith(".") or path.parent.name.startswith("."):
                continue
            with contextlib.suppress(OSError):
                found.append(f"{path.parent.name}/{path.name} {path.stat().st_ino}")
    return frozenset(found)


def saved_history(path: Path) -> pd.DataFrame:
    """Return the history of a training up to its latest checkpoint.

    Args:
        path: The run's final folder.

    Returns:
        Columns ``step`` and ``loss``, and the metrics that were measured; no rows if there are
        none.
    """
    file = partial_path(path) / "history.csv"
    with contextlib.suppress(OSError, ValueError, KeyError):  # not there, or half written
        read = pd.read_csv(file)
        numbers = read[["step", "loss"]].apply(pd.to_numeric, errors="coerce")
        return read.assign(**numbers).loc[numbers.notna().all(axis=1)]
    return pd.DataFrame({"step": [], "loss": []})


def history_of(training: Training, saved: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the history of a training so far: what is saved, and the steps since.

    Args:
        training: The training.
        saved: Its saved history, if it was read before. Defaults to None: it is read.

    Returns:
        As :func:`saved_history`; the steps since are thinned out.
    """
    frame = saved_history(training.path) if saved is None else saved
    if training.live is None or not training.live.recent:
        return frame
    last = frame["step"].max() if len(frame) else 0
    new = pd.DataFrame(training.live.recent, columns=["step", "loss"])
    new = new[new["step"] > last]
    if not len(frame):
        return new
    return pd.concat([frame, new], ignore_index=True) if len(new) else frame


def _of_folder(folder: Path, now: float) -> Training | None:
    """Return the training in a partial folder; None if something else makes a run there."""
    path = final_path(folder)
    live = read_live(folder)
    begun = (folder / "config.yaml").is_file()
    if live is None:
        if not begun:
            return None
        # Of an older version; or a training in its first moment, or in its last.
        with contextlib.suppress(OSError):
            if now - folder.stat().st_mtime < FIRST_MOMENT:
                return Training(path, RUNNING, is_alive=True)
        return Training(path, INTERRUPTED, _resume(path))
    if live.state == FAILED:
        command = _resume(path, live) if begun else live.command or None
        return Training(path, FAILED, command, live, live.error)
    gone = live.process.is_gone()
    if live.state == INTERRUPTED or gone:
        return Training(path, INTERRUPTED, _resume(path, live), live)
    if now - live.updated > live.patience:
        command = _resume(path, live) if gone is None else None
        return Training(path, STALLED, command, live, is_alive=True)
    return Training(path, RUNNING, None, live, is_alive=True)


def _resume(path: Path, live: Live | None = None) -> str:
    """Return the command that continues a training."""
    flags = []
    if live is not None:
        flags += ["--overwrite"] if live.overwrite and path.exists() else []
        flags += [] if live.evaluate else ["--no-evaluate"]
    return resume_command(path, flags)


def resume_command(path: Path, flags: Iterable[str] = ()) -> str:
    """Return the command that continues an interrupted run.

    Args:
        path: The run's final folder.
        flags: Flags to add. Defaults to none.
    """
    return " ".join(["retrieval train --resume", shlex.quote(str(path)), *flags])


def read_live(folder: Path) -> Live | None:
    """Read what a training says about itself.

    Args:
        folder: Its partial folder.

    Returns:
        None if it says nothing, or nothing that this version understands.
    """
    values = _read_json(folder / LIVE_FILE)
    try:
        return None if values is None else Live.from_mapping(values)
    except ValueError:
        return None


def _read_json(file: Path) -> dict[str, Any] | None:
    """Read a JSON file that may be replaced meanwhile; None if it is not there or half written."""
    for attempt in range(TRIES):
        try:
            if file.stat().st_size > LARGEST:
                return None
            found = json.loads(file.read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else None
        except (FileNotFoundError, RecursionError):
            return None
        except (OSError, ValueError):  # torn by a network disk: it is whole in a moment
            if attempt + 1 < TRIES:
                time.sleep(0.02)
    return None


def queue_path(root: Path, key: str) -> Path:
    """Return the file that lists the runs of one command.

    Args:
        root: Folder of runs.
        key: Tells the command from others; the same one replaces its file.
    """
    return root / f"{QUEUE}{key}{QUEUE_SUFFIX}"


def _read_queues(root: Path) -> list[Queue]:
    found = []
    for file in sorted(root.glob(f"{QUEUE}*{QUEUE_SUFFIX}")):
        values = _read_json(file)
        if values is None or file.name.startswith(TEMPORARY):
            continue
        with contextlib.suppress(ValueError):
            found.append(_QUEUE.validate_python(values))
    return found


def _add_queued(found: dict[Path, Training], queue: Queue, root: Path) -> None:
    """Add the runs of a queue that no folder tells of; the queue's command goes on with all."""
    gone = queue.process.is_gone()
    if queue.live is not None:  # one that was killed meanwhile had begun nothing
        first = next((root / name for name in queue.runs), None)
        if first is not None and not gone and not (first in found and found[first].is_alive):
            found[first] = Training(first, RUNNING, None, queue.live, is_alive=True)
        return
    for name, state in queue.runs.items():
        path = root / name
        if state == FAILED:
            error = queue.errors.get(name)
            if path not in found:
                found[path] = Training(path, FAILED, queue.command or None, None, error)
        elif state == WAITING and path not in found and not (gone and path.exists()):
            command = (queue.command or None) if gone else None
            found[path] = Training(path, WAITING, command, is_alive=not gone)

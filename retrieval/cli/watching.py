"""One view of all runs of a command that are made on a cluster."""

import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence

import pandas as pd
import typer

from retrieval.errors import counted
from retrieval.evaluation.metrics import DASH
from retrieval.experiment.tasks import View
from retrieval.progress import duration
from retrieval.runs.live import RUNNING, STALLED, STATES, WAITING, Training

BACK, ERASE = "\x1b[{}A\r", "\x1b[J"  # of a terminal: some lines up; what is below
SUMMARY = 60.0  # seconds between two summaries in a log
SHOWN = (RUNNING, STALLED)  # states with a line of their own


class RunsView:
    """Shows what all runs are at: redrawn in place in a terminal, as lines of changes in a log."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()
        self.lock = threading.Lock()  # the runs are looked at by another thread
        self.drawn: list[str] = []
        self.before: dict[str, str] = {}
        self.summarized = time.monotonic()
        self.ended = 0  # runs that were finished or failed, as the log has it

    def say(self, line: str) -> None:
        """Print a line above the view."""
        with self.lock:
            self._erase()
            typer.echo(line)
            self._draw()

    def complain(self, line: str) -> None:
        """Print a line about a failed run above the view."""
        with self.lock:
            self._erase()
            typer.echo(f"error: {line}", err=True)
            self._draw()

    def update(self, view: View) -> None:
        """Show what all runs are at."""
        with self.lock:
            if self.terminal:
                self._erase()
                size = shutil.get_terminal_size()
                self.drawn = [line[: size.columns - 1] for line in lines_of(view, size.lines - 3)]
                self._draw()
            else:
                self._log(view)

    def __enter__(self) -> "RunsView":
        return self

    def __exit__(self, *error: object) -> None:
        """Take the view away: the command prints its results."""
        with self.lock:
            self._erase()
            self.drawn = []

    def _erase(self) -> None:
        if self.drawn:
            typer.echo(BACK.format(len(self.drawn)) + ERASE, nl=False)

    def _draw(self) -> None:
        for line in self.drawn:
            typer.echo(line)
        sys.stdout.flush()

    def _log(self, view: View) -> None:
        for each in view.trainings:
            now = f"{each.state}{at_node(each)}"
            if each.state != WAITING and self.before.get(each.name) != now:
                step = f" from step {each.live.step:,}" if each.live and each.live.step else ""
                typer.echo(f"{each.path}: {now}{step}")
            self.before[each.name] = now
        ended = view.finished + view.failed
        if ended != self.ended or time.monotonic() - self.summarized >= SUMMARY:
            self.ended, self.summarized = ended, time.monotonic()
            typer.echo(summary(view))
        sys.stdout.flush()


def lines_of(view: View, most: int) -> list[str]:
    """Return the view as lines: a summary, and a table of the runs at work.

    Args:
        view: What all runs are at.
        most: Largest number of lines.
    """
    active = [each for each in view.trainings if each.state in SHOWN]
    lines = [summary(view)]
    if not active or most < 3:
        return lines
    room = most - 2 if len(active) <= most - 2 else most - 3
    table = pd.DataFrame([row_of(each) for each in active[:room]]).to_string(index=False)
    lines += table.splitlines()
    if len(active) > room:
        lines.append(f"... and {len(active) - room} more; `retrieval trainings` lists all")
    return lines


def summary(view: View) -> str:
    """Return one line about all runs.

    >>> summary(View(6, 2, 1, []))
    '6 runs: 2 finished, 1 failed, 3 waiting'
    """
    found = Counter(each.state for each in view.trainings)
    # One that failed is begun again or counted already; what is not listed has not begun.
    shown = {state: found[state] for state in STATES if state in SHOWN and found[state]}
    waiting = view.total - view.finished - view.failed - sum(shown.values())
    parts = {"finished": view.finished, "failed": view.failed} | shown | {WAITING: waiting}
    words = ", ".join(f"{number} {state}" for state, number in parts.items() if number > 0)
    return f"{counted(view.total, 'run')}: {words}{_time_left(view, waiting)}"


def _time_left(view: View, waiting: int) -> str:
    """Return when all will be done, if those that wait take as long as those that run."""
    active: Sequence[Training] = [each for each in view.trainings if each.state == RUNNING]
    rates = [
        (each.live.seconds_left, each.live.seconds_left / (each.live.steps - each.live.step))
        for each in active
        if each.live is not None
        and each.live.seconds_left is not None
        and each.live.step < each.live.steps
    ]
    if not rates:
        return ""
    steps = max(each.live.steps for each in active if each.live is not None)
    whole = steps * sum(rate for _, rate in rates) / len(rates)
    left = sum(left for left, _ in rates) + waiting * whole
    return f"; about {duration(left / len(rates))} left"


def row_of(training: Training) -> dict[str, str]:
    """Return the row of a run at work."""
    said = training.live
    row = dict.fromkeys(("run", "state", "at", "step", "loss", "left", "node"), DASH)
    row |= {"run": training.name, "state": training.state}
    if said is None:
        return row
    row |= {"at": said.stage_words(), "step": f"{said.step:,} of {said.steps:,}"}
    row["node"] = said.process.host
    if said.loss is not None:
        row["loss"] = f"{said.loss:.4g}"
    if said.seconds_left is not None:
        row["left"] = duration(said.seconds_left)
    return row


def at_node(training: Training) -> str:
    """Return where a run is made, e.g. `` on node7``; nothing if that is unknown."""
    return "" if training.live is None else f" on {training.live.process.host}"

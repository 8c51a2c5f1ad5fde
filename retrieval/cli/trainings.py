"""``retrieval trainings``: what is being trained, as a table in the terminal."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from retrieval.runs.live import Training

CLEAR = "\x1b[H\x1b[J"  # of a terminal
EVERY = 2.0  # seconds between two looks


def trainings(
    runs: Annotated[
        Path, typer.Argument(help="Folder of runs.", envvar="RETRIEVAL_RUNS", metavar="[RUNS]")
    ] = Path("runs"),
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every 2 seconds while anything goes on.")
    ] = False,
    forget: Annotated[
        Path | None,
        typer.Option(
            help="Folder runs/DATASET/NAME of a training to forget that nothing works on: what it "
            "left is removed, with its checkpoints. Defaults to none.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the trainings that are not finished: running, stalled, failed, interrupted, waiting.

    Each with the command that continues it. Looking does not disturb them.
    """
    from retrieval.runs import live

    if forget is not None:
        live.forget(forget)
        typer.echo(f"{forget}: what its training left is removed")
        return
    while True:
        found = live.list_trainings(runs)
        if watch and sys.stdout.isatty():
            typer.echo(CLEAR, nl=False)
        typer.echo("\n".join(_lines(found, runs)))
        if not watch or not any(each.is_alive for each in found):
            return
        time.sleep(EVERY)


def _lines(found: "list[Training]", runs: Path) -> list[str]:
    """Return the table of some trainings, their errors, and the commands that continue them."""
    import pandas as pd

    if not found:
        return [f"nothing is being trained in {runs}"]
    table = pd.DataFrame([_row(each) for each in found])
    lines = table.to_string(index=False).split("\n")
    lines += [f"{each.path}: {each.error}" for each in found if each.error]
    commands = dict.fromkeys(each.command for each in found if each.command)
    return lines + [f"to go on: {command}" for command in commands]


def _row(training: "Training") -> dict[str, str]:
    from retrieval.evaluation.metrics import DASH
    from retrieval.progress import duration

    said, now = training.live, time.time()
    row = dict.fromkeys(
        ("run", "state", "at", "step", "loss", "images/s", "left", "checkpoint", "device"), DASH
    )
    row |= {"run": f"{training.dataset}/{training.name}", "state": training.state}
    if said is None:
        return row
    row |= {"at": said.stage_words(), "step": f"{said.step:,} of {said.steps:,}"}
    row["device"] = said.device or DASH
    if said.loss is not None:
        row["loss"] = f"{said.loss:.4g}"
    if said.checkpoint is not None:
        ago = duration(max(0.0, now - said.checkpoint.time))
        row["checkpoint"] = f"step {said.checkpoint.step:,}, {ago} ago"
    if training.is_alive and said.seconds_left is not None:
        row["left"] = duration(said.seconds_left)
    if training.is_alive and said.images_per_second is not None:
        row["images/s"] = f"{said.images_per_second:,.0f}"
    return row

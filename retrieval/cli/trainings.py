"""``retrieval trainings``: what is being trained, as a table in the terminal."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from retrieval.cli.paths import RUNS
from retrieval.runs.mirrors import refresh
from retrieval.storage.addresses import located

CLEAR = "\x1b[H\x1b[J"  # of a terminal
EVERY = 2.0  # seconds between two looks


def trainings(
    runs: Annotated[
        Path,
        typer.Argument(
            help="Folder of runs, or its URL.", envvar=RUNS, metavar="[RUNS]", parser=located
        ),
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
            parser=located,
            metavar="RUN",
        ),
    ] = None,
) -> None:
    """List the trainings that are not finished: running, stalled, failed, interrupted, waiting.

    Each with the command that continues it. Looking does not disturb them.
    """
    from retrieval.cli.tables import print_trainings
    from retrieval.runs import live

    if forget is not None:
        refresh(forget)
        live.forget(forget)
        typer.echo(f"{forget}: what its training left is removed")
        return
    while True:
        refresh(runs)
        found = live.list_trainings(runs)
        if watch and sys.stdout.isatty():
            typer.echo(CLEAR, nl=False)
        print_trainings(found, runs)
        sys.stdout.flush()  # it may go into a pipe
        if not watch or not any(each.is_alive for each in found):
            return
        time.sleep(EVERY)

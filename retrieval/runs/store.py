"""Open, list and publish run folders."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import UserError
from retrieval.runs.checks import check_run
from retrieval.runs.run import Run


@dataclass(frozen=True)
class BrokenRun:
    """A folder under the root of runs that cannot be opened.

    Attributes:
        path: The folder.
        reason: Why it cannot be opened, in one line.
    """

    path: Path
    reason: str


def open_run(path: Path | str) -> Run:
    """Open a run folder after checking that it is complete and consistent.

    Args:
        path: The run's folder.

    Returns:
        The run.

    Raises:
        UserError: A file is missing or damaged, the schema is newer, or row counts differ.
    """
    run = Run(Path(path))
    if not run.path.is_dir():
        raise UserError(f"no run at {run.path}: train one with `retrieval train`")
    check_run(run)
    return run


def list_runs(root: Path | str = "runs") -> list[Run | BrokenRun]:
    """Open every run under ``root/<dataset>/<run>``. Hidden folders are skipped.

    Args:
        root: Folder of runs. Defaults to ``runs``.

    Returns:
        Oldest first: runs, and a :class:`BrokenRun` for each folder that cannot be opened.
    """
    found: list[Run | BrokenRun] = []
    folders = [
        p
        for p in Path(root).glob("*/*")
        if p.is_dir() and not p.name.startswith(".") and not p.parent.name.startswith(".")
    ]
    for path in sorted(folders, key=lambda p: (p.stat().st_mtime, p.name)):
        try:
            found.append(open_run(path))
        except UserError as error:
            found.append(BrokenRun(path, str(error)))
    return found


def partial_path(path: Path) -> Path:
    """Return the hidden sibling that a run is written to until it is complete.

    Args:
        path: The run's final folder.
    """
    return path.parent / f".{path.name}.partial"


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse to make a run that exists.

    Raises:
        UserError: The run exists, and ``overwrite`` is off.
    """
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; choose another --name or pass --overwrite")


def publish(path: Path, *, overwrite: bool = False) -> None:
    """Rename the complete partial folder of a run to its final name.

    Args:
        path: The run's final folder.
        overwrite: Whether to replace an existing run. Defaults to False.

    Raises:
        UserError: The run exists, and ``overwrite`` is off.
    """
    check_free(path, overwrite=overwrite)
    if path.exists():
        old = path.parent / f".{path.name}.old"
        shutil.rmtree(old, ignore_errors=True)
        os.replace(path, old)
        os.replace(partial_path(path), path)
        shutil.rmtree(old)
    else:
        os.replace(partial_path(path), path)

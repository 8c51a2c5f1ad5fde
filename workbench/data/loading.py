"""Cached access to run folders. All sessions of the app share one object per run."""

import os
from pathlib import Path

import streamlit as st

from retrieval.errors import UserError
from retrieval.runs.checks import NotEvaluated
from retrieval.runs.run import REQUIRED_FILES, Run
from retrieval.runs.store import BrokenRun, open_run, run_folders
from retrieval.storage.addresses import in_urls, located
from workbench.data.following import follow

DEFAULT_ROOT = Path("runs")
OPTIONAL_FILES = (
    "projection.parquet", "history.csv", "thumbnails/offsets.npy", "thumbnails/images.bin"
)  # fmt: skip


def runs_root() -> Path:
    """Return the folder of runs: ``$RETRIEVAL_RUNS``, or ``runs`` if it is not set.

    If that is a URL, it is the folder of this machine that stands for it.
    """
    return located(os.environ.get("RETRIEVAL_RUNS", DEFAULT_ROOT))


def stamp(path: Path) -> tuple[int, ...]:
    """Return the times and numbers of a run's folder and files, which identify them in caches.

    Args:
        path: The run's folder.

    Returns:
        Number in the file system and time of modification in nanoseconds, for the folder (without
        its time) and for each file; zeros for what is missing.
    """
    found: list[int] = []
    for name in ("", *REQUIRED_FILES, *OPTIONAL_FILES):
        try:
            status = (path / name).stat()
            found += (status.st_ino, status.st_mtime_ns if name else 0)
        except OSError:
            found += (0, 0)
    return tuple(found)


@st.cache_resource(show_spinner=False, max_entries=256)
def _open(path: str, stamp: tuple[int, ...]) -> Run | BrokenRun:
    try:
        return open_run(path, neighbors=True)
    except UserError as error:
        return BrokenRun(Path(path), in_urls(str(error)), isinstance(error, NotEvaluated))


def load_runs(root: Path | None = None) -> tuple[list[Run], list[BrokenRun]]:
    """Open every run under a folder.

    Args:
        root: Folder of runs. Defaults to :func:`runs_root`.

    Returns:
        The runs, and the folders that cannot be opened, both sorted by data set and name.
    """
    root = root or runs_root()
    follow(root)
    folders = run_folders(root)
    found = [_open(str(path), stamp(path)) for path in folders]
    runs = [run for run in found if isinstance(run, Run)]
    return runs, [run for run in found if isinstance(run, BrokenRun)]


def find_run(dataset: str, name: str) -> Run | None:
    """Return a run by the names of its two folders. Never looks outside :func:`runs_root`.

    Args:
        dataset: Name of the data set.
        name: Name of the run.

    Returns:
        The run, or None if there is no such run or it cannot be opened.
    """
    for part in (dataset, name):
        if not part or part.startswith(".") or "/" in part or "\\" in part or part == "..":
            return None
    path = runs_root() / dataset / name
    try:
        if not path.is_dir():
            return None
    except (OSError, ValueError):  # a name that no file system takes
        return None
    run = _open(str(path), stamp(path))
    return run if isinstance(run, Run) else None

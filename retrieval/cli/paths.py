"""Find the runs that a path on the command line stands for."""

import os
from pathlib import Path

from retrieval.errors import UserError
from retrieval.runs.store import run_folders

CONFIG = "config.yaml"  # every run has one


def runs_at(path: Path) -> list[Path]:
    """Return the runs that a path stands for: a run itself, or the runs in a folder of runs.

    Args:
        path: A run's folder ``runs/DATASET/NAME``, or a folder that holds runs: ``runs/DATASET`` or
            ``runs``.

    Returns:
        Run folders, sorted; the path itself if there are none, for an error that names it.
    """
    if path.is_dir() and not (path / CONFIG).exists():
        inside = [p for p in sorted(path.iterdir()) if not p.name.startswith(".") and p.is_dir()]
        found = [p for p in inside if (p / CONFIG).exists()]
        found = found or [p for p in run_folders(path) if (p / CONFIG).exists()]
        if found:
            return found
    return [path]


def one_run(path: Path) -> Path:
    """Return a path that stands for one run; refuse a folder that is none.

    Args:
        path: What the user gave.

    Raises:
        UserError: The folder exists and is no run; the message names runs that are near.
    """
    if not path.is_dir() or (any(path.iterdir()) and (path / CONFIG).exists()):
        return path
    near = [p for p in runs_at(path) if p != path]
    if near:
        raise UserError(f"{path} holds {len(near)} runs: give one of them, e.g. {near[0]}")
    if any((path / name).exists() for name in ("embeddings.npy", "items.parquet")):
        return path  # a run without its config.yaml
    root = Path(os.environ.get("RETRIEVAL_RUNS", "runs"))
    known = [p for p in runs_at(root) if p != root]
    advice = f"give a run's folder, e.g. {known[0]}" if known else (
        "make a run with `retrieval train` or `retrieval import`"
    )  # fmt: skip
    raise UserError(f"{path} is not a run, which is a folder runs/DATASET/NAME: {advice}")

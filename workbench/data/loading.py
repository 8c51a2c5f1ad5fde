"""Cached access to run folders: one shared object per run, however many sessions look at it."""

import os
from pathlib import Path

import numpy as np
import streamlit as st

from retrieval.errors import UserError
from retrieval.runs.checks import reading
from retrieval.runs.run import REQUIRED_FILES, Neighbors, Run, map_npz
from retrieval.runs.store import BrokenRun, open_run

OPTIONAL_FILES = (
    "projection.parquet", "history.csv", "thumbnails/offsets.npy", "thumbnails/images.bin"
)  # fmt: skip


def runs_root() -> Path:
    """Return the folder of runs: ``$RETRIEVAL_RUNS``, else ``runs``."""
    return Path(os.environ.get("RETRIEVAL_RUNS", "runs"))


def stamp(path: Path) -> tuple[int, ...]:
    """Return the modification times that change whenever a run is rewritten."""
    times = []
    for name in (*REQUIRED_FILES, *OPTIONAL_FILES):
        try:
            times.append((path / name).stat().st_mtime_ns)
        except OSError:
            times.append(0)
    return tuple(times)


@st.cache_resource(show_spinner=False, max_entries=256)
def _open(path: str, stamp: tuple[int, ...]) -> Run | BrokenRun:
    try:
        run = open_run(path)
        check_consistent(run)
        return run
    except UserError as error:
        return BrokenRun(Path(path), str(error))


def check_consistent(run: Run) -> None:
    """Check the parts that only looking needs: every protocol's neighbors, within the items.

    Raises:
        UserError: Neighbors are missing, cannot be read or point outside the items.
    """
    with reading(run.path / "neighbours.npz") as file:
        for protocol in protocols_of(run):
            if not _fit(load_neighbors(run, protocol), len(run.items)):
                raise UserError(f"{file}: {protocol!r} does not fit items.parquet")


def _fit(neighbors: Neighbors, n: int) -> bool:
    arrays = [getattr(neighbors, field) for field in Neighbors.FIELDS]
    queries, ids, similarities, _, first_hit_item = arrays
    return (
        {array.ndim for array in (ids, similarities)} == {2}
        and ids.shape == similarities.shape
        and {len(array) for array in arrays} == {len(queries)}
        and len(queries) > 0
        and all(rows.dtype.kind == "i" for rows in (queries, ids, first_hit_item))
        and all(rows.min() >= -1 and rows.max() < n for rows in (queries, ids, first_hit_item))
        and queries.min() >= 0
    )


def load_runs(root: Path | None = None) -> tuple[list[Run], list[BrokenRun]]:
    """List every run under the root, sorted by data set and name; unreadable ones apart.

    Args:
        root: Folder of runs; default :func:`runs_root`.

    Returns:
        Readable runs, and folders that cannot be read with the reason.
    """
    root = root or runs_root()
    folders = [
        p
        for p in root.glob("*/*")
        if p.is_dir() and not p.name.startswith(".") and not p.parent.name.startswith(".")
    ]
    found = [_open(str(path), stamp(path)) for path in sorted(folders)]
    runs = [run for run in found if isinstance(run, Run)]
    return runs, [run for run in found if isinstance(run, BrokenRun)]


def find_run(dataset: str, name: str) -> Run | None:
    """Return a readable run by its two folder names, or None; never looks outside the root."""
    for part in (dataset, name):
        if not part or part.startswith(".") or "/" in part or "\\" in part or part == "..":
            return None
    path = runs_root() / dataset / name
    if not path.is_dir():
        return None
    run = _open(str(path), stamp(path))
    return run if isinstance(run, Run) else None


@st.cache_resource(show_spinner=False, max_entries=32)
def _neighbors(path: str, protocol: str, stamp: tuple[int, ...]) -> Neighbors:
    arrays = map_npz(Path(path) / "neighbours.npz")
    if f"{protocol}/ids" not in arrays:
        raise UserError(f"{path}: no neighbors under protocol {protocol!r}")
    return Neighbors(protocol, *(arrays[f"{protocol}/{f}"] for f in Neighbors.FIELDS))


def load_neighbors(run: Run, protocol: str) -> Neighbors:
    """Return a run's neighbors under one protocol: read-only memory maps, shared."""
    return _neighbors(str(run.path), protocol, stamp(run.path))


def protocols_of(run: Run) -> dict[str, str]:
    """Return the protocols a run was evaluated under, primary first: name -> title."""
    titles = {name: result.title for name, result in run.results.items()}
    return {run.primary: titles[run.primary]} | titles


def query_position(neighbors: Neighbors, row: int) -> int | None:
    """Return where an item stands among the queries, or None if it is not one."""
    at = int(np.searchsorted(neighbors.queries, row))
    if at < len(neighbors.queries) and neighbors.queries[at] == row:
        return at
    # Queries are written in item order; an imported run may not keep it.
    found = np.flatnonzero(neighbors.queries == row)
    return int(found[0]) if len(found) else None

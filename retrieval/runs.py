"""The run folder: the contract between training and looking.

``runs/<dataset>/<run>/`` holds ``config.yaml``, ``history.csv``, ``checkpoints/``,
``items.parquet``, ``embeddings.npy``, ``neighbours.npz``, ``metrics.json``,
``projection.parquet`` and ``thumbnails/``. A folder is written under a hidden sibling
(``.<run>.partial``) and renamed when it is whole, so a reader never sees half a run.
"""

import functools
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from retrieval.errors import UserError
from retrieval.files import write_text
from retrieval.run_checks import REQUIRED_FILES, SCHEMA, check_run

__all__ = [
    "REQUIRED_FILES", "SCHEMA", "BrokenRun", "Neighbours", "Run", "list_runs", "open_run",
    "partial_path", "publish", "write_config",
]  # fmt: skip

PROJECTION_COLUMNS = ["umap_x", "umap_y", "pca_x", "pca_y", "pca_z"]


@dataclass(frozen=True)
class Neighbours:
    """Per-query retrieval results under one protocol; ids are row numbers of ``items.parquet``.

    Attributes:
        protocol: ``leave_one_out`` or ``query_gallery``.
        queries: int32, (q,), the row of each query.
        ids: int32, (q, k), rows of the nearest gallery items, nearest first; -1 pads.
        similarities: float32, (q, k), similarity of each neighbour: higher is nearer (the negative
            distance where the distance is not cosine).
        first_hit: int32, (q,), 1-based rank of the nearest item of the query's class; 0 where the
            gallery holds none.
        first_hit_item: int32, (q,), row of that item; -1 where there is none.
    """

    protocol: str
    queries: np.ndarray
    ids: np.ndarray
    similarities: np.ndarray
    first_hit: np.ndarray
    first_hit_item: np.ndarray

    FIELDS = ("queries", "ids", "similarities", "first_hit", "first_hit_item")


@dataclass(frozen=True)
class Run:
    """A finished run on disk; every part is read on first use and kept."""

    path: Path

    @property
    def name(self) -> str:
        """The run's folder name."""
        return self.path.name

    @property
    def dataset(self) -> str:
        """The data set's name (the parent folder's name)."""
        return self.path.parent.name

    @functools.cached_property
    def config(self) -> dict:
        """``config.yaml``: keys ``schema``, ``settings``, ``provenance``, ``dataset``."""
        return yaml.safe_load((self.path / "config.yaml").read_text(encoding="utf-8"))

    @functools.cached_property
    def metrics(self) -> dict:
        """``metrics.json``: ``schema``, ``primary`` (a protocol name), ``results`` (a list)."""
        return json.loads((self.path / "metrics.json").read_text(encoding="utf-8"))

    @functools.cached_property
    def items(self) -> pd.DataFrame:
        """One row per embedded item, in the order of ``embeddings``."""
        return pd.read_parquet(self.path / "items.parquet")

    @functools.cached_property
    def embeddings(self) -> np.ndarray:
        """Read-only memory map, float32, (n, d)."""
        return np.load(self.path / "embeddings.npy", mmap_mode="r")

    @functools.cached_property
    def history(self) -> pd.DataFrame:
        """``history.csv``, all numbers; an empty frame if there is none or it is damaged."""
        try:
            history = pd.read_csv(self.path / "history.csv", float_precision="round_trip")
            history = history.apply(pd.to_numeric, errors="coerce")
        except (OSError, ValueError):
            return pd.DataFrame()
        return history if "step" in history else pd.DataFrame()

    @functools.cached_property
    def projection(self) -> pd.DataFrame | None:
        """Columns ``umap_x, umap_y, pca_x, pca_y, pca_z`` per item, or None if not made whole."""
        try:
            points = pd.read_parquet(self.path / "projection.parquet", columns=PROJECTION_COLUMNS)
            points = points.astype(np.float32)
        except (OSError, ValueError):  # Arrow's errors are ValueErrors
            return None
        return points if len(points) == len(self.items) else None

    def neighbours(self, protocol: str | None = None) -> Neighbours:
        """Read the per-query arrays of one protocol (default: the primary one).

        Raises:
            UserError: The run was not evaluated under that protocol.
        """
        protocol = protocol or self.metrics["primary"]
        with np.load(self.path / "neighbours.npz") as arrays:
            if f"{protocol}/ids" not in arrays:
                raise UserError(f"{self.path}: no neighbours under protocol {protocol!r}")
            parts = {field: arrays[f"{protocol}/{field}"] for field in Neighbours.FIELDS}
        for array in parts.values():
            array.setflags(write=False)
        return Neighbours(protocol, **parts)

    def result(self, protocol: str | None = None) -> dict:
        """Return the entry of ``metrics.json`` for one protocol (default: the primary one).

        Raises:
            UserError: The run was not evaluated under that protocol.
        """
        protocol = protocol or self.metrics["primary"]
        for entry in self.metrics["results"]:
            if entry["protocol"]["name"] == protocol:
                return entry
        raise UserError(f"{self.path}: no results under protocol {protocol!r}")

    @functools.cached_property
    def _thumbnails(self) -> tuple[np.ndarray, np.ndarray] | None:
        folder = self.path / "thumbnails"
        try:
            offsets = np.load(folder / "offsets.npy", mmap_mode="r")
            data = np.memmap(folder / "images.bin", np.uint8, mode="r")
            whole = len(offsets) == len(self.items) + 1 and offsets[-1] <= len(data)
        except (OSError, EOFError, ValueError, TypeError):
            return None
        return (offsets, data) if whole else None

    def thumbnail(self, row: int) -> bytes | None:
        """Return the encoded (WebP) 128 px thumbnail of one item, or None if there is none."""
        if self._thumbnails is None:
            return None
        offsets, data = self._thumbnails
        image = data[int(offsets[row]) : int(offsets[row + 1])].tobytes()
        return image or None


@dataclass(frozen=True)
class BrokenRun:
    """A folder that looks like a run but cannot be read, and why."""

    path: Path
    reason: str


def open_run(path: Path | str) -> Run:
    """Open a run folder after checking that it is whole and consistent.

    Raises:
        UserError: A file is missing or damaged, the schema is newer, or row counts differ.
    """
    run = Run(Path(path))
    if not run.path.is_dir():
        raise UserError(f"no run at {run.path}: train one with `retrieval train`")
    check_run(run)
    return run


def list_runs(root: Path | str = "runs") -> list[Run | BrokenRun]:
    """Open every run under ``root/<dataset>/<run>``, oldest first; hidden folders are skipped.

    Returns:
        Runs, and a :class:`BrokenRun` with the reason for each folder that cannot be read.
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
    """Return the hidden sibling that a run is written to until it is whole."""
    return path.parent / f".{path.name}.partial"


def publish(path: Path, *, overwrite: bool = False) -> None:
    """Rename the finished partial folder of ``path`` onto it.

    Raises:
        UserError: The run exists and ``overwrite`` is off.
    """
    if path.exists():
        if not overwrite:
            raise UserError(f"{path} exists; choose another --name or pass --overwrite")
        old = path.parent / f".{path.name}.old"
        shutil.rmtree(old, ignore_errors=True)
        os.replace(path, old)
        os.replace(partial_path(path), path)
        shutil.rmtree(old)
    else:
        os.replace(partial_path(path), path)


def write_config(folder: Path, config: dict) -> None:
    """Write ``config.yaml`` atomically, with the schema version first."""
    write_text(
        folder / "config.yaml",
        yaml.safe_dump({"schema": SCHEMA} | config, sort_keys=False, allow_unicode=True),
    )

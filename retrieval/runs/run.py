"""The run folder: the contract between training and looking.

``runs/<dataset>/<run>/`` holds ``config.yaml``, ``history.csv``, ``checkpoints/``,
``items.parquet``, ``embeddings.npy``, ``neighbours.npz``, ``metrics.json``,
``projection.parquet`` and ``thumbnails/``. A folder is written under a hidden sibling
(``.<run>.partial``) and renamed when it is whole, so a reader never sees half a run.

Arrays of an ``.npz`` file as memory maps, so that large runs cost little memory.
"""

import functools
import json
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from retrieval.errors import UserError
from retrieval.runs.records import (
    SCHEMA,
    DatasetConfig,
    Evaluation,
    ProtocolResult,
    Provenance,
    RunConfig,
    parse_config,
    parse_metrics,
)
from retrieval.settings.schema import TrainSettings, selected_on

__all__ = ["REQUIRED_FILES", "SCHEMA", "Neighbors", "Run", "map_npz"]

MADE_BY = {
    "config.yaml": "not a run of this workbench; make one with `retrieval train`",
    "items.parquet": "make it with `retrieval embed`",
    "embeddings.npy": "make it with `retrieval embed`",
    "neighbours.npz": "make it with `retrieval evaluate`",
    "metrics.json": "make it with `retrieval evaluate`",
}
REQUIRED_FILES = tuple(MADE_BY)
ITEM_COLUMNS = ("item", "path", "label", "label_name", "split", "role")
PROJECTION_COLUMNS = ["umap_x", "umap_y", "pca_x", "pca_y", "pca_z"]


@dataclass(frozen=True)
class Neighbors:
    """Per-query retrieval results under one protocol; ids are row numbers of ``items.parquet``.

    Attributes:
        protocol: ``leave_one_out`` or ``query_gallery``.
        queries: int32, (q,), the row of each query.
        ids: int32, (q, k), rows of the nearest gallery items, nearest first; -1 pads.
        similarities: float32, (q, k), similarity of each neighbor: higher is nearer (the negative
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

    @property
    def config_text(self) -> str:
        """The text of ``config.yaml``, to be shown as it is."""
        return (self.path / "config.yaml").read_text(encoding="utf-8")

    @functools.cached_property
    def _config(self) -> RunConfig:
        return parse_config(yaml.safe_load(self.config_text), self.path / "config.yaml")

    @property
    def settings(self) -> TrainSettings | None:
        """What the run was trained with; None for imported embeddings.

        Recorded settings that this version does not know are ignored: see ``unknown_settings``.
        """
        return self._config.settings

    @property
    def unknown_settings(self) -> tuple[str, ...]:
        """Names of recorded settings that this version does not know and ignores."""
        return self._config.unknown_settings

    def network_settings(self) -> TrainSettings:
        """Return the settings to build the run's network from.

        Raises:
            UserError: The run holds imported embeddings, or a setting that this version does not
                know and that may have changed the network.
        """
        if self.settings is None:
            raise UserError(f"{self.path} was imported, not trained: there is no network")
        if self.unknown_settings:
            raise UserError(
                f"{self.path}: this version does not know its settings "
                f"{', '.join(self.unknown_settings)}; update the workbench"
            )
        return self.settings

    @property
    def selected_on(self) -> str | None:
        """The split whose figures chose the network (``test`` or ``validation``), or None."""
        return selected_on(self.settings.to_mapping()) if self.settings else None

    @property
    def dataset_config(self) -> DatasetConfig:
        """The data set as recorded: its root folder, loader options and sizes."""
        return self._config.dataset

    @property
    def provenance(self) -> Provenance:
        """What made the run: date, seed, wall times, command, versions and machine."""
        return self._config.provenance

    @functools.cached_property
    def _evaluation(self) -> Evaluation:
        file = self.path / "metrics.json"
        return parse_metrics(json.loads(file.read_text(encoding="utf-8")), file)

    @property
    def primary(self) -> str:
        """Name of the protocol whose results are quoted first."""
        return self._evaluation.primary

    @property
    def results(self) -> dict[str, ProtocolResult]:
        """Protocol name -> results, in the order of ``metrics.json``."""
        return self._evaluation.results

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

    def neighbors(self, protocol: str | None = None) -> Neighbors:
        """Read the per-query arrays of one protocol (default: the primary one).

        Raises:
            UserError: The run was not evaluated under that protocol.
        """
        protocol = protocol or self.primary
        with np.load(self.path / "neighbours.npz") as arrays:
            if f"{protocol}/ids" not in arrays:
                raise UserError(f"{self.path}: no neighbors under protocol {protocol!r}")
            parts = {field: arrays[f"{protocol}/{field}"] for field in Neighbors.FIELDS}
        for array in parts.values():
            array.setflags(write=False)
        return Neighbors(protocol, **parts)

    def result(self, protocol: str | None = None) -> ProtocolResult:
        """Return the results under one protocol.

        Args:
            protocol: Name of the protocol. Defaults to the primary one.

        Raises:
            UserError: The run was not evaluated under that protocol.
        """
        protocol = protocol or self.primary
        if protocol not in self.results:
            raise UserError(f"{self.path}: no results under protocol {protocol!r}")
        return self.results[protocol]

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


LOCAL_HEADER = struct.Struct("<4s5H3L2H")


def map_npz(path: Path) -> dict[str, np.ndarray]:
    """Open every array of an uncompressed ``.npz`` file (``np.savez``) without reading it.

    Args:
        path: The file. It may be replaced while it is mapped, but not changed in place.

    Returns:
        Name -> read-only array; a memory map, except for compressed members, which are read.

    Raises:
        ValueError: A member is no array.
        zipfile.BadZipFile: The file is damaged.
    """
    arrays = {}
    with zipfile.ZipFile(path) as archive, Path(path).open("rb") as file:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if member.compress_type != zipfile.ZIP_STORED:
                with archive.open(member) as stream:
                    arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
                arrays[name].setflags(write=False)
                continue
            arrays[name] = _map_member(path, file, member)
    return arrays


def _map_member(path: Path, file, member: zipfile.ZipInfo) -> np.ndarray:
    # The local header repeats the name and has extra fields of its own length.
    file.seek(member.header_offset)
    fields = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    file.seek(member.header_offset + LOCAL_HEADER.size + fields[-2] + fields[-1])
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"{path}: {member.filename} has an unknown array version {version}")
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError(f"{path}: {member.filename} holds Python objects")
    if 0 in shape:
        return np.zeros(shape, dtype)
    order = "F" if fortran else "C"
    return np.memmap(path, dtype, "r", offset=file.tell(), shape=shape, order=order)

"""The run folder: the contract between training and the app.

``runs/<dataset>/<run>/`` holds ``config.yaml``, ``history.csv``, ``checkpoints/``,
``items.parquet``, ``embeddings.npy``, ``neighbours.npz``, ``metrics.json``,
``projection.parquet`` and ``thumbnails/``, and ``notes.csv`` if there are notes on it. A folder is
written under a hidden name and gets its own when it is complete, so a reader never sees half a run;
see :mod:`retrieval.runs.store`.
"""

import contextlib
import functools
import json
import os
import shlex
import typing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from retrieval.datasets.catalog import COLUMNS
from retrieval.datasets.copies import copies_caveat
from retrieval.errors import UserError
from retrieval.evaluation.relevance import NO_LABELS
from retrieval.projection import COLUMNS as MAP_COLUMNS
from retrieval.projection import FILE as EVOLUTION_FILE
from retrieval.runs import neighbors as neighbor_file
from retrieval.runs.mirrors import away, fetch_when_read
from retrieval.runs.neighbors import Neighbors
from retrieval.runs.npz import map_npz
from retrieval.runs.records import (
    LAST_LINE,
    SCHEMA,
    WHOLE,
    DatasetConfig,
    Evaluation,
    ProtocolResult,
    Provenance,
    RunConfig,
    parse_config,
    parse_metrics,
)
from retrieval.runs.thumbnails import Pack, read_pack
from retrieval.settings.schema import TrainSettings, selected_on

__all__ = ["REQUIRED_FILES", "SCHEMA", "Neighbors", "Run"]

EMBEDDINGS_FILE = "embeddings.npy"  # the one that a run of ranked lists goes without
REQUIRED_FILES = (
    "config.yaml", "items.parquet", EMBEDDINGS_FILE, neighbor_file.FILE, "metrics.json"
)  # fmt: skip
REQUIRED_COLUMNS = ("item", *COLUMNS)  # of items.parquet
NO_EMBEDDINGS = "it was imported as ranked lists, which have no embeddings"
PROJECTION_COLUMNS = [*MAP_COLUMNS]  # of projection.parquet


def remedy(path: Path, name: str) -> str:
    """Say what to do about a required file of a run that is missing or damaged.

    Args:
        path: The run's folder.
        name: One of :data:`REQUIRED_FILES`.
    """
    with contextlib.suppress(Exception):  # a damaged config.yaml may raise anything
        if not Run(path).has_embeddings:
            return "import its ranked lists again with --overwrite"
    if name in (neighbor_file.FILE, "metrics.json"):
        return f"compute it again with `retrieval evaluate {shlex.quote(str(path))}`"
    if name != "config.yaml" and (path / "checkpoints").is_dir():
        return f"compute it again with `retrieval embed {shlex.quote(str(path))}`"
    return "copy the run again from where it is whole, or make it again with --overwrite"


@dataclass(frozen=True)
class Evolution:
    """Maps of the items at several training steps, see :mod:`retrieval.projection`.

    Attributes:
        steps: int32, (s,), training steps in ascending order.
        points: float32, (s, n, 2), positions of the items after each step.
    """

    steps: np.ndarray
    points: np.ndarray


class ChangedRun(UserError):
    """A run was replaced by a newer one, or removed, while it was read."""


Part = typing.TypeVar("Part")


def _generation(path: Path) -> tuple[int, ...]:
    try:
        folder = os.stat(path).st_ino
        metrics = os.stat(path / "metrics.json")
    except FileNotFoundError:
        return ()
    return folder, metrics.st_ino, metrics.st_mtime_ns


@dataclass(frozen=True)
class Run:
    """A finished run on disk. Each part is read on first use and cached.

    A command that changes a run replaces its whole folder. All parts are those of the folder that
    was there when this object was made.

    Attributes:
        path: The run's folder.
        generation: What tells the folder from one that replaced it: the numbers of the folder and
            of its ``metrics.json`` in the file system, and the time when that file was written.
    """

    path: Path
    generation: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "generation", _generation(self.path))

    def has_changed(self) -> bool:
        """Tell whether the folder was replaced or removed since this object was made."""
        return _generation(self.path) != self.generation

    def is_away(self, name: str) -> bool:
        """Tell whether a file of a run at a URL is not on this machine yet.

        Args:
            name: Name of the file. It is fetched when the part that it holds is read.
        """
        return bool(away(self.path, name))

    def _same(self, part: Part) -> Part:
        """Return a part that was just read, if the folder is still the one that was opened.

        Raises:
            ChangedRun: It was replaced since, or removed.
        """
        if self.has_changed():
            raise ChangedRun(f"{self.path} was changed while it was read: open it again")
        return part

    @property
    def name(self) -> str:
        """Name of the run, which is that of its folder."""
        return self.path.name

    @property
    def dataset(self) -> str:
        """Name of the data set, which is that of the parent folder."""
        return self.path.parent.name

    @property
    def config_text(self) -> str:
        """Text of ``config.yaml``, for display."""
        file = self.path / "config.yaml"
        if file.exists() and not file.is_file():  # a pipe would be waited for
            raise UserError(f"{file}: damaged, not a file")
        return self._same(file.read_text(encoding="utf-8"))

    @functools.cached_property
    def _config(self) -> RunConfig:
        file = self.path / "config.yaml"
        text = self.config_text
        if text.partition("\n")[0].endswith(WHOLE) and not text.endswith(LAST_LINE):
            raise UserError(f"{file}: damaged, cut short")
        try:
            content = yaml.safe_load(text)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            words = " ".join(str(error).split())[:150]
            raise UserError(f"{file}: damaged, not valid YAML ({words})") from error
        return parse_config(content, file)

    @property
    def settings(self) -> TrainSettings | None:
        """Training settings of the run; None for imported embeddings.

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
        if not self.has_embeddings:
            raise UserError(f"{self.path}: {NO_EMBEDDINGS}, and no network")
        if self.settings is None:
            raise UserError(f"{self.path} was imported, not trained: there is no network")
        if self.unknown_settings:
            raise UserError(
                f"{self.path}: this version does not know its settings "
                f"{', '.join(self.unknown_settings)}; update the workbench"
            )
        return self.settings

    @property
    def has_embeddings(self) -> bool:
        """Whether the run has embeddings; ranked lists that were imported have none."""
        return self._config.has_embeddings

    @property
    def texts_of(self) -> str:
        """Folder of the run whose images the texts of this one search; empty without texts."""
        return self._config.texts_of

    @property
    def backbone_remarks(self) -> tuple[str, ...]:
        """What was done with pixels that the files of the backbone do not say, one line each."""
        return self._config.backbone_remarks

    @property
    def has_labels(self) -> bool:
        """Whether the items have classes; imported items may have none."""
        return self._config.dataset.has_labels

    def knows_relevant(self, protocol: str | None = None) -> bool:
        """Tell whether it is known which items are relevant to a query under a protocol.

        Args:
            protocol: Name of the protocol. Defaults to the primary one.
        """
        return self.result(protocol).protocol.relevance != NO_LABELS

    @property
    def required_files(self) -> tuple[str, ...]:
        """Names of the files that the run must have."""
        kept = self.has_embeddings
        return tuple(name for name in REQUIRED_FILES if kept or name != EMBEDDINGS_FILE)

    @property
    def selected_on(self) -> str | None:
        """Split whose metrics chose the network (``test`` or ``validation``), or None."""
        return selected_on(self.settings) if self.settings else None

    @property
    def dataset_config(self) -> DatasetConfig:
        """The data set as recorded: root folder, loader options and sizes."""
        return self._config.dataset

    @property
    def provenance(self) -> Provenance:
        """How the run was made: date, seed, wall times, command, versions and machine."""
        return self._config.provenance

    @functools.cached_property
    def _evaluation(self) -> Evaluation:
        file = self.path / "metrics.json"
        return parse_metrics(json.loads(self._same(file.read_text(encoding="utf-8"))), file)

    @property
    def primary(self) -> str:
        """Name of the primary protocol, whose results are quoted first."""
        return self._evaluation.primary

    @property
    def results(self) -> dict[str, ProtocolResult]:
        """Protocol name -> results, in the order of ``metrics.json``."""
        return self._evaluation.results

    @property
    def computed_from(self) -> dict[str, int]:
        """File of the run -> digest of its content when the results were computed."""
        return self._evaluation.computed_from

    @property
    def protocol_titles(self) -> dict[str, str]:
        """Protocol name -> title for display, the primary protocol first."""
        titles = {name: result.title for name, result in self.results.items()}
        return {self.primary: titles[self.primary]} | titles

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

    def caveats(self, protocol: str | None = None) -> list[str]:
        """Say what makes the run's figures meaningless.

        Args:
            protocol: Name of the protocol. Defaults to the primary one.

        Returns:
            One sentence per reason, without a full stop; empty if nothing is known against them.
        """
        copies = self.dataset_config.training_copies
        return self.result(protocol).caveats + ([copies_caveat(copies)] if copies else [])

    @functools.cached_property
    def items(self) -> pd.DataFrame:
        """One row per embedded item, in the order of ``embeddings``."""
        return self._same(pd.read_parquet(self.path / "items.parquet"))

    @functools.cached_property
    def embeddings(self) -> np.ndarray:
        """Embeddings of the items, float32, (n, d): a read-only memory map.

        Raises:
            UserError: The run has none.
        """
        if not self.has_embeddings:
            raise UserError(f"{self.path}: {NO_EMBEDDINGS}")
        fetch_when_read(self.path, EMBEDDINGS_FILE)
        embeddings: np.ndarray = np.load(self.path / EMBEDDINGS_FILE, mmap_mode="r")
        return self._same(embeddings)

    @functools.cached_property
    def history(self) -> pd.DataFrame:
        """``history.csv``, all numbers; an empty frame if it is missing or damaged."""
        try:
            history = pd.read_csv(self.path / "history.csv", float_precision="round_trip")
            history = history.apply(pd.to_numeric, errors="coerce")
        except Exception:  # a damaged file may raise anything
            history = pd.DataFrame()
        return self._same(history if "step" in history else pd.DataFrame())

    @functools.cached_property
    def projection(self) -> pd.DataFrame | None:
        """Columns ``umap_x, umap_y, pca_x, pca_y, pca_z`` per item; None if missing or damaged."""
        try:
            points = pd.read_parquet(self.path / "projection.parquet", columns=PROJECTION_COLUMNS)
            points = points.astype(np.float32)
        except Exception:  # a damaged file may raise anything
            points = None
        return self._same(points if points is not None and len(points) == len(self.items) else None)

    def evolution(self) -> Evolution | None:
        """Read the maps of the items at several training steps.

        Returns:
            The maps; None if the run has none or their file is damaged.
        """
        try:
            with np.load(self.path / EVOLUTION_FILE) as arrays:
                steps, points = arrays["steps"], arrays["points"].astype(np.float32)
        except Exception:  # a damaged file may raise anything
            return self._same(None)
        fits = len(steps) > 0 and points.shape == (len(steps), len(self.items), 2)
        return self._same(Evolution(steps, points) if fits else None)

    @functools.cached_property
    def _neighbor_arrays(self) -> dict[str, np.ndarray]:
        return self._same(map_npz(self.path / neighbor_file.FILE))

    def neighbors(self, protocol: str | None = None) -> Neighbors:
        """Return the neighbors of every query under one protocol, as read-only memory maps.

        Args:
            protocol: Name of the protocol. Defaults to the primary one.

        Raises:
            UserError: The run was not evaluated under that protocol.
        """
        return neighbor_file.neighbors_in(
            self._neighbor_arrays, protocol or self.primary, self.path / neighbor_file.FILE
        )

    @functools.cached_property
    def _thumbnails(self) -> Pack | None:
        fetch_when_read(self.path, "thumbnails/")
        pack = self._same(read_pack(self.path / "thumbnails"))
        return pack if pack is not None and len(pack) == len(self.items) else None

    def thumbnail(self, row: int) -> bytes | None:
        """Return the encoded (WebP) 128 px thumbnail of one item, or None if there is none."""
        return (self._thumbnails and self._thumbnails.image(row)) or None

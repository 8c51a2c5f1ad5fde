"""Dataclasses of the records in a run's ``config.yaml`` and ``metrics.json``.

This is the only module that knows the keys of the two files. Parsing checks every entry that pages
and reports rely on, so a damaged file is refused with a one-line reason when the run is opened.
"""

import dataclasses
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrieval.datasets.catalog import CONTRACT_COLUMNS, Catalog
from retrieval.errors import UserError, counted
from retrieval.evaluation.caveats import caveats
from retrieval.evaluation.protocol import Protocol
from retrieval.losses import former_defaults
from retrieval.settings.schema import TrainSettings

# Schema 2: some losses have other defaults, see `LossEntry.former`.
SCHEMA = 2
# Of config.yaml: YAML that is cut at the end of a line is still valid YAML.
WHOLE = "  # this file is whole if its last line is three dots"
FIRST_LINE = f"schema: {SCHEMA}{WHOLE}\n"
LAST_LINE = "...\n"
HAS_EMBEDDINGS = "has_embeddings"  # of config.yaml; only written where it is false
BACKBONE_REMARKS = "backbone_remarks"  # of config.yaml; only written where there are some
TEXTS_OF = "texts_of"  # of config.yaml; only written where texts are items
PLACEHOLDER = "placeholder"  # an option of a data set's loader
OLD_PLACEHOLDER = "stand_in"  # its name in version 0.1.0
KINDS: dict[str, type | tuple[type, ...]] = {
    "true or false": bool,
    "a whole number": int,
    "a number": (int, float),
    "text": str,
    "a mapping": dict,
    "a list": list,
}
KIND_OF_TYPE = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def metadata_columns(items: pd.DataFrame) -> list[str]:
    """Name the columns of a run's items that a data set or its owner brought along.

    Args:
        items: The content of ``items.parquet``.

    Returns:
        Every column but those that each run has a meaning for, such as ``path`` and ``label``, in
        the order of the table: prices, dates, cameras, whatever there is.
    """
    return [str(name) for name in items.columns if name not in CONTRACT_COLUMNS]


@dataclass(frozen=True)
class Estimate:
    """A metric's value with its 95% interval.

    Attributes:
        value: The value; NaN where it does not exist (a mean over no query, or a metric that the
            run was not evaluated for).
        low: Lower end of the interval. Defaults to NaN: no interval.
        high: Upper end of the interval. Defaults to NaN: no interval.
    """

    value: float
    low: float = np.nan
    high: float = np.nan


MISSING_ESTIMATE = Estimate(np.nan)


@dataclass(frozen=True)
class ProtocolResult:
    """The results of a run under one protocol.

    Attributes:
        protocol: How the numbers were made, with the number of queries, gallery items and classes.
        title: The protocol's name as shown to people, e.g. ``leave-one-out`` or ``cross-store``.
        dataset: Name of the data set.
        split: Split that was evaluated; ``test``.
        metrics: Metric name -> value and interval, e.g. ``recall@1``, ``map@r``, ``nmi``; without
            those that do not exist, such as Recall@K where no query has a positive.
        geometry: Name -> value of the geometry card, see :mod:`retrieval.evaluation.geometry`;
            NaN where a figure does not exist.
    """

    protocol: Protocol
    title: str
    dataset: str
    split: str
    metrics: dict[str, Estimate]
    geometry: dict[str, float] = field(default_factory=dict)

    def metric(self, name: str) -> Estimate:
        """Return a metric by name; all NaN if the run was not evaluated for it."""
        return self.metrics.get(name, MISSING_ESTIMATE)

    @property
    def caveats(self) -> list[str]:
        """What makes the figures meaningless; see :mod:`retrieval.evaluation.caveats`.

        :meth:`retrieval.runs.run.Run.caveats` adds what is known about the data set.
        """
        return caveats(self.protocol, self.geometry)

    @property
    def n_excluded(self) -> int:
        """Number of queries left out of every mean: the gallery holds no item of their class.

        It is 0 where the protocol scores such queries zero.
        """
        return 0 if self.protocol.no_positive == "zero" else self.protocol.n_without_positive

    @property
    def n_scored(self) -> int:
        """Number of queries that the means are over."""
        return self.protocol.n_queries - self.n_excluded


@dataclass(frozen=True)
class Evaluation:
    """The content of ``metrics.json``.

    Attributes:
        primary: Name of the protocol whose results are quoted first.
        results: Protocol name -> results, in the order of the file.
        computed_from: File of the run -> digest of its content when the results were computed, see
            :func:`retrieval.files.digest`; empty for a run of version 0.1.0.
    """

    primary: str
    results: dict[str, ProtocolResult]
    computed_from: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetConfig:
    """The data set of a run, as its ``config.yaml`` records it.

    Attributes:
        name: Name of the data set.
        root: Folder that the items' paths are relative to; None if it was not recorded.
        options: Options of the data set's loader.
        n_train: Number of training items; None if it was not recorded.
        n_test: Number of test items; None if it was not recorded.
        query_gallery_title: Title of the query -> gallery protocol.
        items: Fingerprint of every item's path, class, split and role; None if it was not recorded,
            as in version 0.1.0.
        remarks: What was noticed when the data set was loaded, e.g. what was left out.
        linked_roots: Folders outside of the root that its own links lead to, see
            :mod:`retrieval.datasets.containment`. Defaults to none.
        training_copies: Number of test images whose file is that of a training image, see
            :mod:`retrieval.datasets.copies`. Defaults to 0.
        skipped: Path -> reason of images that the run goes without, as they could not be read.
            Defaults to none.
        kind: What read somebody's own data: ``folder`` or ``csv``, a list. Defaults to None: it is
            a published data set, was imported, or was not recorded.
        has_labels: Whether the items have classes; without them each counts as its own. Defaults
            to True.
    """

    name: str
    root: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)
    n_train: int | None = None
    n_test: int | None = None
    query_gallery_title: str = Catalog.query_gallery_title
    items: str | None = None
    remarks: tuple[str, ...] = ()
    linked_roots: tuple[str, ...] = ()
    training_copies: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    kind: str | None = None
    has_labels: bool = True

    @property
    def is_placeholder(self) -> bool:
        """Whether the run used a synthetic placeholder instead of the published data set."""
        return bool(self.options.get(PLACEHOLDER))

    @property
    def skipped_note(self) -> str:
        """How many images the run goes without, for people to read; empty if none."""
        n = len(self.skipped)
        return counted(n, "unreadable image left out", "unreadable images left out") if n else ""

    @property
    def loader_options(self) -> dict[str, Any]:
        """The options of the data set's loader without the placeholder's."""
        return {k: v for k, v in self.options.items() if k != PLACEHOLDER}

    def to_mapping(self) -> dict[str, Any]:
        """Return the entry of ``config.yaml``."""
        return dataclasses.asdict(self) | {
            "root": self.root and str(self.root),
            "linked_roots": list(self.linked_roots),
        }


@dataclass(frozen=True)
class Provenance:
    """What made a run, as its ``config.yaml`` records it.

    Attributes:
        created: When it was made, UTC, ISO 8601; empty if it was not recorded.
        seed: The run's seed; None if it was not recorded.
        seconds: Stage -> wall time in seconds.
        command: Command line that made the run.
        git_revision: Commit of this package's checkout, followed by ``+`` if files had changed;
            None outside a git checkout.
        versions: Package -> version that the run was made with.
        machine: Operating system, architecture and number of cores.
        device: What it was computed on: GPU or CPU, memory and precision; empty if it was not
            recorded.
    """

    created: str = ""
    seed: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    command: str = ""
    git_revision: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    machine: str = ""
    device: str = ""

    @property
    def total_seconds(self) -> float | None:
        """Wall time of all stages; None if none was recorded."""
        return float(sum(self.seconds.values())) if self.seconds else None


@dataclass(frozen=True)
class RunConfig:
    """The content of ``config.yaml``.

    Attributes:
        settings: What the run was trained with; None for imported embeddings.
        unknown_settings: Names of recorded settings that this version does not know and ignores.
        dataset: The data set.
        provenance: What made the run.
        has_embeddings: Whether the run has embeddings; False for imported ranked lists. Defaults to
            True.
        texts_of: Folder of the run whose images the texts of this one search; empty if its items
            are images only. Defaults to empty.
        backbone_remarks: What was done with pixels that the files of the backbone do not say.
            Defaults to nothing.
    """

    settings: TrainSettings | None
    unknown_settings: tuple[str, ...]
    dataset: DatasetConfig
    provenance: Provenance
    has_embeddings: bool = True
    texts_of: str = ""
    backbone_remarks: tuple[str, ...] = ()


def check_schema(content: object, where: Path | str) -> dict[str, Any]:
    """Check that a file holds a mapping whose schema this version can read.

    Args:
        content: The parsed content of ``config.yaml`` or ``metrics.json``.
        where: The file, for messages.

    Returns:
        The content.

    Raises:
        UserError: It is not a mapping, or its schema is missing or newer.
    """
    if not isinstance(content, dict):
        raise UserError(f"{where}: damaged (not a mapping)")
    schema = _required(where, content, "schema", "a whole number")
    if schema > SCHEMA:
        raise UserError(
            f"{where}: schema {schema} is newer than this version's {SCHEMA}; update the workbench"
        )
    return content


def parse_config(content: object, where: Path | str) -> RunConfig:
    """Parse and check the content of ``config.yaml``.

    Args:
        content: What the YAML parser returned.
        where: The file, for messages.

    Returns:
        The typed content. Recorded settings that this version does not know are named but ignored.

    Raises:
        UserError: An entry is missing or of the wrong type, or a setting has an invalid value.
    """
    config = check_schema(content, where)
    settings, unknown = _parse_settings(config, where)
    return RunConfig(
        settings,
        unknown,
        _parse_dataset(config, where),
        _parse_provenance(config, where),
        _optional(where, config, HAS_EMBEDDINGS, "true or false") is not False,
        _optional(where, config, TEXTS_OF, "text") or "",
        tuple(map(str, _optional(where, config, BACKBONE_REMARKS, "a list") or ())),
    )


def _parse_settings(
    config: Mapping[str, Any], where: Path | str
) -> tuple[TrainSettings | None, tuple[str, ...]]:
    recorded = _optional(where, config, "settings", "a mapping")
    if not recorded:
        return None, ()
    if not all(isinstance(name, str) for name in recorded):
        raise UserError(f"{where}: names of settings must be text")
    _optional(where, recorded, "loss", "text")
    _optional(where, recorded, "seed", "a whole number")
    if config["schema"] < 2 and (former := former_defaults(recorded.get("loss"))):
        recorded = recorded | {"loss_options": former | (recorded.get("loss_options") or {})}
    known = TrainSettings.model_fields
    unknown = tuple(name for name in recorded if name not in known)
    try:
        settings = TrainSettings.from_mapping({k: v for k, v in recorded.items() if k in known})
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return settings, unknown


def _parse_dataset(config: Mapping[str, Any], where: Path | str) -> DatasetConfig:
    recorded = _optional(where, config, "dataset", "a mapping") or {}
    root = _optional(where, recorded, "root", "text")
    options = dict(_optional(where, recorded, "options", "a mapping") or {})
    remarks = _optional(where, recorded, "remarks", "a list")
    if OLD_PLACEHOLDER in options:
        options[PLACEHOLDER] = options.pop(OLD_PLACEHOLDER)
    return DatasetConfig(
        name=_optional(where, recorded, "name", "text") or "",
        root=Path(root) if root else None,
        options=options,
        n_train=_optional(where, recorded, "n_train", "a whole number"),
        n_test=_optional(where, recorded, "n_test", "a whole number"),
        query_gallery_title=_optional(where, recorded, "query_gallery_title", "text")
        or DatasetConfig.query_gallery_title,
        items=_optional(where, recorded, "items", "text"),
        remarks=tuple(map(str, remarks or ())),
        linked_roots=_parse_links(_optional(where, recorded, "linked_roots", "a list"), where),
        training_copies=_optional(where, recorded, "training_copies", "a whole number") or 0,
        skipped=_parse_skipped(_optional(where, recorded, "skipped", "a mapping"), where),
        kind=_optional(where, recorded, "kind", "text") or None,
        has_labels=_optional(where, recorded, "has_labels", "true or false") is not False,
    )


def _parse_links(recorded: Sequence[object] | None, where: Path | str) -> tuple[str, ...]:
    links = tuple(link for link in recorded or () if isinstance(link, str))
    if len(links) < len(recorded or ()):
        raise UserError(f"{where}: linked_roots must be paths of folders")
    return links


def _parse_skipped(recorded: Mapping[Any, Any] | None, where: Path | str) -> dict[str, str]:
    for path, reason in (recorded or {}).items():
        if not isinstance(path, str) or not isinstance(reason, str):
            raise UserError(f"{where}: skipped must name a path and a reason, not {path!r}")
    return dict(recorded or {})


def _parse_provenance(config: Mapping[str, Any], where: Path | str) -> Provenance:
    recorded = _optional(where, config, "provenance", "a mapping") or {}
    seconds = recorded.get("seconds")
    if not isinstance(seconds, dict):  # one number for everything
        seconds = {"total": seconds} if seconds is not None else {}
    return Provenance(
        created=str(recorded.get("created") or ""),  # YAML reads an unquoted date as a date
        seed=_optional(where, recorded, "seed", "a whole number"),
        seconds={
            str(stage): float(_required(f"{where}, seconds", seconds, stage, "a number"))
            for stage in seconds
        },
        command=str(recorded.get("command") or ""),
        git_revision=_optional(where, recorded, "git_revision", "text"),
        versions=_optional(where, recorded, "versions", "a mapping") or {},
        machine=str(recorded.get("machine") or ""),
        device=str(recorded.get("device") or ""),
    )


def parse_metrics(content: object, where: Path | str) -> Evaluation:
    """Parse and check the content of ``metrics.json``.

    Args:
        content: What the JSON parser returned.
        where: The file, for messages.

    Returns:
        The typed content.

    Raises:
        UserError: An entry is missing or of the wrong type, or there are no results under the
            primary protocol.
    """
    metrics = check_schema(content, where)
    primary = _required(where, metrics, "primary", "text")
    entries = _required(where, metrics, "results", "a list")
    results = [_parse_result(entry, f"{where}, result {n}") for n, entry in enumerate(entries, 1)]
    by_name = {result.protocol.name: result for result in results}
    if primary not in by_name:
        raise UserError(f"{where}: no results under protocol {primary!r}")
    digests = _optional(where, metrics, "computed_from", "a mapping") or {}
    computed_from = {
        str(name): _required(f"{where}, computed_from", digests, name, "a whole number")
        for name in digests
    }
    return Evaluation(primary, by_name, computed_from)


def _parse_result(entry: object, where: str) -> ProtocolResult:
    if not isinstance(entry, dict):
        raise UserError(f"{where}: damaged (not a mapping)")
    facts = _required(where, entry, "protocol", "a mapping")
    if "normalised" in facts:  # how 0.1.0 spelled it
        facts = {**facts, "normalized": facts["normalised"]}
    values = _required(where, entry, "metrics", "a mapping")
    geometry = _optional(where, entry, "geometry", "a mapping") or {}
    metrics = {
        name: _parse_estimate(_optional(where, values, name, "a mapping"), f"{where}, {name}")
        for name in values
    }
    return ProtocolResult(
        protocol=_parse_protocol(facts, where),
        title=_required(where, facts, "title", "text"),
        dataset=_optional(where, facts, "dataset", "text") or "",
        split=_optional(where, facts, "split", "text") or "test",
        metrics={name: found for name, found in metrics.items() if not np.isnan(found.value)},
        geometry={
            name: _number(_optional(f"{where}, geometry", geometry, name, "a number"))
            for name in geometry
        },
    )


def _parse_protocol(facts: Mapping[str, Any], where: str) -> Protocol:
    values = {}
    for each in dataclasses.fields(Protocol):
        kind = KIND_OF_TYPE[each.type]  # type: ignore[index]  # no annotation of it is a string
        has_default = each.default is not dataclasses.MISSING
        if not has_default or each.name in facts:
            values[each.name] = _required(where, facts, each.name, kind)
    return Protocol(**values)


def _parse_estimate(entry: Mapping[str, Any] | None, where: str) -> Estimate:
    sides = (_optional(where, entry or {}, side, "a number") for side in ("value", "low", "high"))
    return Estimate(*map(_number, sides))


def _number(value: float | None) -> float:
    """Return a number of ``metrics.json``, where one that does not exist is null."""
    return np.nan if value is None else float(value)


def _optional(where: Path | str, holder: Mapping[str, Any], key: str, kind: str) -> Any:
    """Return ``holder[key]``, or None if it is missing or null, after checking its kind."""
    value = holder.get(key)
    if value is None:
        return None
    is_flag = isinstance(value, bool)  # bool is a subclass of int
    if not isinstance(value, KINDS[kind]) or is_flag != (kind == "true or false"):
        raise UserError(f"{where}: {key} must be {kind}, not {reprlib.repr(value)}")
    return value


def _required(where: Path | str, holder: Mapping[str, Any], key: str, kind: str) -> Any:
    """Return ``holder[key]`` after checking that it is there and of its kind."""
    value = _optional(where, holder, key, kind)
    if value is None:
        raise UserError(f"{where}: {key} is missing")
    return value

"""Write the files of a run folder."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from retrieval.datasets.catalog import COLUMNS, OPTIONAL_COLUMNS, Catalog
from retrieval.errors import UserError
from retrieval.files import atomic_path, fingerprint, write_text
from retrieval.runs.provenance import collect_provenance
from retrieval.runs.records import BACKBONE_REMARKS, FIRST_LINE, LAST_LINE, DatasetConfig
from retrieval.settings.resolve import backbone_remarks
from retrieval.settings.schema import TrainSettings, selected_on

PART = 65_536  # rows that are checked at a time


def run_config(
    settings: TrainSettings | None,
    catalog: Catalog,
    seconds: Mapping[str, float],
    *,
    device: str = "",
) -> dict[str, Any]:
    """Return the content of ``config.yaml``, except for the schema.

    Args:
        settings: Training settings; None for imported embeddings.
        catalog: Data set of the run.
        seconds: Stage -> wall time in seconds.
        device: What the run was computed on. Defaults to "", not known.
    """
    seed = settings.seed if settings else 0
    remarks = list(backbone_remarks(settings)) if settings else []
    return {
        "settings": settings and settings.to_mapping(),
        "selected_on": settings and selected_on(settings),
        "dataset": describe_dataset(catalog).to_mapping(),
        "provenance": asdict(collect_provenance(seed, seconds, device)),
        **({BACKBONE_REMARKS: remarks} if remarks else {}),
    }


def describe_dataset(catalog: Catalog) -> DatasetConfig:
    """Return what ``config.yaml`` records about a data set."""
    splits = catalog.items["split"].value_counts()
    return DatasetConfig(
        name=catalog.name,
        root=catalog.root.resolve(),
        options=dict(catalog.options),
        n_train=int(splits.get("train", 0)),
        n_test=int(splits.get("test", 0)),
        query_gallery_title=catalog.query_gallery_title,
        items=fingerprint(catalog.items[["path", "label_name", "split", "role"]].to_csv()),
        remarks=catalog.remarks,
        linked_roots=catalog.linked_roots,
        training_copies=catalog.training_copies,
        skipped=dict(catalog.skipped),
        kind=catalog.kind or None,
        has_labels=catalog.has_labels,
    )


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write ``config.yaml`` atomically, with the schema version and how the file ends first.

    Args:
        folder: Folder of the run to write to.
        config: See :func:`run_config`; imported runs add their files.
    """
    write_text(
        folder / "config.yaml",
        FIRST_LINE + yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True) + LAST_LINE,
    )


def write_settings(folder: Path, settings: TrainSettings) -> None:
    """Replace the settings in the ``config.yaml`` of a run and keep the rest."""
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    config.pop("schema", None)
    write_config(folder, config | {"settings": settings.to_mapping()})


def write_embeddings(folder: Path, embeddings: np.ndarray, rows: pd.DataFrame) -> None:
    """Write ``embeddings.npy`` and ``items.parquet``.

    Args:
        folder: Folder of the run to write to.
        embeddings: (n, d); written as float32.
        rows: The n rows of the catalog that were embedded, in the same order.

    Raises:
        UserError: There is not one embedding per row, or an embedding is not finite; the message
            names the first such item.
    """
    if len(embeddings) != len(rows):
        raise UserError(f"{folder}: {len(embeddings)} embeddings for {len(rows)} items")
    row = first_not_finite(embeddings)
    if row is not None:
        raise UserError(f"embedding of item {row} ({rows['path'].iloc[row]}) is not finite")
    write_items(folder, rows)
    with atomic_path(folder / "embeddings.npy") as temporary:
        np.save(temporary, np.ascontiguousarray(embeddings, np.float32))


def first_not_finite(embeddings: np.ndarray) -> int | None:
    """Return the first row of embeddings (n, d) that is not finite, or None; in parts."""
    for start in range(0, len(embeddings), PART):
        bad = ~np.isfinite(embeddings[start : start + PART]).all(axis=1)
        if bad.any():
            return start + int(np.argmax(bad))
    return None


def write_items(folder: Path, rows: pd.DataFrame) -> None:
    """Write ``items.parquet``.

    Args:
        folder: Folder of the run to write to.
        rows: The rows of the catalog that are the items of the run.
    """
    known = [c for c in (*COLUMNS, *OPTIONAL_COLUMNS) if c in rows]
    items = rows[[*known, *(c for c in rows if c not in known)]].copy()
    items.insert(0, "item", rows.index.to_numpy())
    with atomic_path(folder / "items.parquet") as temporary:
        items.reset_index(drop=True).to_parquet(temporary)

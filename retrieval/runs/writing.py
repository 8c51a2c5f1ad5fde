"""Write the files of a run folder."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrieval.datasets.catalog import COLUMNS, OPTIONAL_COLUMNS, Catalog
from retrieval.errors import UserError
from retrieval.files import atomic_path
from retrieval.runs.provenance import collect_provenance
from retrieval.settings.schema import TrainSettings, selected_on


def run_config(
    settings: TrainSettings | None, catalog: Catalog, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return the content of ``config.yaml``, except for the schema.

    Args:
        settings: Training settings; None for imported embeddings.
        catalog: The data set.
        seconds: Stage -> wall time in seconds.
    """
    return {
        "settings": settings and settings.to_mapping(),
        "selected_on": settings and selected_on(settings),
        "dataset": dataset_config(catalog),
        "provenance": asdict(collect_provenance(settings.seed if settings else 0, seconds)),
    }


def dataset_config(catalog: Catalog) -> dict[str, Any]:
    """Return what ``config.yaml`` records about the data set."""
    splits = catalog.items["split"].value_counts()
    return {
        "name": catalog.name,
        "root": str(catalog.root.resolve()),
        "options": catalog.options,
        "n_train": int(splits.get("train", 0)),
        "n_test": int(splits.get("test", 0)),
        "query_gallery_title": catalog.query_gallery_title,
    }


def write_embeddings(folder: Path, embeddings: np.ndarray, rows: pd.DataFrame) -> None:
    """Write ``embeddings.npy`` and ``items.parquet``.

    Args:
        folder: The run's folder.
        embeddings: (n, d); written as float32.
        rows: The n rows of the catalog that were embedded, in the same order.

    Raises:
        UserError: There is not one embedding per row, or an embedding is not finite; the message
            names the first such item.
    """
    if len(embeddings) != len(rows):
        raise UserError(f"{folder}: {len(embeddings)} embeddings for {len(rows)} items")
    bad = ~np.isfinite(embeddings).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(f"embedding of item {row} ({rows['path'].iloc[row]}) is not finite")
    items = rows[[c for c in (*COLUMNS, *OPTIONAL_COLUMNS) if c in rows]].copy()
    items.insert(0, "item", rows.index.to_numpy())
    with atomic_path(folder / "items.parquet") as temporary:
        items.reset_index(drop=True).to_parquet(temporary)
    with atomic_path(folder / "embeddings.npy") as temporary:
        np.save(temporary, np.ascontiguousarray(embeddings, np.float32))

"""Write the files of a run folder."""

from pathlib import Path

import numpy as np
import pandas as pd

from retrieval.datasets.catalog import COLUMNS, OPTIONAL_COLUMNS, Catalog
from retrieval.errors import UserError
from retrieval.files import atomic_path
from retrieval.runs.provenance import provenance
from retrieval.settings.schema import TrainSettings, selected_on


def run_config(settings: TrainSettings | None, catalog: Catalog, seconds: dict[str, float]) -> dict:
    """Return the content of ``config.yaml`` (without the schema)."""
    return {
        "settings": settings and settings.to_mapping(),
        "selected_on": settings and selected_on(settings.to_mapping()),
        "dataset": dataset_config(catalog),
        "provenance": provenance(settings.seed if settings else 0, seconds),
    }


def dataset_config(catalog: Catalog) -> dict:
    """Return what ``config.yaml`` says about the data set."""
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
    """Write ``embeddings.npy`` (n, d) float32 and ``items.parquet`` of the same n rows.

    Raises:
        UserError: Not one embedding per row, or one is not finite; names the first such item.
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

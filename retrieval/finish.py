"""From embeddings to a finished run folder: metrics, neighbours, projection, thumbnails.

One exact neighbour graph per protocol serves all of them. No TensorFlow here.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from tqdm.auto import tqdm

from retrieval.datasets.catalog import Catalog
from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.evolution import FILE, make_evolution
from retrieval.files import atomic_path, write_json
from retrieval.projection import project
from retrieval.provenance import provenance
from retrieval.runs import SCHEMA, Neighbours, Run, open_run
from retrieval.settings import TrainSettings
from retrieval.thumbnails import write_thumbnails

ITEM_COLUMNS = ("path", "label", "label_name", "split", "role", "super_label", "super_name")
NEIGHBOURS = 64
KS = (1, 2, 4, 8, 10, 20, 30, 40, 50, 100, 1000)


def run_config(settings: TrainSettings | None, catalog: Catalog, seconds: dict[str, float]) -> dict:
    """Return the content of ``config.yaml`` (without the schema)."""
    return {
        "settings": settings and settings.to_mapping(),
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
    items = rows[[c for c in ITEM_COLUMNS if c in rows]].copy()
    items.insert(0, "item", rows.index.to_numpy())
    with atomic_path(folder / "items.parquet") as temporary:
        items.reset_index(drop=True).to_parquet(temporary)
    with atomic_path(folder / "embeddings.npy") as temporary:
        np.save(temporary, np.ascontiguousarray(embeddings, np.float32))


def finish(folder: Path, catalog: Catalog, distance: str, *, progress: bool = True) -> None:
    """Evaluate a folder that has embeddings; make its projection, thumbnails and evolution."""
    items = pd.read_parquet(folder / "items.parquet")
    evaluate_folder(folder, items, catalog, distance)
    write_thumbnails(folder / "thumbnails", catalog.absolute_paths(items), progress=progress)
    (folder / FILE).unlink(missing_ok=True)  # aligned with the map before this one
    try:
        make_evolution(folder, distance, progress=progress)
    except Exception as error:  # whatever it is, the run is whole without these maps
        reason = " ".join(str(error).split()) or type(error).__name__
        tqdm.write(f"{folder}: no maps of training steps: {reason}")


def evaluate_folder(folder: Path, items: pd.DataFrame, catalog: Catalog, distance: str) -> None:
    """Write ``metrics.json``, ``neighbours.npz`` and ``projection.parquet``.

    Leave-one-out over all items is always computed (the projection needs it); query -> gallery is
    added, and is then the primary protocol, where items have roles.

    Args:
        folder: Holds ``embeddings.npy``.
        items: Its items, in the order of the embeddings.
        catalog: Names the data set and its query -> gallery protocol.
        distance: Distance of the evaluation.
    """
    embeddings = np.load(folder / "embeddings.npy", mmap_mode="r")
    labels, roles = items["label"].to_numpy(), items["role"].to_numpy(dtype=object)
    results = {
        "leave_one_out": evaluate(
            embeddings, labels, ks=KS, distance=distance, k_neighbours=NEIGHBOURS
        )
    }
    if (roles != "both").any():
        results["query_gallery"] = evaluate(
            embeddings,
            labels,
            roles,
            ks=KS,
            distance=distance,
            k_neighbours=NEIGHBOURS,
            reuse=results["leave_one_out"],
        )
    arrays = {
        f"{name}/{field}": getattr(result, "neighbours" if field == "ids" else field)
        for name, result in results.items()
        for field in Neighbours.FIELDS
    }
    with atomic_path(folder / "neighbours.npz") as temporary:
        np.savez(temporary, **arrays)
    entries = [
        _entry(result, catalog, title)
        for result, title in zip(
            results.values(), ("leave-one-out", catalog.query_gallery_title), strict=False
        )
    ]
    graph = results["leave_one_out"]
    with atomic_path(folder / "projection.parquet") as temporary:
        layout = project(embeddings, graph.neighbours, graph.similarities, distance=distance)
        layout.to_parquet(temporary)
    write_json(
        folder / "metrics.json",
        {"schema": SCHEMA, "primary": list(results)[-1], "results": entries},
    )


def _entry(result: object, catalog: Catalog, title: str) -> dict:
    entry = result.to_dict()
    entry["protocol"] |= {"dataset": catalog.name, "split": "test", "title": title}
    return entry


def evaluate_run(path: Path | str, *, distance: str | None = None, progress: bool = True) -> Run:
    """Evaluate (again) a run folder with embeddings; everything derived is rewritten.

    Args:
        path: The run's folder.
        distance: Distance to evaluate with; default: the run's own.
        progress: Show progress bars.

    Returns:
        The run, opened.

    Raises:
        UserError: The folder has no embeddings.
    """
    path = Path(path)
    if not (path / "embeddings.npy").exists():
        raise UserError(f"{path}: no embeddings; make them with `retrieval embed {path}`")
    config = yaml.safe_load((path / "config.yaml").read_text())
    settings, dataset = config["settings"] or {}, config["dataset"]
    items = pd.read_parquet(path / "items.parquet")
    catalog = Catalog(
        dataset["name"],
        Path(dataset["root"]),
        items,
        dataset["query_gallery_title"],
        dataset["options"],
    )
    finish(path, catalog, distance or settings.get("distance", "cosine"), progress=progress)
    return open_run(path)

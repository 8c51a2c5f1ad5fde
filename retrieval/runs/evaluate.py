"""From embeddings to a finished run folder: metrics, neighbors, projection, thumbnails.

One exact neighbor graph per protocol serves all of them. No TensorFlow here.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from retrieval.datasets.catalog import Catalog, crop_boxes
from retrieval.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.evaluation.geometry import COLLAPSED, collapse_line, relative_spread
from retrieval.files import atomic_path, write_json
from retrieval.projection import FILE, make_evolution, project
from retrieval.runs.checks import reading
from retrieval.runs.neighbors import write_neighbors
from retrieval.runs.records import SCHEMA
from retrieval.runs.run import REMEDIES, Run
from retrieval.runs.store import open_run
from retrieval.runs.thumbnails import write_thumbnails

NEIGHBORS = 64
KS = (1, 2, 4, 8, 10, 20, 30, 40, 50, 100, 1000)


@dataclass(frozen=True)
class Scoring:
    """What of the evaluation may be asked for, as in :func:`retrieval.evaluation.evaluate`.

    Attributes:
        no_positive: Queries without a possible hit: ``exclude`` or ``zero``.
        kmeans: Start of the k-means behind NMI.
        seed: Of k-means, the bootstrap and the samples.
        ks: More K of Recall@K, beside the usual ones.
    """

    no_positive: str = "exclude"
    kmeans: str = "greedy k-means++"
    seed: int = 0
    ks: tuple[int, ...] = ()


DEFAULT = Scoring()


def finish(
    folder: Path,
    catalog: Catalog,
    distance: str,
    *,
    scoring: Scoring = DEFAULT,
    progress: bool = True,
) -> None:
    """Evaluate a folder that has embeddings; make its projection, thumbnails and evolution."""
    items = pd.read_parquet(folder / "items.parquet")
    spread = evaluate_folder(folder, items, catalog, distance, scoring)
    paths, boxes = catalog.absolute_paths(items), crop_boxes(items)
    write_thumbnails(folder / "thumbnails", paths, boxes, progress=progress)
    (folder / FILE).unlink(missing_ok=True)  # aligned with the map before this one
    try:
        make_evolution(folder, distance, progress=progress)
    except Exception as error:  # whatever it is, the run is whole without these maps
        reason = " ".join(str(error).split()) or type(error).__name__
        tqdm.write(f"{folder}: no maps of training steps: {reason}")
    if spread < COLLAPSED:
        name = folder.name.removeprefix(".").removesuffix(".partial")
        tqdm.write(f"{folder.parent / name}: {collapse_line(spread)}")


def evaluate_folder(
    folder: Path,
    items: pd.DataFrame,
    catalog: Catalog,
    distance: str,
    scoring: Scoring = DEFAULT,
) -> float:
    """Write ``metrics.json``, ``neighbours.npz`` and ``projection.parquet``.

    Leave-one-out over all items is always computed (the projection needs it); query -> gallery is
    added, and is then the primary protocol, where items have roles.

    Args:
        folder: Holds ``embeddings.npy``.
        items: Its items, in the order of the embeddings.
        catalog: Names the data set and its query -> gallery protocol.
        distance: Distance of the evaluation.
        scoring: The rest of what the evaluation leaves open.

    Returns:
        The relative spread of the embeddings: see :mod:`retrieval.evaluation.geometry`.
    """
    embeddings = np.load(folder / "embeddings.npy", mmap_mode="r")
    labels, roles = items["label"].to_numpy(), items["role"].to_numpy(dtype=object)
    options = asdict(scoring) | {
        "ks": (*KS, *scoring.ks),
        "distance": distance,
        "k_neighbors": NEIGHBORS,
    }
    results = {"leave_one_out": evaluate(embeddings, labels, **options)}
    if (roles != "both").any():
        results["query_gallery"] = evaluate(
            embeddings, labels, roles, reuse=results["leave_one_out"], **options
        )
    write_neighbors(folder, results)
    spread = relative_spread(embeddings, distance)
    entries = [
        _entry(result, catalog, title, spread)
        for result, title in zip(
            results.values(), ("leave-one-out", catalog.query_gallery_title), strict=False
        )
    ]
    graph = results["leave_one_out"]
    with atomic_path(folder / "projection.parquet") as temporary:
        layout = project(embeddings, graph.neighbors, graph.similarities, distance=distance)
        layout.to_parquet(temporary)
    write_json(
        folder / "metrics.json",
        {"schema": SCHEMA, "primary": list(results)[-1], "results": entries},
    )
    return spread


def _entry(result: object, catalog: Catalog, title: str, spread: float) -> dict:
    entry = result.to_dict()
    entry["geometry"]["relative_spread"] = spread
    entry["protocol"] |= {"dataset": catalog.name, "split": "test", "title": title}
    return entry


def evaluate_run(
    path: Path | str,
    *,
    distance: str | None = None,
    scoring: Scoring = DEFAULT,
    progress: bool = True,
) -> Run:
    """Evaluate (again) a run folder with embeddings; everything derived is rewritten.

    Args:
        path: The run's folder.
        distance: Distance to evaluate with; default: the run's own.
        scoring: The rest of what the evaluation leaves open.
        progress: Show progress bars.

    Returns:
        The run, opened.

    Raises:
        UserError: The folder has no embeddings, or a file of it is missing or damaged.
    """
    path = Path(path)
    if not (path / "embeddings.npy").exists():
        raise UserError(f"{path}: no embeddings; make them with `retrieval embed {path}`")
    for name in ("config.yaml", "items.parquet"):
        if not (path / name).exists():
            raise UserError(f"{path}: {name} is missing; {REMEDIES[name]}")
    run = Run(path)
    with reading(path / "embeddings.npy"):
        shape = run.embeddings.shape
    with reading(path / "items.parquet"):
        _ = run.items[["path", "label", "role"]]
    if len(run.items) != shape[0]:
        raise UserError(f"{path}: {len(run.items)} items but {shape[0]} embeddings")
    with reading(path / "config.yaml"):
        distance = distance or (run.settings.distance if run.settings else "cosine")
        data = run.dataset_config
        if data.root is None:
            raise UserError(f"{path / 'config.yaml'}: root of the data set is missing")
        catalog = Catalog(data.name, data.root, run.items, data.query_gallery_title, data.options)
    finish(path, catalog, distance, scoring=scoring, progress=progress)
    return open_run(path)

"""Maps of an embedding space for the eye: UMAP from the saved neighbors, and PCA.

How an embedding took shape: maps of the same items at several training steps, aligned.

A run trained with ``keep_embeddings`` has ``snapshots/step-000100.npy``, float16 (float32 where
that would overflow), (n, d), rows as in ``items.parquet``. Each is laid out by UMAP starting from
the layout of the step after it, the last from the run's own map, and then turned, mirrored and
scaled as a whole onto it (orthogonal Procrustes), so that items stay where they are unless they
move. The result is ``evolution.npz``: ``steps`` int32, (s,), and ``points`` float32, (s, n, 2).
"""

import importlib
import re
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from scipy.linalg import orthogonal_procrustes
from tqdm.auto import tqdm

from retrieval.errors import UserError
from retrieval.evaluation.protocol import sides
from retrieval.evaluation.search.distances import normalize
from retrieval.evaluation.search.search import search
from retrieval.evaluation.search.threads import worker_pool
from retrieval.files import atomic_path

COLUMNS = ("umap_x", "umap_y", "pca_x", "pca_y", "pca_z")
SEED = 0
FEWEST = 5  # items below which there is nothing to lay out


def project(
    embeddings: np.ndarray,
    neighbors: np.ndarray,
    similarities: np.ndarray,
    *,
    distance: str = "cosine",
    n_neighbors: int = 15,
    init_from: np.ndarray | None = None,
    seed: int = SEED,
) -> pd.DataFrame:
    """Lay items out in the plane.

    Args:
        embeddings: float, (n, d).
        neighbors: int, (n, k), the leave-one-out neighbors of every item; -1 pads.
        similarities: float, (n, k), of the same: cosine, or the negative distance.
        distance: The distance they were found with; rows are L2-normalized if it is cosine.
        n_neighbors: Neighbors (self included) that UMAP looks at.
        init_from: (n, 2), another layout of the same items to start from, so that items stay near
            their places when two runs are seen side by side; default: principal components.
        seed: Seed of UMAP.

    Returns:
        Columns ``umap_x, umap_y, pca_x, pca_y, pca_z``, float32, one row per item.

    Raises:
        UserError: The neighbors or the layout to start from are not of these items.
    """
    n = len(embeddings)
    if len(neighbors) != n:
        raise UserError(f"{len(neighbors)} rows of neighbors for {n} items: give leave-one-out")
    if init_from is not None and np.shape(init_from) != (n, 2):
        raise UserError(f"init_from has shape {np.shape(init_from)}: give ({n}, 2)")
    points = np.asarray(embeddings)
    points = normalize(points) if distance == "cosine" else points.astype(np.float32)
    pca = principal_components(points, 3)
    start = pca[:, :2] if init_from is None else np.asarray(init_from, np.float32)
    far = np.maximum(1 - similarities if distance == "cosine" else -similarities, 0)
    layout = umap_layout(points, neighbors, far, start, n_neighbors, seed)
    return pd.DataFrame(np.column_stack([layout, pca]).astype(np.float32), columns=COLUMNS)


def principal_components(unit: np.ndarray, count: int) -> np.ndarray:
    """Return the first principal components, float32 (n, count); zeros where there are fewer."""
    from sklearn.decomposition import PCA

    out = np.zeros((len(unit), count), np.float32)
    available = min(count, *unit.shape)
    if len(unit) > 1:
        with np.errstate(invalid="ignore", divide="ignore"):
            pca = PCA(available, svd_solver="covariance_eigh" if len(unit) > 500 else "full")
            out[:, :available] = pca.fit_transform(unit)
    return out


def umap_layout(
    points: np.ndarray,
    neighbors: np.ndarray,
    distances: np.ndarray,
    start: np.ndarray,
    n_neighbors: int,
    seed: int,
) -> np.ndarray:
    """Run UMAP (McInnes 2018) on the given neighbor graph.

    Args:
        points: float32, (n, d).
        neighbors: int, (n, k).
        distances: float, (n, k), rising in each row.
        start: (n, 2), initial layout.
        n_neighbors: Neighbors to use, self included.
        seed: Seed.

    Returns:
        float32, (n, 2); with fewer than 5 items, the initial layout.
    """
    n = len(points)
    wanted = min(n_neighbors, 1 + int((neighbors >= 0).sum(axis=1).min(initial=n)))
    if n < FEWEST or wanted < 3:
        return np.asarray(start, np.float32)
    ids = np.column_stack([np.arange(n), neighbors[:, : wanted - 1]]).astype(np.int32)
    far = np.column_stack([np.zeros(n), distances[:, : wanted - 1]]).astype(np.float32)
    umap = load_umap()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = umap.UMAP(
            n_neighbors=wanted,
            init=scaled(start, seed),
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(ids, far, None),
        )
        return model.fit_transform(points)


def load_umap() -> ModuleType:
    """Import umap-learn, without the TensorFlow that its neural variant would load.

    umap-learn offers ParametricUMAP where TensorFlow can be imported, which takes seconds and is
    not needed here; a module that is None in ``sys.modules`` counts as not installed.
    """
    hidden = [name for name in ("tensorflow", "keras") if name not in sys.modules]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            sys.modules.update(dict.fromkeys(hidden))
            return importlib.import_module("umap")
        finally:
            for name in hidden:
                sys.modules.pop(name, None)


def scaled(start: np.ndarray, seed: int) -> np.ndarray:
    """Scale a start to UMAP's usual extent of 10, with a little noise to part duplicates."""
    start = np.asarray(start, np.float32)
    start = start - start.mean(axis=0)
    extent = np.abs(start).max()
    noise = np.random.default_rng(seed).normal(scale=1e-3, size=start.shape)
    return (10 * start / (extent if extent > 0 else 1) + noise).astype(np.float32)


FILE = "evolution.npz"
NEIGHBORS = 16
STEP = re.compile(r"step-(\d+)\.npy")


def snapshots(folder: Path) -> dict[int, Path]:
    """Return the snapshots of a run folder: training step -> file, earliest first."""
    found = {}
    for path in (Path(folder) / "snapshots").glob("step-*.npy"):
        match = STEP.fullmatch(path.name)
        if match:
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def save_snapshot(folder: Path, step: int, embeddings: np.ndarray) -> None:
    """Keep the embeddings of a run's items after a training step.

    Args:
        folder: The run folder.
        step: Steps taken so far.
        embeddings: float, (n, d), rows as in ``items.parquet``.
    """
    fits = np.abs(embeddings).max() < np.finfo(np.float16).max
    with atomic_path(Path(folder) / "snapshots" / f"step-{step:06d}.npy") as temporary:
        np.save(temporary, embeddings.astype(np.float16 if fits else np.float32))


def make_evolution(folder: Path, distance: str = "cosine", *, progress: bool = False) -> int:
    """Write ``evolution.npz`` of a run that has snapshots and a map.

    Args:
        folder: The run folder, with ``items.parquet`` and ``projection.parquet``.
        distance: The distance that the map was made with.
        progress: Show a progress bar.

    Returns:
        How many steps it holds; 0, and nothing is written, without snapshots.

    Raises:
        UserError: A snapshot has other rows than the run has items.
    """
    folder = Path(folder)
    files = snapshots(folder)
    if not files:
        return 0
    final = pd.read_parquet(folder / "projection.parquet")[["umap_x", "umap_y"]]
    layout = final.to_numpy(np.float32)
    points = []
    bar = tqdm(list(files.items())[::-1], "maps of training steps", disable=not progress)
    for step, path in bar:
        embeddings = np.load(path, mmap_mode="r")
        if len(embeddings) != len(layout):
            raise UserError(
                f"{path}: {len(embeddings)} rows, but the run has {len(layout)} items; remove it"
            )
        placed = lay_out(np.asarray(embeddings, np.float32), layout, distance)
        layout = align(placed, layout)[0]
        points.append((step, layout))
    points.reverse()
    with atomic_path(folder / FILE) as temporary:
        np.savez(
            temporary,
            steps=np.array([step for step, _ in points], np.int32),
            points=np.stack([layout for _, layout in points]),
        )
    return len(points)


def lay_out(embeddings: np.ndarray, start: np.ndarray, distance: str) -> np.ndarray:
    """Lay embeddings (n, d) out in the plane, starting from a layout (n, 2)."""
    n = len(embeddings)
    alone = np.arange(n)  # each its own class: the neighbors are wanted, not the ranks of a class
    with worker_pool() as pool:
        ranking = search(embeddings, alone, sides(n, None), distance, NEIGHBORS, pool=pool)
    frame = project(
        embeddings, ranking.ids, ranking.similarities, distance=distance, init_from=start
    )
    return frame[["umap_x", "umap_y"]].to_numpy(np.float32)


def align(points: np.ndarray, onto: np.ndarray) -> tuple[np.ndarray, float]:
    """Turn, mirror, scale and shift points as a whole to lie as close as can be on others.

    Orthogonal Procrustes with scaling (Gower 1975).

    Args:
        points: float32, (n, d).
        onto: float32, (n, d), the same items elsewhere.

    Returns:
        The points moved, float32, and the share of the variance of ``onto`` that they explain.
    """
    center, target = onto.mean(0), onto - onto.mean(0)
    moved = points - points.mean(0)
    rotation, trace = orthogonal_procrustes(moved, target)
    size, total = float((moved**2).sum()), float((target**2).sum())
    if size == 0 or total == 0:
        return np.broadcast_to(center, points.shape).astype(np.float32), 0.0
    placed = (trace / size) * moved @ rotation
    return (placed + center).astype(np.float32), float(trace**2 / (size * total))

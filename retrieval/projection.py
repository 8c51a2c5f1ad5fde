"""Two-dimensional maps of an embedding space: UMAP from the saved neighbors, and PCA.

A run trained with ``keep_embeddings`` also gets a map for each saved training step, so that one can
watch the embedding take shape. Its snapshots are ``snapshots/step-000100.npy``, float16 (float32
where that would overflow), (n, d), rows as in ``items.parquet``. UMAP lays out each snapshot
starting from the layout of the next step, and the last one from the run's own map. Each layout is
then rotated, reflected and scaled as a whole onto the one it started from (orthogonal Procrustes),
so that items stay in place unless they moved. The result is ``evolution.npz``: ``steps`` int32,
(s,), and ``points`` float32, (s, n, 2).
"""

import importlib
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import cast

import numpy as np
import pandas as pd
from scipy.linalg import orthogonal_procrustes
from tqdm.auto import tqdm

from retrieval.caches import numba_can_cache
from retrieval.errors import UserError
from retrieval.evaluation.protocol import sides
from retrieval.evaluation.search.distances import normalize
from retrieval.evaluation.search.plan import Ranking
from retrieval.evaluation.search.search import search
from retrieval.evaluation.search.threads import worker_pool
from retrieval.files import atomic_path
from retrieval.validation import DEFAULT_DISTANCE

COLUMNS = ("umap_x", "umap_y", "pca_x", "pca_y", "pca_z")
SEED = 0
FEWEST = 5  # with fewer items UMAP is not run
SMALL = 10_000  # items, up to which UMAP takes its most epochs
EPOCHS_OF_ITEMS, FEWEST_EPOCHS = 5_000_000, 50  # beyond: epochs times items, and the least
# What umap-learn compiles in every process for a map, by module: 5 seconds. Numba can keep it.
COMPILED = {
    "umap_": ("smooth_knn_dist", "compute_membership_strengths"),
    "layouts": ("_nb_optimize_layout_euclidean_single_epoch",),
}


def project(
    embeddings: np.ndarray,
    neighbors: np.ndarray,
    similarities: np.ndarray,
    *,
    distance: str = DEFAULT_DISTANCE,
    n_neighbors: int = 15,
    init_from: np.ndarray | None = None,
    seed: int = SEED,
    progress: bool = False,
) -> pd.DataFrame:
    """Compute the UMAP and PCA coordinates of items.

    Args:
        embeddings: float, (n, d), the embeddings to map.
        neighbors: int, (n, k), the leave-one-out neighbors of every item; -1 pads.
        similarities: float, (n, k), of the same: cosine, or the negative distance.
        distance: Distance the neighbors were found with; for cosine, rows are L2-normalized.
            Defaults to ``cosine``.
        n_neighbors: Neighbors that UMAP uses, the item itself included. Defaults to 15.
        init_from: (n, 2), another layout of the same items to start from, so that items stay near
            their places when two runs are shown side by side. Defaults to the first two principal
            components.
        seed: Seed of UMAP. Defaults to 0.
        progress: Whether to show a bar over the epochs of UMAP. Defaults to False.

    Returns:
        Columns ``umap_x, umap_y, pca_x, pca_y, pca_z``, float32, one row per item.

    Raises:
        UserError: The neighbors, or the layout to start from, have another number of rows.
    """
    n = len(embeddings)
    if len(neighbors) != n:
        raise UserError(
            f"{len(neighbors)} rows of neighbors for {n} items: give leave-one-out neighbors"
        )
    if init_from is not None and np.shape(init_from) != (n, 2):
        raise UserError(f"init_from has shape {np.shape(init_from)}: give ({n}, 2)")
    points = np.asarray(embeddings)
    points = normalize(points) if distance == "cosine" else points.astype(np.float32)
    pca = principal_components(points, 3)
    start = pca[:, :2] if init_from is None else np.asarray(init_from, np.float32)
    distances = np.maximum(1 - similarities if distance == "cosine" else -similarities, 0)
    layout = umap_layout(points, neighbors, distances, start, n_neighbors, seed, progress=progress)
    return pd.DataFrame(np.column_stack([layout, pca]).astype(np.float32), columns=COLUMNS)


def project_sample(
    embeddings: np.ndarray, rows: np.ndarray, distance: str = DEFAULT_DISTANCE
) -> pd.DataFrame:
    """Compute the coordinates of some of many items, from the neighbors among themselves.

    Args:
        embeddings: float, (n, d), all items; a memory map is read at ``rows`` only.
        rows: int, (m,), ascending, the items to map.
        distance: Distance to find neighbors with. Defaults to ``cosine``.

    Returns:
        The columns of :func:`project`, one row per item; NaN for items that are not mapped.
    """
    some = np.asarray(embeddings[rows], np.float32)
    found = _neighbors_among(some, distance)
    layout = project(some, found.ids, found.similarities, distance=distance)
    return layout.set_axis(rows).reindex(np.arange(len(embeddings)))


def principal_components(points: np.ndarray, count: int) -> np.ndarray:
    """Return the first principal components, float32 (n, count); zeros where there are fewer."""
    # Imported here because scikit-learn takes half a second.
    from sklearn.decomposition import PCA

    out = np.zeros((len(points), count), np.float32)
    available = min(count, *points.shape)
    if len(points) > 1:
        with np.errstate(invalid="ignore", divide="ignore"):
            pca = PCA(available, svd_solver="covariance_eigh" if len(points) > 500 else "full")
            out[:, :available] = pca.fit_transform(points)
    return out


def umap_layout(
    points: np.ndarray,
    neighbors: np.ndarray,
    distances: np.ndarray,
    start: np.ndarray,
    n_neighbors: int,
    seed: int,
    *,
    progress: bool = False,
) -> np.ndarray:
    """Run UMAP (McInnes et al. 2018) on a neighbor graph that is already known.

    Args:
        points: The embeddings, float32, (n, d).
        neighbors: Rows of the nearest items of each item, nearest first, int, (n, k).
        distances: Distance to each of them, float, (n, k), increasing in each row.
        start: Layout to start from, (n, 2).
        n_neighbors: Number of neighbors to use, the item itself included.
        seed: Seed of UMAP's layout.
        progress: Whether to show a bar over the epochs. Defaults to False.

    Returns:
        float32, (n, 2); the initial layout where there are fewer than 5 items.
    """
    n = len(points)
    wanted = min(n_neighbors, 1 + int((neighbors >= 0).sum(axis=1).min(initial=n)))
    if n < FEWEST or wanted < 3:
        return np.asarray(start, np.float32)
    ids = np.column_stack([np.arange(n), neighbors[:, : wanted - 1]]).astype(np.int32)
    lengths = np.column_stack([np.zeros(n), distances[:, : wanted - 1]]).astype(np.float32)
    umap = load_umap()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = umap.UMAP(
            n_neighbors=wanted,
            init=scaled(start, seed),
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(ids, lengths, None),
            n_epochs=epochs_for(n),
            tqdm_kwds={"desc": f"map of {n:,} items", "disable": not progress, "leave": False},
        )
        return model.fit_transform(points)


def epochs_for(n: int) -> int:
    """Return the number of epochs of UMAP for n items.

    umap-learn takes 500 up to 10,000 items and 200 beyond, however many there are. Here the time
    does not grow from 25,000 items to 100,000: the layout begins at the principal components, and
    later epochs change it less and less. Of the 5 nearest neighbors of an item of 30,000, 60 epochs
    keep 78% among the 50 nearest on the map, and 200 epochs 84%; of 100,000 in 1,000 classes, 30
    epochs keep 57%, 50 epochs 58%, and 150 epochs 60%.

    >>> epochs_for(10_000), epochs_for(30_000), epochs_for(60_000), epochs_for(10**6)
    (500, 166, 83, 50)
    """
    if n <= SMALL:
        return 500
    return int(np.clip(EPOCHS_OF_ITEMS // n, FEWEST_EPOCHS, 200))


def load_umap() -> ModuleType:
    """Import umap-learn without its neural variant, which would load TensorFlow.

    ``import umap`` always tries to import ``umap.parametric_umap``, and with it TensorFlow where it
    is installed: seconds and hundreds of MB that the app and ``retrieval import`` do not need
    (lmcinnes/umap issue 631; there is no option, and no submodule can be imported without the
    package). A module that is None in ``sys.modules`` counts as missing, which is umap's own
    supported case: it then leaves ``ParametricUMAP`` out. Nothing but umap's submodule is affected,
    and only during this import.

    What umap compiles for a map is then kept on disk, where Numba's cache is.
    """
    name = "umap.parametric_umap"
    if "umap" in sys.modules:
        return importlib.import_module("umap")
    try:
        sys.modules[name] = cast(ModuleType, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "Tensorflow not installed"
            umap = importlib.import_module("umap")
    finally:
        sys.modules.pop(name, None)
    if numba_can_cache():
        for module, names in COMPILED.items():
            for each in names:
                function = getattr(getattr(umap, module, None), each, None)
                keep = getattr(function, "enable_caching", None)
                if keep is not None:  # of another version of umap-learn, it is compiled each time
                    keep()
    return umap


def scaled(start: np.ndarray, seed: int) -> np.ndarray:
    """Scale an initial layout to UMAP's usual extent of 10; a little noise separates duplicates."""
    start = np.asarray(start, np.float32)
    start = start - start.mean(axis=0)
    extent = np.abs(start).max()
    noise = np.random.default_rng(seed).normal(scale=1e-3, size=start.shape)
    return (10 * start / (extent if extent > 0 else 1) + noise).astype(np.float32)


LayOut = Callable[[np.ndarray, np.ndarray, str], np.ndarray]
FILE = "evolution.npz"
NEIGHBORS = 16  # one more than UMAP uses
STEP = re.compile(r"step-(\d+)\.npy")


def snapshots(folder: Path) -> dict[int, Path]:
    """Find the snapshots of a run folder: training step -> file, earliest step first."""
    found = {}
    for path in (Path(folder) / "snapshots").glob("step-*.npy"):
        match = STEP.fullmatch(path.name)
        if match:
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def save_snapshot(folder: Path, step: int, embeddings: np.ndarray) -> None:
    """Save the embeddings of a run's items at a training step.

    Args:
        folder: The run folder.
        step: Steps taken so far.
        embeddings: float, (n, d), rows as in ``items.parquet``.
    """
    fits = np.abs(embeddings).max() < np.finfo(np.float16).max
    with atomic_path(Path(folder) / "snapshots" / f"step-{step:06d}.npy") as temporary:
        np.save(temporary, embeddings.astype(np.float16 if fits else np.float32))


def make_evolution(
    folder: Path,
    distance: str = DEFAULT_DISTANCE,
    *,
    lay_out: LayOut | None = None,
    progress: bool = False,
) -> int:
    """Write ``evolution.npz`` for a run that has snapshots and a map.

    Args:
        folder: The run folder, with ``projection.parquet``.
        distance: Distance that the map was made with. Defaults to ``cosine``.
        lay_out: Lays out embeddings (n, d), starting from a layout (n, 2), under a distance.
            Defaults to :func:`umap_from`.
        progress: Whether to show a progress bar. Defaults to False.

    Returns:
        The number of steps written; 0 without snapshots, and then there is no file.

    Raises:
        UserError: A snapshot does not have one row per item of the run.
    """
    lay_out = lay_out or umap_from
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
                f"{path}: {len(embeddings)} rows, but the run has {len(layout)} items; remove the "
                "file"
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


def umap_from(embeddings: np.ndarray, start: np.ndarray, distance: str) -> np.ndarray:
    """Search the neighbors of embeddings (n, d) and run UMAP, starting from a layout (n, 2)."""
    found = _neighbors_among(embeddings, distance)
    frame = project(embeddings, found.ids, found.similarities, distance=distance, init_from=start)
    return frame[["umap_x", "umap_y"]].to_numpy(np.float32)


def _neighbors_among(embeddings: np.ndarray, distance: str) -> Ranking:
    """Search the neighbors of every item among all others."""
    n = len(embeddings)
    classes = np.arange(n)  # one per item: only the neighbors are needed, no ranks of positives
    with worker_pool() as pool:
        return search(embeddings, classes, sides(n, None), distance, NEIGHBORS, pool=pool)


def align(points: np.ndarray, onto: np.ndarray) -> tuple[np.ndarray, float]:
    """Rotate, reflect, scale and shift points as a whole to fit other points best.

    Orthogonal Procrustes analysis with scaling (Gower 1975).

    Args:
        points: float32, (n, d).
        onto: float32, (n, d), the same items in another layout.

    Returns:
        The moved points, float32, and the share of the variance of ``onto`` that they explain.
    """
    center, target = onto.mean(0), onto - onto.mean(0)
    moved = points - points.mean(0)
    rotation, trace = orthogonal_procrustes(moved, target)
    size, total = float((moved**2).sum()), float((target**2).sum())
    if size == 0 or total == 0:
        return np.broadcast_to(center, points.shape).astype(np.float32), 0.0
    placed = (trace / size) * moved @ rotation
    return (placed + center).astype(np.float32), float(trace**2 / (size * total))

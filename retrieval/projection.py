"""Maps of an embedding space for the eye: UMAP from the saved neighbours, and PCA."""

import importlib
import sys
import warnings
from types import ModuleType

import numpy as np
import pandas as pd

from retrieval.errors import UserError
from retrieval.evaluation.distances import normalise

COLUMNS = ("umap_x", "umap_y", "pca_x", "pca_y", "pca_z")
SEED = 0
FEWEST = 5  # items below which there is nothing to lay out


def project(
    embeddings: np.ndarray,
    neighbours: np.ndarray,
    similarities: np.ndarray,
    *,
    distance: str = "cosine",
    n_neighbours: int = 15,
    init_from: np.ndarray | None = None,
    seed: int = SEED,
) -> pd.DataFrame:
    """Lay items out in the plane.

    Args:
        embeddings: float, (n, d).
        neighbours: int, (n, k), the leave-one-out neighbours of every item; -1 pads.
        similarities: float, (n, k), of the same: cosine, or the negative distance.
        distance: The distance they were found with; rows are L2-normalised if it is cosine.
        n_neighbours: Neighbours (self included) that UMAP looks at.
        init_from: (n, 2), another layout of the same items to start from, so that items stay near
            their places when two runs are seen side by side; default: principal components.
        seed: Seed of UMAP.

    Returns:
        Columns ``umap_x, umap_y, pca_x, pca_y, pca_z``, float32, one row per item.

    Raises:
        UserError: The neighbours or the layout to start from are not of these items.
    """
    n = len(embeddings)
    if len(neighbours) != n:
        raise UserError(f"{len(neighbours)} rows of neighbours for {n} items: give leave-one-out")
    if init_from is not None and np.shape(init_from) != (n, 2):
        raise UserError(f"init_from has shape {np.shape(init_from)}: give ({n}, 2)")
    points = np.asarray(embeddings)
    points = normalise(points) if distance == "cosine" else points.astype(np.float32)
    pca = principal_components(points, 3)
    start = pca[:, :2] if init_from is None else np.asarray(init_from, np.float32)
    far = np.maximum(1 - similarities if distance == "cosine" else -similarities, 0)
    layout = umap_layout(points, neighbours, far, start, n_neighbours, seed)
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
    neighbours: np.ndarray,
    distances: np.ndarray,
    start: np.ndarray,
    n_neighbours: int,
    seed: int,
) -> np.ndarray:
    """Run UMAP (McInnes 2018) on the given neighbour graph.

    Args:
        points: float32, (n, d).
        neighbours: int, (n, k).
        distances: float, (n, k), rising in each row.
        start: (n, 2), initial layout.
        n_neighbours: Neighbours to use, self included.
        seed: Seed.

    Returns:
        float32, (n, 2); with fewer than 5 items, the initial layout.
    """
    n = len(points)
    wanted = min(n_neighbours, 1 + int((neighbours >= 0).sum(axis=1).min(initial=n)))
    if n < FEWEST or wanted < 3:
        return np.asarray(start, np.float32)
    ids = np.column_stack([np.arange(n), neighbours[:, : wanted - 1]]).astype(np.int32)
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

"""Maps of an embedding space for the eye: UMAP from the saved neighbours, and PCA."""

import warnings

import numpy as np
import pandas as pd

from retrieval.evaluation.distances import normalise
from retrieval.quiet import hold_back_stderr

COLUMNS = ("umap_x", "umap_y", "pca_x", "pca_y", "pca_z")
SEED = 0


def project(
    embeddings: np.ndarray,
    neighbours: np.ndarray,
    similarities: np.ndarray,
    *,
    n_neighbours: int = 15,
    init_from: np.ndarray | None = None,
    seed: int = SEED,
) -> pd.DataFrame:
    """Lay items out in the plane.

    Args:
        embeddings: float, (n, d).
        neighbours: int, (n, k), the leave-one-out neighbours of every item; -1 pads.
        similarities: float, (n, k), cosine similarities of the same.
        n_neighbours: Neighbours (self included) that UMAP looks at.
        init_from: (n, 2), another layout of the same items to start from, so that two runs can be
            compared side by side; default: the first two principal components.
        seed: Seed of UMAP.

    Returns:
        Columns ``umap_x, umap_y, pca_x, pca_y, pca_z``, float32, one row per item.
    """
    unit = normalise(np.asarray(embeddings))
    pca = principal_components(unit, 3)
    start = pca[:, :2] if init_from is None else np.asarray(init_from, np.float32)
    layout = umap_layout(unit, neighbours, similarities, start, n_neighbours, seed)
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
    unit: np.ndarray,
    neighbours: np.ndarray,
    similarities: np.ndarray,
    start: np.ndarray,
    n_neighbours: int,
    seed: int,
) -> np.ndarray:
    """Run UMAP (McInnes 2018) on the given neighbour graph.

    Args:
        unit: float32, (n, d), unit rows.
        neighbours: int, (n, k).
        similarities: float, (n, k), cosine.
        start: (n, 2), initial layout.
        n_neighbours: Neighbours to use, self included.
        seed: Seed.

    Returns:
        float32, (n, 2); with fewer than 5 items, the initial layout.
    """
    n = len(unit)
    wanted = min(n_neighbours, n - 1, 1 + int((neighbours >= 0).sum(axis=1).min(initial=n)))
    if n < 5 or wanted < 3:
        return np.asarray(start, np.float32)
    with hold_back_stderr():  # umap loads TensorFlow where it is installed, and that talks
        import umap

    ids = np.column_stack([np.arange(n), neighbours[:, : wanted - 1]]).astype(np.int32)
    far = 1 - similarities[:, : wanted - 1].astype(np.float32)
    distances = np.column_stack([np.zeros(n, np.float32), np.maximum(far, 0)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = umap.UMAP(
            n_neighbors=wanted,
            metric="cosine",
            init=scaled(start, seed),
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(ids, distances, None),
        )
        return model.fit_transform(unit)


def scaled(start: np.ndarray, seed: int) -> np.ndarray:
    """Scale a start to UMAP's usual extent of 10, with a little noise to part duplicates."""
    start = np.asarray(start, np.float32)
    start = start - start.mean(axis=0)
    extent = np.abs(start).max()
    noise = np.random.default_rng(seed).normal(scale=1e-3, size=start.shape)
    return (10 * start / (extent if extent > 0 else 1) + noise).astype(np.float32)

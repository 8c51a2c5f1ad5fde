"""Measure how well a map preserves the neighborhoods of the embedding space."""

import numpy as np
from scipy.spatial import cKDTree

from retrieval.runs.run import Neighbors


def neighborhood_preservation(
    points: np.ndarray, neighbors: Neighbors, gallery: np.ndarray, k: int
) -> np.ndarray:
    """Compute the share of each query's k nearest items that are among its k nearest on the map.

    Its mean over queries is Q_NX(k) of Lee and Verleysen 2009, "Quality assessment of
    dimensionality reduction: Rank-based criteria". It differs from
    :func:`sklearn.manifold.trustworthiness`, which weights the items that are close on the map only
    by their rank in the embedding space, is one number for all items, and knows no gallery.

    Args:
        points: float32, (n, 2 or 3), positions of all items on the map.
        neighbors: The neighbors in the embedding space.
        gallery: int64, (g,), rows of the gallery items.
        k: Number of neighbors to compare.

    Returns:
        float32, (n,), from 0 to 1; NaN for items that are not queries.
    """
    real = neighbors.ids[:, :k]
    tree = cKDTree(points[gallery])
    _, near = tree.query(points[neighbors.queries], k=min(k + 1, len(gallery)))
    near = gallery[near.reshape(len(neighbors.queries), -1)]
    out = np.full(len(points), np.nan, np.float32)
    for i, query in enumerate(neighbors.queries):
        drawn = near[i][near[i] != query][:k]
        out[query] = np.isin(real[i][real[i] >= 0], drawn).mean()
    return out

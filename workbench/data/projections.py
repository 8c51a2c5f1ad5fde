"""Positions of the items on the map: read from the run, sampled when there are too many."""

import zipfile

import numpy as np
import pandas as pd
import streamlit as st

from retrieval.runs.run import PROJECTION_COLUMNS, Neighbors, Run
from workbench.analysis.oddities import gallery_rows
from workbench.data.loading import stamp

LAYOUTS = ("UMAP", "PCA", "PCA 3-D")
COLUMNS = {
    "UMAP": ["umap_x", "umap_y"],
    "PCA": ["pca_x", "pca_y"],
    "PCA 3-D": ["pca_x", "pca_y", "pca_z"],
}
MOST_POINTS = 70_000
MOST_POINTS_3D = 20_000
PRESERVATION_K = 10
EVOLUTION = "evolution.npz"


def positions(run: Run, layout: str) -> np.ndarray:
    """Return where a map shows the items.

    Args:
        run: A run with a projection.
        layout: One of :data:`LAYOUTS`.

    Returns:
        float32, (n, 2 or 3).

    Raises:
        RuntimeError: The run has no projection; pages check this first.
    """
    if run.projection is None:
        raise RuntimeError(f"{run.path} has no projection")
    return run.projection[COLUMNS[layout]].to_numpy(np.float32)


def sample(run: Run, layout: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the points to draw.

    Args:
        run: With a projection.
        layout: One of :data:`LAYOUTS`.

    Returns:
        Rows int32, (m,) and positions float32, (m, 2 or 3). All items if they are few enough, else
        the same share of every class.
    """
    points = positions(run, layout)
    most = MOST_POINTS_3D if layout == "PCA 3-D" else MOST_POINTS
    rows = stratified_rows(run.items["label"].to_numpy(), most)
    return rows, points[rows]


def fault(run: Run) -> str | None:
    """Say what is wrong with the projection of a run that has none to show.

    Args:
        run: Whose ``projection`` is None.

    Returns:
        File and reason in one line, or None if there is no such file.
    """
    file = run.path / "projection.parquet"
    try:
        n = len(pd.read_parquet(file, columns=PROJECTION_COLUMNS).astype(np.float32))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # Arrow's errors are ValueErrors
        return f"{file}: {str(error).splitlines()[0][:200]}"
    return f"{file}: {n:,} positions of {len(run.items):,} items"


def evolution(run: Run) -> tuple[np.ndarray, np.ndarray] | None:
    """Return a run's maps during training, or None if it has none.

    Args:
        run: The run.

    Returns:
        Steps int32, (s,), and positions float32, (s, n, 2), made by ``retrieval.projection``.
    """
    path = run.path / EVOLUTION
    if not path.exists():
        return None
    return _evolution(str(path), path.stat().st_mtime_ns, len(run.items))


@st.cache_resource(show_spinner=False, max_entries=8)
def _evolution(path: str, changed: int, n: int) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        with np.load(path) as arrays:
            steps, points = arrays["steps"], arrays["points"].astype(np.float32)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return (steps, points) if points.shape == (len(steps), n, 2) and len(steps) else None


def stratified_rows(labels: np.ndarray, most: int) -> np.ndarray:
    """Choose rows so that every class keeps its share.

    Args:
        labels: int, (n,).
        most: How many rows at most.

    Returns:
        int32, ascending; the same for the same labels. Every class keeps at least one row as long
        as there are no more classes than ``most``.
    """
    n = len(labels)
    if n <= most:
        return np.arange(n, dtype=np.int32)
    shuffled = np.random.default_rng(0).permutation(n)
    # Position of each item within its class, in shuffled order, as a share of the class's size.
    frame = pd.DataFrame({"label": labels[shuffled]})
    order = frame.groupby("label").cumcount().to_numpy()
    size = frame.groupby("label")["label"].transform("size").to_numpy()
    chosen = shuffled[np.argsort((order + 0.5 * (order > 0)) / size, kind="stable")[:most]]
    return np.sort(chosen).astype(np.int32)


def in_turn(labels: np.ndarray, most: int) -> np.ndarray:
    """Choose some of a selection, from every class in turn, so that no class hides the others.

    Args:
        labels: int, (n,), class of each selected item.
        most: How many to choose at most.

    Returns:
        int64, positions in ``labels``: classes with most items first, each class together.
    """
    frame = pd.DataFrame({"label": labels})
    groups = frame.groupby("label")["label"]
    size, turn = groups.transform("size").to_numpy(), groups.cumcount().to_numpy()
    chosen = np.lexsort((labels, -size, turn))[:most]
    return chosen[np.lexsort((turn[chosen], labels[chosen], -size[chosen]))]


@st.cache_resource(show_spinner="Comparing the map with the original space …", max_entries=32)
def _neighborhood_preservation(
    _run: Run, _neighbors: Neighbors, layout: str, path: str, protocol: str, stamp: tuple
) -> np.ndarray:
    points = positions(_run, layout)
    gallery = gallery_rows(_neighbors, _run.items)
    return neighbor_agreement(points, _neighbors, gallery, PRESERVATION_K)


def neighborhood_preservation(run: Run, neighbors: Neighbors, layout: str) -> np.ndarray:
    """Return the share of each item's neighbors that a map preserves.

    Args:
        run: A run with a projection.
        neighbors: The run's neighbors in the embedding space.
        layout: One of :data:`LAYOUTS`.

    Returns:
        float32, (n,), cached; see :func:`neighbor_agreement`, with k = 10.
    """
    path, times = str(run.path), stamp(run.path)
    return _neighborhood_preservation(run, neighbors, layout, path, neighbors.protocol, times)


def neighbor_agreement(
    points: np.ndarray, neighbors: Neighbors, gallery: np.ndarray, k: int
) -> np.ndarray:
    """Compare each query's neighbors on the map with those of the original space.

    Args:
        points: float32, (n, 2 or 3), positions of all items.
        neighbors: In the original space.
        gallery: int64, (g,), rows that can be retrieved.
        k: How many neighbors to compare.

    Returns:
        float32, (n,), share of the k original neighbors that are among the k nearest on the map
        (of the gallery); NaN for items that are not queries.
    """
    from scipy.spatial import cKDTree

    real = neighbors.ids[:, :k]
    tree = cKDTree(points[gallery])
    _, near = tree.query(points[neighbors.queries], k=min(k + 1, len(gallery)))
    near = gallery[np.atleast_2d(near)]
    out = np.full(len(points), np.nan, np.float32)
    for i, query in enumerate(neighbors.queries):
        drawn = near[i][near[i] != query][:k]
        out[query] = np.isin(real[i][real[i] >= 0], drawn).mean()
    return out

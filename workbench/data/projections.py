"""Positions of a run's items on its maps, sampled if there are too many."""

import numpy as np
import pandas as pd
import streamlit as st

from retrieval.projection import FILE
from retrieval.runs.run import PROJECTION_COLUMNS, Evolution, Neighbors, Run
from workbench.analysis import neighborhoods
from workbench.analysis.oddities import gallery_rows
from workbench.analysis.sampling import stratified_rows
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


def positions(run: Run, layout: str) -> np.ndarray:
    """Return the positions of all items on a map.

    Args:
        run: A run with a projection.
        layout: Name of the map, one of :data:`LAYOUTS`.

    Returns:
        float32, (n, 2 or 3).

    Raises:
        RuntimeError: The run has no projection; pages check this first.
    """
    if run.projection is None:
        raise RuntimeError(f"{run.path} has no projection")
    return run.projection[COLUMNS[layout]].to_numpy(np.float32)


def sample(run: Run, layout: str) -> tuple[np.ndarray, np.ndarray]:
    """Choose the points of a map to draw.

    Args:
        run: A run with a projection.
        layout: Name of the map, one of :data:`LAYOUTS`.

    Returns:
        Rows, int32, (m,), and their positions, float32, (m, 2 or 3). These are all items that have
        a position if they are few enough, else the same share of every class.
    """
    points = positions(run, layout)
    placed = placed_rows(run)
    most = MOST_POINTS_3D if layout == "PCA 3-D" else MOST_POINTS
    rows = placed[stratified_rows(run.items["label"].to_numpy()[placed], most)]
    return rows.astype(np.int32), points[rows]


def placed_rows(run: Run) -> np.ndarray:
    """Return the rows of the items that have a position, int64: a sample of a large run, else all.

    Args:
        run: A run with a projection.
    """
    return np.flatnonzero(np.isfinite(positions(run, "PCA")[:, 0]))


def fault(run: Run) -> str | None:
    """Describe what is wrong with the projection file of a run.

    Args:
        run: A run whose ``projection`` is None.

    Returns:
        File and reason in one line, or None if the file is missing.
    """
    file = run.path / "projection.parquet"
    try:
        n = len(pd.read_parquet(file, columns=PROJECTION_COLUMNS).astype(np.float32))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # Arrow's errors are ValueErrors
        return f"{file}: {str(error).splitlines()[0][:200]}"
    return f"{file}: {n:,} positions of {len(run.items):,} items"


def evolution(run: Run) -> Evolution | None:
    """Return the maps of a run at several training steps. Cached.

    Args:
        run: A run that stored its embeddings while it trained.

    Returns:
        See :meth:`retrieval.runs.run.Run.evolution`.
    """
    try:
        changed = (run.path / FILE).stat().st_mtime_ns
    except OSError:
        return None
    return _evolution(run, str(run.path), changed, len(run.items))


@st.cache_resource(show_spinner=False, max_entries=8)
def _evolution(_run: Run, path: str, changed: int, n_items: int) -> Evolution | None:
    return _run.evolution()


@st.cache_resource(show_spinner="Comparing the map with the embedding space …", max_entries=32)
def _neighborhood_preservation(
    _run: Run, _neighbors: Neighbors, layout: str, path: str, protocol: str, stamp: tuple[int, ...]
) -> np.ndarray:
    gallery = gallery_rows(_neighbors, _run.items)
    return neighborhoods.neighborhood_preservation(
        positions(_run, layout), _neighbors, gallery, PRESERVATION_K
    )


def neighborhood_preservation(run: Run, neighbors: Neighbors, layout: str) -> np.ndarray:
    """Return the share of each item's neighbors that a map preserves. Cached.

    Args:
        run: A run with a projection.
        neighbors: The run's neighbors in the embedding space.
        layout: Name of the map, one of :data:`LAYOUTS`.

    Returns:
        float32, (n,): see :func:`workbench.analysis.neighborhoods.neighborhood_preservation`, with
        k = 10.
    """
    path, times = str(run.path), stamp(run.path)
    return _neighborhood_preservation(run, neighbors, layout, path, neighbors.protocol, times)

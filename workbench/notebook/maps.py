"""Maps of a run's embedding in a notebook."""

import numpy as np
import plotly.graph_objects as go

from retrieval.errors import UserError
from retrieval.runs.run import Run
from workbench import figures
from workbench.analysis.failures import ranks_by_item
from workbench.analysis.naming import class_names
from workbench.data.projections import placed_rows, positions
from workbench.figures.colors import by_class, by_outcome


def umap_points(run: Run) -> np.ndarray:
    """Return the position of every item on the run's UMAP map.

    Returns:
        float32, (n, 2); NaN for what is not in the sample that is mapped of a large run.

    Raises:
        UserError: The run has no map.
    """
    if run.projection is None:
        raise UserError(f"{run.path} has no map: make one with `retrieval evaluate`")
    return positions(run, "UMAP")


def embedding_map(run: Run, protocol: str | None = None, *, height: int = 480) -> go.Figure:
    """Draw the UMAP map of a run, every query colored by whether its nearest item is right.

    Of a run of more than a million items, it is that of a sample.

    Args:
        run: An evaluated run.
        protocol: Name of the evaluation protocol. By default, the run's primary one.
        height: Height in pixels. Defaults to 480.
    """
    points, rows = umap_points(run), placed_rows(run)
    ranks = ranks_by_item(run.neighbors(protocol), len(run.items))
    return figures.embedding_map(points[rows], rows, by_outcome(ranks[rows]), height=height)


def embedding_evolution(run: Run, *, classes: int = 12) -> go.Figure:
    """Draw the map of the same items at several training steps.

    Args:
        run: A run that was trained with ``keep_embeddings``.
        classes: Number of classes with a color of their own, the largest ones. Defaults to 12.

    Raises:
        UserError: The run has no maps of training steps.
    """
    evolution = run.evolution()
    if evolution is None:
        raise UserError(f"{run.path} has no maps of training steps: train with keep_embeddings")
    coloring = by_class(run.items["label"].to_numpy(), class_names(run), top=classes)
    return figures.embedding_evolution(evolution.points, evolution.steps.tolist(), coloring)

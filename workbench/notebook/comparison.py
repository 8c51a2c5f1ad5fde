"""Two runs in a notebook, query by query: where does one answer and the other not?"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from retrieval.runs.run import Run
from workbench import figures
from workbench.analysis import comparison as analysis
from workbench.analysis.comparison import QueryComparison
from workbench.analysis.failures import ranks_by_item
from workbench.analysis.naming import class_names
from workbench.figures.colors import by_outcomes
from workbench.notebook.maps import umap_points


def compare_queries(a: Run, b: Run, protocol: str | None = None) -> QueryComparison:
    """Compare two runs on the same queries.

    Args:
        a: First run, called A in the output.
        b: Run B, with the same items.
        protocol: Name of the evaluation protocol. By default, the primary one of run A.

    Returns:
        The comparison, for the functions below.
    """
    protocol = protocol or a.primary
    return analysis.compare_queries(
        a.neighbors(protocol),
        b.neighbors(protocol),
        a.items["label"].to_numpy(),
        no_positive=a.result(protocol).protocol.no_positive,
    )


def win_tie_loss(comparison: QueryComparison) -> go.Figure:
    """Draw how many queries only A, both or neither, and only B answers at rank 1."""
    return figures.win_tie_loss(comparison.wins, comparison.ties, comparison.losses)


def class_differences(comparison: QueryComparison, run: Run) -> go.Figure:
    """Draw the classes whose Recall@1 differs most between A and B.

    Args:
        comparison: See :func:`compare_queries`.
        run: Either run: it names the classes.
    """
    names = class_names(run)
    classes = analysis.class_recalls(comparison)
    return figures.class_differences(
        [names[label] for label in classes["label"]],
        classes["a"].to_numpy(),
        classes["b"].to_numpy(),
        classes["n"].to_numpy(),
    )


def overlap_histogram(comparison: QueryComparison) -> go.Figure:
    """Draw the share of its ten nearest items that a query has in common under A and B."""
    return figures.overlap_histogram(comparison.table["overlap"].to_numpy())


def only_right(comparison: QueryComparison, winner: str) -> pd.DataFrame:
    """List the queries that only one of the two runs answers.

    Args:
        comparison: See :func:`compare_queries`.
        winner: ``a`` or ``b``, the run that is right.

    Returns:
        One row per query, with ``row``, those that the other run ranks worst first.
    """
    return analysis.only_right(comparison, winner)


def outcome_map(a: Run, b: Run, protocol: str | None = None, *, height: int = 480) -> go.Figure:
    """Draw the UMAP map of run A, every query colored by which of the two runs answers it.

    Args:
        a: First run, called A in the output.
        b: Run B, with the same items.
        protocol: Name of the evaluation protocol. By default, the primary one of each run.
        height: Height in pixels. Defaults to 480.
    """
    coloring = by_outcomes(_outcomes(a, protocol), _outcomes(b, protocol))
    points = umap_points(a)
    return figures.embedding_map(points, np.arange(len(points)), coloring, height=height)


def _outcomes(run: Run, protocol: str | None) -> np.ndarray:
    """Return 1 where an item's nearest item is right, 0 where it is wrong, -1 for no query."""
    ranks = ranks_by_item(run.neighbors(protocol), len(run.items))
    return np.where(ranks < 0, -1, ranks == 1)

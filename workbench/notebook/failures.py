"""Failures of one run in a notebook: lists of queries, galleries, confused classes, odd items."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from retrieval.evaluation.metrics import metric
from retrieval.runs.run import Run
from workbench import figures
from workbench.analysis import failures, oddities
from workbench.analysis.naming import class_names
from workbench.components import inline_gallery
from workbench.components.inline_gallery import Gallery


def gallery(run: Run, rows: Iterable[int], protocol: str | None = None, *, k: int = 6) -> Gallery:
    """Show queries, each with its k nearest items.

    Args:
        run: An evaluated run.
        rows: Item rows of the queries to show.
        protocol: Name of the evaluation protocol. By default, the run's primary one.
        k: Number of neighbors per query. Defaults to 6.

    Returns:
        Self-contained HTML; ✓ marks items of the query's class, ✗ the others.
    """
    return inline_gallery.gallery(run, run.neighbors(protocol), rows, k)


def _query_table(run: Run, protocol: str | None) -> pd.DataFrame:
    return failures.query_table(run.neighbors(protocol), run.items["label"].to_numpy())


def confident_failures(run: Run, protocol: str | None = None) -> pd.DataFrame:
    """List the queries whose nearest item is wrong, the most similar wrong items first.

    Args:
        run: An evaluated run.
        protocol: Name of the evaluation protocol. By default, the run's primary one.

    Returns:
        One row per failure, with ``row`` (of the query) and ``top`` (row of its nearest item),
        among others.
    """
    return failures.confident_and_wrong(_query_table(run, protocol))


def near_misses(run: Run, protocol: str | None = None) -> pd.DataFrame:
    """List the failures, the best rank of the first relevant item first.

    Args:
        run: An evaluated run.
        protocol: Name of the evaluation protocol. By default, the run's primary one.

    Returns:
        One row per failure whose first relevant item is among the stored neighbors.
    """
    return failures.near_misses(_query_table(run, protocol))


def worst_ranks(run: Run, protocol: str | None = None) -> pd.DataFrame:
    """List the failures, the worst rank of the first relevant item first.

    Args:
        run: An evaluated run.
        protocol: Name of the evaluation protocol. By default, the run's primary one.

    Returns:
        One row per failure.
    """
    return failures.worst_ranks(_query_table(run, protocol))


def random_failures(
    run: Run, protocol: str | None = None, *, count: int = 6, seed: int = 0
) -> np.ndarray:
    """Draw queries at random among those whose nearest item is wrong.

    Args:
        run: An evaluated run.
        protocol: Name of the evaluation protocol. By default, the run's primary one.
        count: Largest number of queries. Defaults to 6.
        seed: Seed of the draw. Defaults to 0.

    Returns:
        int, (at most count,), item rows.
    """
    return inline_gallery.random_failure_rows(run, run.neighbors(protocol), count, seed)


def rank_histogram(run: Run, protocol: str | None = None) -> go.Figure:
    """Draw the rank of the first relevant item over all queries.

    Args:
        run: An evaluated run.
        protocol: Name of the evaluation protocol. By default, the run's primary one.
    """
    return figures.rank_histogram(run.neighbors(protocol).first_relevant_rank)


def confusion_map(run: Run, protocol: str | None = None) -> go.Figure:
    """Draw the most confused classes as a grid of squares.

    Args:
        run: An evaluated run.
        protocol: Name of the evaluation protocol. By default, the run's primary one.
    """
    labels = run.items["label"].to_numpy()
    pairs = failures.confused_pairs(_query_table(run, protocol), labels)
    return figures.confusion_map(pairs, class_names(run))


def hardest_classes(run: Run, protocol: str | None = None, count: int = 10) -> pd.DataFrame:
    """List the classes with the lowest Recall@1.

    Args:
        run: An evaluated run.
        protocol: Name of the evaluation protocol. By default, the run's primary one.
        count: Number of classes. Defaults to 10.

    Returns:
        Class name, number of queries, and R@1 with its 95% Wilson interval in percent.
    """
    worst = failures.class_table(_query_table(run, protocol)).head(count)
    return pd.DataFrame(
        {
            "class": worst["label"].map(class_names(run)),
            "queries": worst["queries"],
            "R@1": [
                metric("recall@1").format(*values)
                for values in zip(worst["recall"], worst["low"], worst["high"], strict=True)
            ],
        }
    ).set_index("class")


def hubs(run: Run, protocol: str | None = None) -> pd.DataFrame:
    """Count in how many top-10 lists each gallery item appears (hubness, Radovanovic 2010).

    Args:
        run: An evaluated run.
        protocol: Name of the evaluation protocol. By default, the run's primary one.

    Returns:
        Columns ``row``, ``class``, ``count`` and ``wrong`` (lists of queries of other classes),
        the largest hub first; anti-hubs are the rows with ``count == 0``.
    """
    neighbors, labels = run.neighbors(protocol), run.items["label"].to_numpy()
    table = oddities.occurrences(neighbors, labels, oddities.gallery_rows(neighbors, run.items))
    table.insert(1, "class", run.items["label_name"].to_numpy()[table["row"]])
    return table


def suspected_label_errors(run: Run, protocol: str | None = None) -> pd.DataFrame:
    """List the queries whose neighbors agree on one other class.

    Args:
        run: An evaluated run.
        protocol: Name of the evaluation protocol. By default, the run's primary one.

    Returns:
        One row per suspect, with ``row``, ``label`` and ``suggested`` (label), the most suspicious
        first.
    """
    labels = run.items["label"].to_numpy()
    return oddities.suspected_label_errors(run.neighbors(protocol), labels)


def near_duplicates(
    run: Run, protocol: str | None = None, *, across_classes: bool | None = None
) -> pd.DataFrame:
    """List the most similar pairs of items.

    Args:
        run: An evaluated run.
        protocol: Name of the evaluation protocol. By default, the run's primary one.
        across_classes: True keeps pairs of different classes only, False pairs of the same class
            only. By default, all pairs.

    Returns:
        Columns ``a`` and ``b`` (item rows) and ``similarity``, the most similar pair first.
    """
    labels = run.items["label"].to_numpy()
    return oddities.near_duplicates(run.neighbors(protocol), labels, across=across_classes)

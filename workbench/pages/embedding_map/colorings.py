"""The colorings of an embedding map."""

import numpy as np
import pandas as pd

from retrieval.runs.large import is_large
from workbench.analysis.failures import ranks_by_item
from workbench.analysis.naming import class_names
from workbench.analysis.oddities import HUB_K, gallery_rows, k_occurrence
from workbench.data import projections
from workbench.figures.colors import Coloring, by_class, by_level, by_outcome
from workbench.session.selection import Selection

FIRST_RELEVANT = "Rank of the first relevant item"
PRESERVATION = "Neighborhood preservation"


def color_options(chosen: Selection) -> list[str]:
    """Return the names of the colorings that the run has data for; the first is the default.

    Args:
        chosen: The choices made in the sidebar.
    """
    options = ["Right at rank 1", "Class", FIRST_RELEVANT, "Hubness"]
    if "super_name" in chosen.a.items:
        options.insert(2, "Superclass")
    if chosen.a.items["split"].nunique() > 1 or chosen.a.items["role"].nunique() > 1:
        options.append("Split and role")
    # Of a sample, the neighbors of an item are mostly not on the map.
    return options if is_large(len(chosen.a.items)) else [*options, PRESERVATION]


def coloring(chosen: Selection, color: str, rows: np.ndarray, layout: str) -> Coloring:
    """Color the points of a map.

    Args:
        chosen: The choices made in the sidebar.
        color: Name of the coloring, one of :func:`color_options`.
        rows: int, (m,), row of each point.
        layout: The projection of the map; its neighborhood preservation can be shown.

    Returns:
        The coloring of the m points.
    """
    items, neighbors = chosen.a.items, chosen.neighbors
    if color == "Class":
        return by_class(items["label"].to_numpy()[rows], class_names(chosen.a))
    if color == "Superclass":
        codes, values = pd.factorize(items["super_name"].astype(str))
        return by_class(codes[rows], dict(enumerate(values)))
    if color == "Split and role":
        codes, values = pd.factorize(items["split"].astype(str) + ", " + items["role"].astype(str))
        return by_class(codes[rows], dict(enumerate(values)))
    if color == "Hubness":
        return _hubness(chosen, rows)
    if color == PRESERVATION:
        shares = projections.neighborhood_preservation(chosen.a, neighbors, layout)[rows]
        title = f"share of the {projections.PRESERVATION_K} nearest items preserved"
        return by_level(shares, title, highest=1.0, percent=True, unknown="not a query")
    ranks = ranks_by_item(neighbors, len(items))
    if color == FIRST_RELEVANT:
        known = np.where(ranks > 0, ranks, np.nan)[rows]
        return by_level(known, "rank of the first relevant item", lowest=1, log=True, rare=True)
    return by_outcome(ranks[rows])


def _hubness(chosen: Selection, rows: np.ndarray) -> Coloring:
    counts = np.full(len(chosen.a.items), np.nan)
    gallery = gallery_rows(chosen.neighbors, chosen.a.items)
    counts[gallery] = k_occurrence(chosen.neighbors, len(counts))[gallery]
    title = f"number of top-{HUB_K} lists that the item is in"
    return by_level(counts[rows], title, log=True, unknown="not in the gallery")

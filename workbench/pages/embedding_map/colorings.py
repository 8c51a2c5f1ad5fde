"""What the points of an embedding map can be colored by."""

import numpy as np
import pandas as pd

from workbench.analysis.oddities import HUB_K, gallery_rows, k_occurrence
from workbench.data import projections
from workbench.figures.colors import Coloring, by_class, by_level, by_outcome
from workbench.layout.theme import class_names
from workbench.session.selection import Selection


def color_options(chosen: Selection) -> list[str]:
    """Return what the points of a map can be colored by; the first is the default."""
    options = ["Right at rank 1", "Class", "Rank of the first hit", "Hubness"]
    if "super_name" in chosen.a.items:
        options.insert(2, "Super-class")
    if chosen.a.items["split"].nunique() > 1 or chosen.a.items["role"].nunique() > 1:
        options.append("Split and role")
    return [*options, "Honesty of the map"]


def coloring(chosen: Selection, color: str, rows: np.ndarray, layout: str) -> Coloring:
    """Color the points of a map by what was asked for.

    Args:
        chosen: What is being looked at.
        color: One of :func:`color_options`.
        rows: int, (m,), row of each point.
        layout: The projection whose honesty is asked for.

    Returns:
        The coloring of the m points.
    """
    items, neighbors = chosen.a.items, chosen.neighbors
    if color == "Class":
        return by_class(items["label"].to_numpy()[rows], class_names(chosen.a))
    if color == "Super-class":
        codes, values = pd.factorize(items["super_name"].astype(str))
        return by_class(codes[rows], dict(enumerate(values)))
    if color == "Split and role":
        codes, values = pd.factorize(items["split"].astype(str) + ", " + items["role"].astype(str))
        return by_class(codes[rows], dict(enumerate(values)))
    if color == "Hubness":
        return _hubness(chosen, rows)
    if color == "Honesty of the map":
        kept = projections.honesty(chosen.a, neighbors, layout)[rows]
        title = f"share of the {projections.HONESTY_K} nearest that the map keeps near"
        return by_level(kept, title, highest=1.0, percent=True, unknown="no query")
    ranks = np.full(len(items), -1)
    ranks[neighbors.queries] = neighbors.first_relevant_rank
    if color == "Rank of the first hit":
        known = np.where(ranks > 0, ranks, np.nan)[rows]
        return by_level(known, "rank of the first correct item", lowest=1, log=True, rare=True)
    return by_outcome(ranks[rows])


def _hubness(chosen: Selection, rows: np.ndarray) -> Coloring:
    counts = np.full(len(chosen.a.items), np.nan)
    gallery = gallery_rows(chosen.neighbors, chosen.a.items)
    counts[gallery] = k_occurrence(chosen.neighbors, len(counts))[gallery]
    title = f"in how many lists of the {HUB_K} nearest it appears"
    return by_level(counts[rows], title, log=True, unknown="not in the gallery")

"""What the points of an embedding map can be coloured by."""

import numpy as np
import pandas as pd

from workbench import projections
from workbench.figures.colouring import Colouring, by_class, by_level, by_outcome
from workbench.oddities import k_occurrence
from workbench.state import Selection
from workbench.theme import class_names


def colour_options(chosen: Selection) -> list[str]:
    """Return what the points of a map can be coloured by; the first is the default."""
    options = ["Right at rank 1", "Class", "Rank of the first hit", "Hubness"]
    if "super_name" in chosen.a.items:
        options.insert(2, "Super-class")
    if chosen.a.items["split"].nunique() > 1 or chosen.a.items["role"].nunique() > 1:
        options.append("Split and role")
    return [*options, "Honesty of the map"]


def colouring(chosen: Selection, colour: str, rows: np.ndarray) -> Colouring:
    """Colour the points of a map by what was asked for.

    Args:
        chosen: What is being looked at.
        colour: One of :func:`colour_options`.
        rows: int, (m,), row of each point.

    Returns:
        The colouring of the m points.
    """
    items, neighbours = chosen.a.items, chosen.neighbours
    if colour == "Class":
        return by_class(items["label"].to_numpy()[rows], class_names(chosen.a))
    if colour == "Super-class":
        codes, values = pd.factorize(items["super_name"].astype(str))
        return by_class(codes[rows], dict(enumerate(values)))
    if colour == "Split and role":
        codes, values = pd.factorize(items["split"].astype(str) + ", " + items["role"].astype(str))
        return by_class(codes[rows], dict(enumerate(values)))
    if colour == "Hubness":
        counts = k_occurrence(neighbours, len(items))
        return by_level(counts[rows], "in no list", f"in {counts.max():,} lists", log=True)
    if colour == "Honesty of the map":
        kept = projections.honesty(chosen.a, neighbours)
        return by_level(kept[rows], "its neighbours here are not real", "they are", top=1.0)
    ranks = np.full(len(items), -1)
    ranks[neighbours.queries] = neighbours.first_hit
    if colour == "Rank of the first hit":
        above = np.maximum(ranks[rows] - 1, 0)
        return by_level(above, "rank 1, or no query", f"rank {ranks.max():,}", log=True)
    return by_outcome(ranks[rows])

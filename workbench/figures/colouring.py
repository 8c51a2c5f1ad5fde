"""What the points of a map are coloured by: a category or a level of each, and what it means."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.palette import CATEGORIES, HIT, MISS, OTHER, RUN_A, RUN_B, SEQUENTIAL


@dataclass(frozen=True)
class Colouring:
    """How the points are coloured.

    Attributes:
        codes: uint8, (n,): category of each point, or for a scale its level 0..255.
        names: Name of each category; for a scale, of its two ends.
        colours: Colour of each category; for a scale, the colours from low to high.
        scale: The codes are levels of a continuous scale.
        symbols: Plotly marker symbol of each category, so that colour is not alone; ``circle``
            lies below every other one.
    """

    codes: np.ndarray
    names: Sequence[str]
    colours: Sequence[str]
    scale: bool = False
    symbols: Sequence[str] | None = None


def by_outcome(first_hit: np.ndarray) -> Colouring:
    """Colour by outcome at rank 1.

    Args:
        first_hit: int, (n,), rank of each point's first hit; 0 = none, -1 = not a query.

    Returns:
        Categories right, wrong and not scored.
    """
    codes = np.where(first_hit == 1, 0, np.where(first_hit > 1, 1, 2)).astype(np.uint8)
    return Colouring(
        codes,
        ("✓ right at rank 1", "✗ wrong", "not scored"),
        (HIT, MISS, OTHER),
        symbols=("circle", "x", "circle"),
    )


def by_outcomes(a: np.ndarray, b: np.ndarray) -> Colouring:
    """Colour by the outcome at rank 1 under two runs.

    Args:
        a: int, (n,): 1 right under run A, 0 wrong, -1 not a query.
        b: int, (n,): the same under run B.

    Returns:
        Categories only A right, only B right, both, neither and not scored.
    """
    cases = [(a == 1) & (b == 0), (a == 0) & (b == 1), (a == 1) & (b == 1), (a == 0) & (b == 0)]
    return Colouring(
        np.select(cases, range(4), 4).astype(np.uint8),
        ("✓ only A", "✓ only B", "✓ both", "✗ neither", "not scored"),
        (RUN_A, RUN_B, "rgba(105, 160, 190, 0.45)", "rgba(128, 90, 70, 0.75)", OTHER),
        symbols=("circle", "circle", "circle", "x", "circle"),
    )


def by_class(labels: np.ndarray, names: dict[int, str], top: int = 20) -> Colouring:
    """Colour the largest classes, and all others grey.

    Args:
        labels: int, (n,).
        names: Class name per label.
        top: How many classes get a colour.

    Returns:
        Categories, largest class first, ``other`` last.
    """
    values, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    largest = np.argsort(-counts, kind="stable")[: min(top, len(CATEGORIES))]
    code = np.full(len(values), len(largest), np.uint8)
    code[largest] = np.arange(len(largest))
    shown = [names[int(values[i])] for i in largest]
    other = len(values) > len(largest)
    return Colouring(
        code[inverse].astype(np.uint8),
        (*shown, f"{len(values) - len(largest):,} other classes") if other else tuple(shown),
        (*CATEGORIES[: len(largest)], OTHER),
    )


def by_level(
    values: np.ndarray, low: str, high: str, *, log: bool = False, top: float | None = None
) -> Colouring:
    """Colour by a number, from pale to dark.

    Args:
        values: float, (n,); negative values and NaN count as the lowest.
        low: What the pale end means.
        high: What the dark end means.
        log: Spread small values on a logarithmic scale.
        top: Value of the dark end; default: the largest.

    Returns:
        A continuous colouring with 256 levels.
    """
    values = np.nan_to_num(np.asarray(values, np.float64), nan=0.0).clip(min=0)
    values = np.log1p(values) if log else values
    span = max(float(values.max(initial=0)), 1e-9) if top is None else top
    return Colouring(
        (255 * values / span).clip(max=255).astype(np.uint8), (low, high), SEQUENTIAL, scale=True
    )


def channels(colouring: Colouring) -> np.ndarray:
    """Return the colour of every code in numbers.

    Plotly takes these ten times as fast as names of colours or places on a scale.

    Args:
        colouring: Of any points.

    Returns:
        uint8, (codes, 4): red, green, blue and alpha.
    """
    colours = np.array([_rgba(colour) for colour in colouring.colours], np.float64)
    if colouring.scale:
        places = np.linspace(0, 255, len(colours))
        colours = np.stack([np.interp(np.arange(256), places, c) for c in colours.T], axis=1)
    return colours.round().astype(np.uint8)


def _rgba(colour: str) -> tuple[float, ...]:
    if colour.startswith("#"):
        return (*bytes.fromhex(colour[1:]), 255.0)
    red, green, blue, *alpha = (float(n) for n in re.findall(r"[\d.]+", colour))
    return red, green, blue, 255 * (alpha[0] if alpha else 1.0)

"""What the points of a map are colored by: a category or a level of each, and what it means.

Points of a map colored by a number, with a scale in the data's units.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.figures.palette import CATEGORIES, FAINT, HIT, MISS, OTHER, RUN_A, RUN_B, SEQUENTIAL


@dataclass(frozen=True)
class Scale:
    """What the levels of a graded coloring mean.

    Attributes:
        title: What is measured, and whether its logarithm is shown.
        ticks: Level, 1..255, and text of some values in the data's units.
    """

    title: str
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Coloring:
    """How the points are colored.

    Attributes:
        codes: uint8, (n,): category of each point; for a scale its level 1..255, or 0 if unknown.
        names: Name of each category; for a scale, of the unknown ones, if there are any.
        colors: Color of each category; for a scale, the colors from low to high.
        scale: What the levels mean, for a scale.
        symbols: Plotly marker symbol of each category, so that color is not alone; ``circle``
            lies below every other one.
        layers: Categories from back to front; default: as they are numbered. On a scale, high
            levels lie in front.
        prominence: Size of each category's or level's points on a crowded map; of those above 1,
            nothing shines through.
    """

    codes: np.ndarray
    names: Sequence[str]
    colors: Sequence[str]
    scale: Scale | None = None
    symbols: Sequence[str] | None = None
    layers: Sequence[int] | None = None
    prominence: Sequence[float] | None = None

    def back_to_front(self) -> np.ndarray:
        """Return the order in which to draw the points, int64, (n,): what matters comes last."""
        if self.layers is None:
            return np.argsort(self.codes, kind="stable")
        depth = np.empty(len(self.layers), np.uint8)
        depth[list(self.layers)] = np.arange(len(self.layers))
        return np.argsort(depth[self.codes], kind="stable")


def by_outcome(first_hit: np.ndarray) -> Coloring:
    """Color by outcome at rank 1.

    Args:
        first_hit: int, (n,), rank of each point's first hit; 0 = none, -1 = not a query.

    Returns:
        Categories right, wrong and not scored.
    """
    codes = np.where(first_hit == 1, 0, np.where(first_hit > 1, 1, 2)).astype(np.uint8)
    return Coloring(
        codes,
        ("✓ right at rank 1", "✗ wrong", "not scored"),
        (HIT, MISS, OTHER),
        symbols=("circle", "x", "circle"),
        layers=(2, 0, 1),
        prominence=(1.0, 2.6, 1.0),
    )


def by_outcomes(a: np.ndarray, b: np.ndarray, colors: tuple[str, str] = (RUN_A, RUN_B)) -> Coloring:
    """Color by the outcome at rank 1 under two runs.

    Args:
        a: int, (n,): 1 right under run A, 0 wrong, -1 not a query.
        b: int, (n,): the same under run B.
        colors: Of A and B.

    Returns:
        Categories only A right, only B right, both, neither and not scored.
    """
    cases = [(a == 1) & (b == 0), (a == 0) & (b == 1), (a == 1) & (b == 1), (a == 0) & (b == 0)]
    return Coloring(
        np.select(cases, range(4), 4).astype(np.uint8),
        ("✓ only A", "✓ only B", "✓ both", "✗ neither", "not scored"),
        # Colors are the runs', whatever these are: the same for both is gray, and signs differ.
        (*colors, "rgba(100, 108, 118, 0.7)", "rgba(128, 90, 70, 0.75)", FAINT),
        symbols=("diamond", "square", "circle", "x", "circle"),
        layers=(4, 2, 3, 0, 1),
        prominence=(1.7, 1.7, 1.0, 1.0, 1.0),
    )


def by_class(labels: np.ndarray, names: dict[int, str], top: int = 20) -> Coloring:
    """Color the largest classes, and all others gray.

    Args:
        labels: int, (n,).
        names: Class name per label.
        top: How many classes get a color.

    Returns:
        Categories, largest class first, ``other`` last.
    """
    values, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    largest = np.argsort(-counts, kind="stable")[: min(top, len(CATEGORIES))]
    code = np.full(len(values), len(largest), np.uint8)
    code[largest] = np.arange(len(largest))
    shown = [names[int(values[i])] for i in largest]
    if len(values) > len(largest):
        shown.append(f"{len(values) - len(largest):,} other classes")
    return Coloring(
        code[inverse].astype(np.uint8),
        tuple(shown),
        (*CATEGORIES[: len(largest)], OTHER)[: len(shown)],
        layers=range(len(shown))[::-1],  # the others at the back
        prominence=(*[1.6] * len(largest), 1.0)[: len(shown)],
    )


def channels(coloring: Coloring) -> np.ndarray:
    """Return the color of every code in numbers.

    Plotly takes these ten times as fast as names of colors or places on a scale.

    Args:
        coloring: Of any points.

    Returns:
        uint8, (codes, 4): red, green, blue and alpha.
    """
    colors = np.array([_rgba(color) for color in coloring.colors], np.float64)
    if coloring.scale:
        places = np.linspace(1, 255, len(colors))
        levels = np.stack([np.interp(np.arange(1, 256), places, c) for c in colors.T], axis=1)
        colors = np.vstack([_rgba(OTHER), levels])
    return colors.round().astype(np.uint8)


def _rgba(color: str) -> tuple[float, ...]:
    if color.startswith("#"):
        return (*bytes.fromhex(color[1:]), 255.0)
    red, green, blue, *alpha = (float(n) for n in re.findall(r"[\d.]+", color))
    return red, green, blue, 255 * (alpha[0] if alpha else 1.0)


ROOM = 17  # levels of 255 between two ticks, so that their texts stay apart


def by_level(
    values: np.ndarray,
    title: str,
    *,
    lowest: float = 0.0,
    highest: float | None = None,
    log: bool = False,
    percent: bool = False,
    unknown: str = "not scored",
    rare: bool = False,
) -> Coloring:
    """Color by a number, from pale to dark.

    Args:
        values: float, (n,); NaN where unknown.
        title: What is measured.
        lowest: Value of the pale end.
        highest: Value of the dark end; default: the largest.
        log: Spread small values: level by the logarithm of 1 + value - lowest.
        percent: Name values of 0..1 in percent.
        unknown: What it means that there is no value.
        rare: High values are few: draw their points larger where many crowd.

    Returns:
        A graded coloring with 255 levels.
    """
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    top = float(values[known].max(initial=lowest)) if highest is None else highest

    def level(value: np.ndarray | float) -> np.ndarray:
        above = np.maximum(np.asarray(value) - lowest, 0)
        place, span = (np.log1p(above), np.log1p(top - lowest)) if log else (above, top - lowest)
        return np.clip(1 + 254 * place / (span or 1), 1, 255)

    codes = np.zeros(len(values), np.uint8)
    codes[known] = level(values[known]).round()
    text = "{:.0%}" if percent else "{:,.0f}"
    ticks = _log_ticks(lowest, top, level) if log else np.linspace(lowest, top, 5)
    return Coloring(
        codes,
        () if known.all() else (unknown,),
        SEQUENTIAL,
        Scale(
            f"{title} (log scale)" if log else title,
            tuple((float(level(v)), text.format(v)) for v in dict.fromkeys(map(float, ticks))),
        ),
        prominence=(1.0, *np.linspace(1.0, 2.5, 255)) if rare else None,
    )


def _log_ticks(lowest: float, top: float, level: Callable[[float], float]) -> list[float]:
    """Return both ends, and 1, 2, 5, 10, ... or powers of ten between where there is room."""
    inner = [m * 10**e for e in range(9) for m in (1, 2, 5) if lowest < m * 10**e < top]
    if len(inner) > 7:
        inner = [value for value in inner if str(value)[0] == "1"]
    ticks = [lowest]
    for value in inner:
        if min(level(value) - level(ticks[-1]), level(top) - level(value)) > ROOM:
            ticks.append(value)
    return [*ticks, top]

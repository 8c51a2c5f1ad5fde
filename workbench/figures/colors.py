"""Colors: the palette, one color per loss, and the coloring of the points of a map."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.analysis.naming import UNTRAINED_TITLE

# The color-blind can tell these apart (after Okabe and Ito). Each has one meaning.
HIT = "#1487B8"
MISS = "#D9601A"
NEUTRAL = "#8A94A0"
RUN_A = "#6A4FC4"
RUN_B = "#E3B505"
ACCENT = "#0072B2"  # what is selected or in use, as in the theme
HIT_SIGN = "✓"
MISS_SIGN = "✗"
# None of these looks like right or wrong.
CATEGORIES = (
    "#6A4FC4", "#E3B505", "#009E73", "#D678A8", "#A3195B", "#9C7A4A", "#7FD1C7",
    "#999933", "#AA4499", "#117733", "#CC6677", "#DDCC77", "#332288", "#B2DF8A",
    "#661100", "#B39DDB", "#F2A7C3", "#5E7D1E", "#6B4C2A", "#4B7F6B",
)  # fmt: skip
OTHER = "rgba(138, 148, 160, 0.5)"
FAINT = "rgba(138, 148, 160, 0.3)"  # beside a gray that means something
SEQUENTIAL = (
    "#E8E3C9", "#CBD5B1", "#9CC9B0", "#68B5B5", "#3D9AB5", "#2A7BA9", "#2B5A93", "#2F3B72",
)  # fmt: skip
UNTRAINED_COLOR = "#66727F"  # darker than the gray of points that are not scored
LOSS_COLORS = {
    "hard_triplet": "#009E73",
    "semi_hard_triplet": "#6A4FC4",
    "lifted_loss": "#D678A8",
    "npairs_loss": "#E3B505",
    "angular_loss": "#A3195B",
    "contrastive_loss": "#9C7A4A",
    "multi_similarity": "#7FD1C7",
}


def colors_of(names: Sequence[str]) -> dict[str, str]:
    """Choose a color for every name: a loss has the same one everywhere, others get a free one.

    Args:
        names: Titles of losses or runs. A title may start with the name of a loss; only the first
            such title gets the color of the loss.

    Returns:
        Name -> hex color.
    """
    chosen: dict[str, str] = {}
    for name in names:
        if name.startswith(UNTRAINED_TITLE):
            chosen[name] = UNTRAINED_COLOR
        loss = next((known for known in LOSS_COLORS if name.startswith(known)), None)
        color = LOSS_COLORS.get(loss or "")
        if color and color not in chosen.values():
            chosen[name] = color
    free = [c for c in CATEGORIES if c not in chosen.values()]
    free = free or list(CATEGORIES)
    rest = [name for name in names if name not in chosen]
    chosen |= {name: free[i % len(free)] for i, name in enumerate(rest)}
    return {name: chosen[name] for name in names}


@dataclass(frozen=True)
class Scale:
    """What the levels of a graded coloring mean.

    Attributes:
        title: The quantity, and whether its scale is logarithmic.
        ticks: Level (1..255) and text of a few values, in the units of the data.
    """

    title: str
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Coloring:
    """How the n points of a map are colored: by category, or by level on a scale.

    Attributes:
        codes: uint8, (n,). The category of each point or, on a scale, its level in 1..255, and 0
            where its value is unknown.
        names: Name of each category; on a scale, the name of unknown values, if there are any.
        colors: Color of each category; on a scale, the colors from low to high.
        scale: What the levels mean. Defaults to None: the codes are categories.
        symbols: Plotly marker symbol of each category, so that color is not the only cue; Plotly
            draws circles below all other symbols. By default, circles.
        layers: Categories from back to front. By default, in the order of their numbers, and on a
            scale from low to high.
        prominence: Size of the points of each category or level on a crowded map, relative to
            others. Points above 1 are opaque. By default, all points are alike.
    """

    codes: np.ndarray
    names: Sequence[str]
    colors: Sequence[str]
    scale: Scale | None = None
    symbols: Sequence[str] | None = None
    layers: Sequence[int] | None = None
    prominence: Sequence[float] | None = None

    def back_to_front(self) -> np.ndarray:
        """Return the order in which to draw the points, int64, (n,): the front is drawn last."""
        if self.layers is None:
            return np.argsort(self.codes, kind="stable")
        depth = np.empty(len(self.layers), np.uint8)
        depth[list(self.layers)] = np.arange(len(self.layers))
        return np.argsort(depth[self.codes], kind="stable")

    def rgba(self) -> np.ndarray:
        """Return the color of every code in numbers.

        Plotly takes these ten times as fast as names of colors or values on a scale.

        Returns:
            uint8, (codes, 4): red, green, blue and alpha, each 0..255.
        """
        colors = np.array([_rgba(color) for color in self.colors], np.float64)
        if self.scale:
            places = np.linspace(1, 255, len(colors))
            levels = np.stack([np.interp(np.arange(1, 256), places, c) for c in colors.T], axis=1)
            colors = np.vstack([_rgba(OTHER), levels])
        return colors.round().astype(np.uint8)


def _rgba(color: str) -> tuple[float, ...]:
    if color.startswith("#"):
        return (*bytes.fromhex(color[1:]), 255.0)
    red, green, blue, *alpha = (float(n) for n in re.findall(r"[\d.]+", color))
    return red, green, blue, 255 * (alpha[0] if alpha else 1.0)


def by_outcome(first_relevant_rank: np.ndarray) -> Coloring:
    """Color points by whether the nearest item of each query is right.

    Args:
        first_relevant_rank: int, (n,), rank of each point's first relevant item; 0 where the
            gallery holds none, -1 where the point is no query.

    Returns:
        The categories right, wrong and not scored.
    """
    ranks = first_relevant_rank
    codes = np.where(ranks == 1, 0, np.where(ranks > 1, 1, 2)).astype(np.uint8)
    return Coloring(
        codes,
        ("✓ right at rank 1", "✗ wrong", "not scored"),
        (HIT, MISS, OTHER),
        symbols=("circle", "x", "circle"),
        layers=(2, 0, 1),
        prominence=(1.0, 2.6, 1.0),
    )


def by_outcomes(a: np.ndarray, b: np.ndarray, colors: tuple[str, str] = (RUN_A, RUN_B)) -> Coloring:
    """Color points by which of two runs is right at rank 1.

    Args:
        a: int, (n,): 1 where run A is right, 0 where it is wrong, -1 where the point is no query.
        b: int, (n,), the same for run B.
        colors: Colors of runs A and B.

    Returns:
        The categories only A right, only B right, both, neither and not scored.
    """
    cases = [(a == 1) & (b == 0), (a == 0) & (b == 1), (a == 1) & (b == 1), (a == 0) & (b == 0)]
    return Coloring(
        np.select(cases, range(4), 4).astype(np.uint8),
        ("✓ only A", "✓ only B", "✓ both", "✗ neither", "not scored"),
        # The runs may have any colors, so the other categories are gray or brown, and the symbols
        # of all of them differ.
        (*colors, "rgba(100, 108, 118, 0.7)", "rgba(128, 90, 70, 0.75)", FAINT),
        symbols=("diamond", "square", "circle", "x", "circle"),
        layers=(4, 2, 3, 0, 1),
        prominence=(1.7, 1.7, 1.0, 1.0, 1.0),
    )


def by_class(labels: np.ndarray, names: dict[int, str], top: int = 20) -> Coloring:
    """Color points by class: the largest classes have a color each, all others share a gray.

    Args:
        labels: int, (n,), class labels.
        names: Label -> class name.
        top: Number of classes with a color of their own, at most 20. Defaults to 20.

    Returns:
        One category per class, the largest one first, and one for all other classes.
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


TICK_GAP = 17  # least distance of two ticks in levels of 255, so that their texts stay apart


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
    """Color points by a number, from pale to dark.

    Args:
        values: float, (n,); NaN where unknown.
        title: Name of the quantity.
        lowest: Value at the pale end. Defaults to 0.
        highest: Value at the dark end. Defaults to the largest value.
        log: Use a logarithmic scale, of 1 + value - lowest. Defaults to False.
        percent: Write values of 0..1 in percent. Defaults to False.
        unknown: Name of unknown values in the legend. Defaults to "not scored".
        rare: Draw the points of high values larger on a crowded map, because there are few of
            them. Defaults to False.

    Returns:
        A coloring by 255 levels.
    """
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    top = float(values[known].max(initial=lowest)) if highest is None else highest

    def level(value: np.ndarray) -> np.ndarray:
        above = np.maximum(value - lowest, 0)
        place, span = (np.log1p(above), np.log1p(top - lowest)) if log else (above, top - lowest)
        return np.clip(1 + 254 * place / (span or 1), 1, 255)

    def level_of(value: float) -> float:
        return float(level(np.asarray(value)))

    codes = np.zeros(len(values), np.uint8)
    codes[known] = level(values[known]).round()
    text = "{:.0%}" if percent else "{:,.0f}"
    ticks = _log_ticks(lowest, top, level_of) if log else np.linspace(lowest, top, 5)
    return Coloring(
        codes,
        () if known.all() else (unknown,),
        SEQUENTIAL,
        Scale(
            f"{title} (log scale)" if log else title,
            tuple((level_of(v), text.format(v)) for v in dict.fromkeys(map(float, ticks))),
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
        if min(level(value) - level(ticks[-1]), level(top) - level(value)) > TICK_GAP:
            ticks.append(value)
    return [*ticks, top]

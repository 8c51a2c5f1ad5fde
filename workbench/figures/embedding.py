"""The embedding map: every item one point of one WebGL trace, coloured by what is asked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from workbench.figures.style import as_text, styled
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


def embedding_map(
    points: np.ndarray,
    rows: np.ndarray,
    colouring: Colouring,
    *,
    height: int = 640,
    legend: bool = True,
    frame: np.ndarray | None = None,
) -> go.Figure:
    """Draw items as points of one trace.

    Args:
        points: float32, (n, 2) or (n, 3), positions.
        rows: int, (n,), row of the item of each point; sent as ``customdata``.
        colouring: Of the n points.
        height: Pixels.
        legend: Show what the colours mean.
        frame: float, (m, 2), points that the view holds, so that several maps share one.

    Returns:
        A figure whose first trace holds every point in the given order.
    """
    points = np.ascontiguousarray(points, np.float32)
    flat = points.shape[1] == 2
    if not flat:  # WebGL leaves out points of a transparent colour there
        solid = tuple(re.sub(r"rgba\((.*),.*\)", r"rgb(\1)", c) for c in colouring.colours)
        colouring = replace(colouring, colours=solid)
    trace = go.Scattergl if flat else go.Scatter3d
    data = {
        **dict(zip("xyz", points.T.copy(), strict=False)),
        "type": "scattergl" if flat else "scatter3d",
        "mode": "markers",
        "marker": _marker(colouring, len(points), flat),
        "customdata": np.asarray(rows, np.int32),
        "hoverinfo": "none",
        "showlegend": False,
        **({"unselected": {"marker": {"opacity": 0.12}}} if flat else {}),
    }
    figure = go.Figure([data], _validate=False)  # checking 60,000 symbols takes half a second
    if legend:
        _add_legend(figure, trace, colouring)
    figure = styled(figure, height=height, legend=legend)
    _hide_axes(figure, flat)
    if frame is not None:
        low, high = frame.min(0), frame.max(0)
        margin = 0.04 * (high - low)
        figure.update_xaxes(range=[low[0] - margin[0], high[0] + margin[0]])
        figure.update_yaxes(range=[low[1] - margin[1], high[1] + margin[1]])
    figure.update_layout(dragmode="pan" if flat else "orbit", legend={"itemclick": False})
    return figure


def _marker(colouring: Colouring, n: int, flat: bool) -> dict:
    size = 7 if n < 3000 else 5 if n < 15000 else 4 if colouring.symbols else 3
    colours = list(colouring.colours)
    if colouring.scale:
        steps = [[i / (len(colours) - 1), c] for i, c in enumerate(colours)]
        low, high = 0, 255
    else:
        edges = np.linspace(0, 1, len(colours) + 1)
        steps = [[edges[i + j], c] for i, c in enumerate(colours) for j in (0, 1)]
        low, high = -0.5, len(colours) - 0.5
    marker = {
        "color": colouring.codes,
        "colorscale": steps,
        "cmin": low,
        "cmax": high,
        "size": size if flat else max(2, size - 3),
        "opacity": 0.85 if n < 15000 else 0.6,
    }
    if colouring.symbols:
        marker["symbol"] = np.asarray(colouring.symbols, object)[colouring.codes]
        if not flat:  # there, Plotly halves sizes that differ, and a cross is wider than a circle
            marker["size"] = np.where(marker["symbol"] == "x", 1.3, 2.0) * marker["size"]
    return marker


def _add_legend(figure: go.Figure, trace, colouring: Colouring) -> None:
    """Add empty traces that only carry the legend: the points themselves stay one trace."""
    names, colours = list(colouring.names), list(colouring.colours)
    if colouring.scale:
        colours = [colours[0], colours[-1]]
    symbols = colouring.symbols or ["circle"] * len(names)
    for name, colour, symbol in zip(names, colours, symbols, strict=False):
        figure.add_trace(
            trace(
                **{axis: [None] for axis in ("xy" if trace is go.Scattergl else "xyz")},
                mode="markers",
                name=as_text(name, 28),
                marker={"color": colour, "size": 9, "symbol": symbol},
                hoverinfo="skip",
            )
        )


def _hide_axes(figure: go.Figure, flat: bool) -> None:
    if flat:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
    else:
        hidden = {"visible": False}
        figure.update_scenes(xaxis=hidden, yaxis=hidden, zaxis=hidden, aspectmode="data")

"""The embedding map: every item is a point of one WebGL trace."""

import math
import re
import zlib
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from workbench.figures.colors import OTHER, Coloring, Scale
from workbench.figures.style import short_names, styled

# Plotly's numbers of its symbols: a quarter of the bytes of the names. In 3-D it takes names only.
SYMBOLS = {"circle": 0, "square": 1, "diamond": 2, "cross": 3, "x": 4}
CROWDED = 15_000  # number of points from which the prominent ones are drawn larger


def embedding_map(
    points: np.ndarray,
    rows: np.ndarray,
    coloring: Coloring,
    *,
    height: int = 640,
    legend: bool = True,
    frame: np.ndarray | None = None,
) -> go.Figure:
    """Draw items as points of one trace.

    Args:
        points: float32, (n, 2) or (n, 3), positions.
        rows: int, (n,), item row of each point.
        coloring: The coloring of the n points.
        height: Height in pixels. Defaults to 640.
        legend: Show what the colors mean. Defaults to True.
        frame: float, (m, 2), points that the view has to hold, so that several maps share one view.
            By default, the view fits ``points``.

    Returns:
        A figure whose first trace holds every point, from back to front; see :func:`drawn_rows`.
    """
    flat = points.shape[1] == 2
    order = coloring.back_to_front()
    points, rows, codes = points[order], np.asarray(rows)[order], coloring.codes[order]
    trace = _trace(points, rows, coloring, codes)
    figure = go.Figure([trace], _validate=False)  # checking 60,000 symbols takes half a second
    if legend:
        _add_legend(figure, coloring, codes, flat)
    figure = styled(figure, height=height, legend=legend)
    _hide_axes(figure, flat)
    if frame is not None:
        low, high = frame.min(0), frame.max(0)
        margin = 0.04 * (high - low)
        figure.update_xaxes(range=[low[0] - margin[0], high[0] + margin[0]])
        figure.update_yaxes(range=[low[1] - margin[1], high[1] + margin[1]])
    figure.update_layout(
        dragmode="pan" if flat else "orbit",
        legend=_legend_layout(coloring),
        datarevision=_revision(points, rows, coloring, codes),
    )
    return figure


def _trace(points: np.ndarray, rows: np.ndarray, coloring: Coloring, codes: np.ndarray) -> dict:
    flat = points.shape[1] == 2
    return {
        **dict(zip("xyz", map(_SharedList, _rounded(points).T.tolist()), strict=False)),
        "type": "scattergl" if flat else "scatter3d",
        "mode": "markers",
        "marker": _marker(coloring, codes, flat),
        "customdata": _SharedList(rows.tolist()),
        # The page finds the point under the pointer itself: Plotly looks at every point, and warns
        # of colors in numbers. In three dimensions only Plotly knows where a point is.
        "hoverinfo": "skip" if flat else "none",
        "showlegend": False,
        **({"unselected": {"marker": {"opacity": 0.12}}} if flat else {}),
    }


def drawn_rows(figure: go.Figure) -> np.ndarray:
    """Return the item row of each point of a map, int64, in the order of its trace.

    Plotly reports points by their position in the trace, in selections as well.
    """
    return np.asarray(figure.data[0].customdata, np.int64)


class _SharedList(list):
    """A list that copies of a figure share: Plotly copies a list twice, element by element."""

    def __deepcopy__(self, memo: dict) -> "_SharedList":
        return self


def _rounded(points: np.ndarray) -> np.ndarray:
    """Round positions to a millionth of their extent: fewer digits to send, invisible on screen."""
    points = np.asarray(points, np.float64)
    finite = points[np.isfinite(points).all(axis=1)]
    extent = float(np.ptp(finite, axis=0).max()) if len(finite) else 0.0
    return np.round(points, 6 - math.ceil(math.log10(extent))) if extent else points


def _revision(points: np.ndarray, rows: np.ndarray, coloring: Coloring, codes: np.ndarray) -> int:
    """Return a checksum of the data, by which Plotly can tell whether it changed.

    Streamlit draws a figure several times. Without the number, Plotly works through 60,000 points
    each time.
    """
    checksum = zlib.crc32(repr((coloring.colors, coloring.symbols)).encode())
    for part in (points, rows, codes):
        checksum = zlib.crc32(np.ascontiguousarray(part).data, checksum)
    return checksum


def _marker(coloring: Coloring, codes: np.ndarray, flat: bool) -> dict:
    n = len(codes)
    crowded = flat and n >= CROWDED
    size = 7 if n < 3000 else 5 if n < CROWDED else 3
    colors = coloring.rgba()
    opacity = 0.85 if n < CROWDED else 0.6
    # By default, Plotly outlines points of varying size and points in 3-D.
    marker = {"size": size, "opacity": opacity, "line": {"width": 0}}
    if crowded and coloring.prominence is not None:
        prominence = np.asarray(coloring.prominence)
        marker["size"] = _SharedList(np.round(size * prominence, 1)[codes].tolist())
        colors[prominence <= 1, 3] = np.round(opacity * colors[prominence <= 1, 3])
        marker["opacity"] = 1.0
    if not flat:  # there, WebGL skips points of a transparent color
        marker["size"] = size = max(2, size - 3)
        colors[:, 3] = 255
    marker["color"] = colors[codes]
    if coloring.symbols:
        drawn = np.asarray(coloring.symbols, object)[codes]
        numbers = np.asarray([SYMBOLS[name] for name in coloring.symbols])
        marker["symbol"] = _SharedList((numbers[codes] if flat else drawn).tolist())
        if not flat:  # there, Plotly halves varying sizes, and a cross is wider than a circle
            marker["size"] = np.where(drawn == "x", 1.3, 2.0) * size
    return marker


def _add_legend(figure: go.Figure, coloring: Coloring, codes: np.ndarray, flat: bool) -> None:
    """Add empty traces that only make the legend: the points themselves stay one trace."""
    kind = go.Scattergl if flat else go.Scatter3d
    nothing = {axis: [None] for axis in ("xy" if flat else "xyz")}
    if coloring.scale:
        bar = {"marker": _scale_marker(coloring.scale, coloring.colors), "showlegend": False}
        figure.add_trace(kind(**nothing, mode="markers", hoverinfo="skip", **bar))
    names = list(coloring.names)
    colors = [OTHER] if coloring.scale else coloring.colors
    if not flat:
        colors = [re.sub(r"rgba\((.*),.*\)", r"rgb(\1)", color) for color in colors]
    symbols = coloring.symbols or ["circle"] * len(names)
    shown = short_names(names, 28 if len(names) < 7 else 22)
    for code, (name, color, symbol) in enumerate(zip(shown, colors, symbols, strict=False)):
        if not coloring.scale and not (codes == code).any():
            continue  # the map has no such point
        marker = {"color": color, "size": 9, "symbol": symbol}
        figure.add_trace(
            kind(**nothing, mode="markers", name=name, marker=marker, hoverinfo="skip")
        )


def _scale_marker(scale: Scale, colors: Sequence[str]) -> dict:
    """Return the marker of an empty trace, with the color bar of the levels."""
    levels, texts = zip(*scale.ticks, strict=True)
    bar = {
        "orientation": "h",
        "title": {"text": scale.title, "side": "top", "font": {"size": 12}},
        "tickvals": levels,
        "ticktext": texts,
        "tickfont": {"size": 11},
        "ticks": "outside",
        "ticklen": 3,
        "thickness": 10,
        "outlinewidth": 0,
        **{"x": 0, "xanchor": "left", "xpad": 12, "len": 0.8},
        **{"y": 1.02, "yanchor": "bottom", "ypad": 0},
    }
    return {
        "color": [1],
        "colorscale": list(colors),
        "cmin": 1,
        "cmax": 255,
        "showscale": True,
        "colorbar": bar,
    }


def _legend_layout(coloring: Coloring) -> dict:
    place = {"itemclick": False, "itemdoubleclick": False, "font": {"size": 12}}
    if coloring.scale:  # the color bar is above the map
        return place | {"y": -0.02, "yanchor": "top"}
    if len(coloring.names) > 7:  # the map matters more; the legend scrolls
        return place | {"maxheight": 0.16, "font": {"size": 11}}
    return place | {"maxheight": 0.7}


def _hide_axes(figure: go.Figure, flat: bool) -> None:
    if flat:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
    else:
        hidden = {"visible": False}
        figure.update_scenes(xaxis=hidden, yaxis=hidden, zaxis=hidden, aspectmode="data")

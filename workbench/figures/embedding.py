"""The embedding map: every item one point of one WebGL trace, colored by what is asked."""

import math
import re
import zlib

import numpy as np
import plotly.graph_objects as go

from workbench.figures.coloring import Coloring, channels
from workbench.figures.palette import OTHER
from workbench.figures.style import short_names, styled

# Plotly's numbers: a quarter of the names to send. In three dimensions it knows names only.
SYMBOLS = {"circle": 0, "square": 1, "diamond": 2, "cross": 3, "x": 4}
CROWDED = 15_000  # points from which on some have to stand out


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
        rows: int, (n,), row of the item of each point.
        coloring: Of the n points.
        height: Pixels.
        legend: Show what the colors mean.
        frame: float, (m, 2), points that the view holds, so that several maps share one.

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
        legend=_legend_place(coloring),
        datarevision=_revision(points, rows, coloring, codes),
    )
    return figure


def _trace(points: np.ndarray, rows: np.ndarray, coloring: Coloring, codes: np.ndarray) -> dict:
    flat = points.shape[1] == 2
    return {
        **dict(zip("xyz", map(_Kept, _short(points).T.tolist()), strict=False)),
        "type": "scattergl" if flat else "scatter3d",
        "mode": "markers",
        "marker": _marker(coloring, codes, flat),
        "customdata": _Kept(rows.tolist()),
        # The page finds the point under the pointer itself: Plotly looks at every point, and warns
        # of colors in numbers. In three dimensions only Plotly knows where a point is.
        "hoverinfo": "skip" if flat else "none",
        "showlegend": False,
        **({"unselected": {"marker": {"opacity": 0.12}}} if flat else {}),
    }


def drawn_rows(figure: go.Figure) -> np.ndarray:
    """Return the row of the item of each point of a map, int64, in the order of its trace.

    Plotly numbers points so, in selections as well.
    """
    return np.asarray(figure.data[0].customdata, np.int64)


class _Kept(list):
    """A list that a copy of a figure shares: Plotly copies one twice, element by element."""

    def __deepcopy__(self, memo: dict) -> "_Kept":
        return self


def _short(points: np.ndarray) -> np.ndarray:
    """Round to a millionth of the extent: fewer digits to send, and none that a screen shows."""
    points = np.asarray(points, np.float64)
    finite = points[np.isfinite(points).all(axis=1)]
    extent = float(np.ptp(finite, axis=0).max()) if len(finite) else 0.0
    return np.round(points, 6 - math.ceil(math.log10(extent))) if extent else points


def _revision(points: np.ndarray, rows: np.ndarray, coloring: Coloring, codes) -> int:
    """Number the data, so that Plotly can tell whether it changed.

    Streamlit draws a figure several times. Lists with the same number are taken for unchanged;
    without it, Plotly works through 60,000 points each time.
    """
    digest = zlib.crc32(repr((coloring.colors, coloring.symbols)).encode())
    for part in (points, rows, codes):
        digest = zlib.crc32(np.ascontiguousarray(part), digest)
    return digest


def _marker(coloring: Coloring, codes: np.ndarray, flat: bool) -> dict:
    n = len(codes)
    crowded = flat and n >= CROWDED
    size = 7 if n < 3000 else 5 if n < CROWDED else 3
    colors = channels(coloring)
    opacity = 0.85 if n < CROWDED else 0.6
    # Unless told otherwise, Plotly draws rims where sizes or dimensions are more than usual.
    marker = {"size": size, "opacity": opacity, "line": {"width": 0}}
    if crowded and coloring.prominence is not None:
        prominence = np.asarray(coloring.prominence)
        marker["size"] = _Kept(np.round(size * prominence, 1)[codes].tolist())
        colors[prominence <= 1, 3] = np.round(opacity * colors[prominence <= 1, 3])
        marker["opacity"] = 1.0
    if not flat:  # WebGL leaves out points of a transparent color there
        marker["size"] = size = max(2, size - 3)
        colors[:, 3] = 255
    marker["color"] = colors[codes]
    if coloring.symbols:
        drawn = np.asarray(coloring.symbols, object)[codes]
        numbers = np.asarray([SYMBOLS[name] for name in coloring.symbols])
        marker["symbol"] = _Kept((numbers[codes] if flat else drawn).tolist())
        if not flat:  # there, Plotly halves sizes that differ, and a cross is wider than a circle
            marker["size"] = np.where(drawn == "x", 1.3, 2.0) * size
    return marker


def _add_legend(figure: go.Figure, coloring: Coloring, codes: np.ndarray, flat: bool) -> None:
    """Add empty traces that only carry the legend: the points themselves stay one trace."""
    kind = go.Scattergl if flat else go.Scatter3d
    nothing = {axis: [None] for axis in ("xy" if flat else "xyz")}
    if coloring.scale:
        bar = {"marker": _scale_marker(coloring), "showlegend": False}
        figure.add_trace(kind(**nothing, mode="markers", hoverinfo="skip", **bar))
    names = list(coloring.names)
    colors = [OTHER] if coloring.scale else coloring.colors
    if not flat:
        colors = [re.sub(r"rgba\((.*),.*\)", r"rgb(\1)", color) for color in colors]
    symbols = coloring.symbols or ["circle"] * len(names)
    shown = short_names(names, 28 if len(names) < 7 else 22)
    for code, (name, color, symbol) in enumerate(zip(shown, colors, symbols, strict=False)):
        if not coloring.scale and not (codes == code).any():
            continue  # of what the map does not hold
        marker = {"color": color, "size": 9, "symbol": symbol}
        figure.add_trace(
            kind(**nothing, mode="markers", name=name, marker=marker, hoverinfo="skip")
        )


def _scale_marker(coloring: Coloring) -> dict:
    """Return the marker of no point, with the color bar of the levels."""
    levels, texts = zip(*coloring.scale.ticks, strict=True)
    bar = {
        "orientation": "h",
        "title": {"text": coloring.scale.title, "side": "top", "font": {"size": 12}},
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
        "colorscale": list(coloring.colors),
        "cmin": 1,
        "cmax": 255,
        "showscale": True,
        "colorbar": bar,
    }


def _legend_place(coloring: Coloring) -> dict:
    place = {"itemclick": False, "itemdoubleclick": False, "font": {"size": 12}}
    if coloring.scale:  # its bar is above the map
        return place | {"y": -0.02, "yanchor": "top"}
    if len(coloring.names) > 7:  # the rest is scrolled to: the map matters more
        return place | {"maxheight": 0.16, "font": {"size": 11}}
    return place | {"maxheight": 0.7}


def _hide_axes(figure: go.Figure, flat: bool) -> None:
    if flat:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
    else:
        hidden = {"visible": False}
        figure.update_scenes(xaxis=hidden, yaxis=hidden, zaxis=hidden, aspectmode="data")

"""The embedding map: every item one point of one WebGL trace, coloured by what is asked."""

import math
import re
import zlib
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from workbench.figures.colouring import Colouring, channels
from workbench.figures.style import as_text, styled


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
    flat = points.shape[1] == 2
    if not flat:  # WebGL leaves out points of a transparent colour there
        solid = tuple(re.sub(r"rgba\((.*),.*\)", r"rgb(\1)", c) for c in colouring.colours)
        colouring = replace(colouring, colours=solid)
    trace = go.Scattergl if flat else go.Scatter3d
    data = {
        **dict(zip("xyz", map(_Kept, _short(points).T.tolist()), strict=False)),
        "type": "scattergl" if flat else "scatter3d",
        "mode": "markers",
        "marker": _marker(colouring, len(points), flat),
        "customdata": _Kept(np.asarray(rows).tolist()),
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
    figure.update_layout(
        dragmode="pan" if flat else "orbit",
        legend={"itemclick": False},
        datarevision=_revision(points, rows, colouring),
    )
    return figure


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


def _revision(points: np.ndarray, rows: np.ndarray, colouring: Colouring) -> int:
    """Number the data, so that Plotly can tell whether it changed.

    Streamlit draws a figure several times. Lists with the same number are taken for unchanged;
    without it, Plotly works through 60,000 points each time.
    """
    digest = zlib.crc32(repr((colouring.colours, colouring.symbols)).encode())
    for part in (points, rows, colouring.codes):
        digest = zlib.crc32(np.ascontiguousarray(part), digest)
    return digest


def _marker(colouring: Colouring, n: int, flat: bool) -> dict:
    size = 7 if n < 3000 else 5 if n < 15000 else 4 if colouring.symbols else 3
    marker = {
        "color": channels(colouring)[colouring.codes],
        "size": size if flat else max(2, size - 3),
        "opacity": 0.85 if n < 15000 else 0.6,
    }
    if colouring.symbols:
        drawn = np.asarray(colouring.symbols, object)[colouring.codes]
        marker["symbol"] = _Kept(drawn.tolist())
        if not flat:  # there, Plotly halves sizes that differ, and a cross is wider than a circle
            marker["size"] = np.where(drawn == "x", 1.3, 2.0) * marker["size"]
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

"""The embedding map of the same items at several training steps."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.figures.colors import Coloring
from workbench.figures.style import short_names, styled

COLUMNS = 3
MOST_NAMES = 21  # of categories in the legend


def embedding_evolution(
    points: np.ndarray, steps: Sequence[int], coloring: Coloring, *, height: int = 320
) -> go.Figure:
    """Draw one map per training step, all with the same axes.

    Args:
        points: float32, (s, n, 2), positions as in ``evolution.npz``. The maps are aligned, so that
            an item moves only if its neighbors change.
        steps: The s training steps.
        coloring: The coloring of the n items, the same in every map.
        height: Height of one row of maps in pixels. Defaults to 320.

    Returns:
        A figure of ``ceil(s / 3)`` rows; the legend names the colors.
    """
    columns = min(COLUMNS, len(steps))
    rows = -(-len(steps) // columns)
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=[f"step {step:,}" for step in steps],
        horizontal_spacing=0.02,
        vertical_spacing=0.08 / rows,
    )
    order = coloring.back_to_front()
    colors = np.asarray(coloring.colors, object)[coloring.codes[order]].tolist()
    marker = {"color": colors, "size": 4, "opacity": 0.85, "line": {"width": 0}}
    for number, layout in enumerate(np.asarray(points)[:, order]):
        x, y = layout.T
        figure.add_scattergl(
            x=x,
            y=y,
            mode="markers",
            marker=marker,
            hoverinfo="skip",
            showlegend=False,
            row=number // columns + 1,
            col=number % columns + 1,
        )
    names = short_names(coloring.names[:MOST_NAMES], 18)
    for name, color in zip(names, coloring.colors, strict=False):
        key = {"color": color, "size": 8}
        figure.add_scattergl(x=[None], y=[None], mode="markers", name=name, marker=key)
    return _same_axes(figure, points, height * rows)


def _same_axes(figure: go.Figure, points: np.ndarray, height: int) -> go.Figure:
    finite = points.reshape(-1, 2)
    finite = finite[np.isfinite(finite).all(axis=1)]
    low, high = finite.min(0), finite.max(0)
    margin = 0.04 * np.maximum(high - low, 1e-6)
    styled(figure, height=height)
    figure.update_xaxes(visible=False, range=[low[0] - margin[0], high[0] + margin[0]])
    figure.update_yaxes(visible=False, range=[low[1] - margin[1], high[1] + margin[1]])
    figure.update_annotations(font_size=13, yshift=-4)
    return figure.update_layout(
        margin_t=30, legend={"y": -0.02, "yanchor": "top", "itemclick": False}
    )

"""Figures that set losses beside each other."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from retrieval.evaluation.metrics import metric as metric_of
from workbench.figures.palette import HIT, NEUTRAL, RUN_A, RUN_B, colors_of
from workbench.figures.style import GRID, QUIET, as_text, short_names, styled


def loss_intervals(
    table: pd.DataFrame,
    metric: str = "recall@1",
    *,
    colors: Mapping[str, str] | None = None,
) -> go.Figure:
    """Draw one metric of every loss as a point with its 95% interval, best at the top.

    Args:
        table: Columns ``group``, the metric in 0..1 and ``<metric>/low``, ``<metric>/high``.
        metric: Column. Defaults to Recall@1.
        colors: Group -> color; default: see :func:`workbench.figures.palette.colors_of`.

    Returns:
        A figure.
    """
    names = list(table["group"])
    colors = colors or colors_of(names)
    shown = metric_of(metric)
    unit = " %" if shown.is_percent else ""
    value = shown.scale * table[metric]
    figure = go.Figure(
        go.Scatter(
            x=value,
            y=list(range(len(names))),
            mode="markers+text",
            text=[shown.format(v) for v in table[metric]],
            textposition="top center",
            cliponaxis=False,
            marker={"size": 10, "color": [colors[name] for name in names]},
            error_x={
                "array": shown.scale * table[f"{metric}/high"] - value,
                "arrayminus": value - shown.scale * table[f"{metric}/low"],
                "color": NEUTRAL,
                "thickness": 1.4,
                "width": 4,
            },
            hovertext=[as_text(name, 80) for name in names],
            hovertemplate=f"%{{hovertext}}: %{{x:.{shown.digits}f}}{unit}<extra></extra>",
        )
    )
    figure.update_xaxes(title=f"{shown.title}{',' * bool(unit)}{unit} (95% interval)")
    figure.update_yaxes(
        range=[len(names) - 0.5, -0.7],  # best at the top, with room for its value
        tickvals=list(range(len(names))),
        ticktext=short_names(names, 34),
        showgrid=False,
        ticklabelstandoff=6,
    )
    return styled(figure, height=96 + 46 * len(names), legend=False)


def win_tie_loss(
    wins: int,
    ties: int,
    losses: int,
    colors: tuple[str, str] = (RUN_A, RUN_B),
    interval: tuple[float, float, float] | None = None,
) -> go.Figure:
    """Draw how many queries only A, both or neither, and only B answers at rank 1.

    Args:
        wins: Queries right under A only.
        ties: Queries right under both or under neither.
        losses: Queries right under B only.
        colors: Of A and B.
        interval: Recall@1 of A minus that of B, -1..1, and the ends of its interval.

    Returns:
        One stacked horizontal bar, and the interval on an axis of its own below it.
    """
    total = max(1, wins + ties + losses)
    figure = go.Figure()
    parts = (
        ("only A right", wins, colors[0]),
        ("same", ties, GRID),
        ("only B right", losses, colors[1]),
    )
    for name, count, color in parts:
        figure.add_bar(
            x=[count],
            y=[""],
            orientation="h",
            name=f"{name}: {count:,} ({100 * count / total:.1f} %)",
            marker={"color": color},
            hovertemplate=f"{name}: {count:,} of {total:,}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0)
    figure = styled(figure, height=64)
    figure.update_layout(legend={"traceorder": "normal", "itemclick": False}, margin={"r": 12})
    figure.update_xaxes(visible=False, range=[0, total])
    figure.update_yaxes(visible=False)
    if interval is not None:
        _add_interval(figure, *(100 * value for value in interval), colors)
    return figure


def _add_interval(
    figure: go.Figure, value: float, low: float, high: float, colors: tuple[str, str]
) -> None:
    """Draw a difference below a bar, in points: zero in the middle, A better to the left."""
    color = NEUTRAL if low <= 0 <= high else colors[int(value < 0)]
    figure.add_scatter(
        x=[value],
        y=[0],
        xaxis="x2",
        yaxis="y2",
        mode="markers",
        marker={"size": 10, "color": color},
        error_x={
            "array": [high - value],
            "arrayminus": [value - low],
            "color": color,
            "thickness": 2.5,
            "width": 6,
        },
        showlegend=False,
        hovertemplate=f"R@1 of A minus R@1 of B: {value:+.1f} points, "
        f"95% {low:+.1f} to {high:+.1f}<extra></extra>",
    )
    figure.update_layout(
        height=150,
        margin={"b": 34},
        yaxis={"domain": [0.68, 1]},
        yaxis2={"domain": [0, 0.42], "visible": False, "range": [-1, 1], "anchor": "x2"},
        xaxis2=_lead_axis(1.25 * max(abs(low), abs(high), 0.4)),
    )


def _lead_axis(reach: float) -> dict:
    """Describe an axis of points by which A (to the left) or B is ahead, up to 125 of them."""
    step = next(s for s in (0.2, 0.5, 1, 2, 5, 10, 25, 50) if reach / s < 5)
    n = int(reach / step)
    ticks = [step * i for i in range(-n, n + 1)]
    return {
        "anchor": "y2",
        "range": [reach, -reach],  # the side of A is that of its part of the bar
        "gridcolor": GRID,
        "zeroline": True,
        "zerolinecolor": QUIET,
        "zerolinewidth": 2,
        "tickvals": ticks,
        "ticktext": [f"{'A' if t > 0 else 'B'} +{abs(t):g}" if t else "0" for t in ticks],
        "title": {"text": "how far ahead in R@1, points (95% interval)", "standoff": 4},
    }


def overlap_histogram(overlap: np.ndarray, *, height: int = 220) -> go.Figure:
    """Draw how much of their neighbors two runs share, over queries.

    Args:
        overlap: float, (q,), shares 0..1.
        height: Pixels.

    Returns:
        A histogram in percent.
    """
    bins = {"start": -5, "end": 105, "size": 10}
    figure = go.Figure(go.Histogram(x=100 * overlap, xbins=bins, marker={"color": HIT}))
    figure.update_traces(hovertemplate="%{x} %: %{y:,} queries<extra></extra>")
    figure.update_xaxes(title="share of neighbors in common, %", dtick=10)
    figure.update_yaxes(title="queries")
    figure.update_layout(bargap=0.06)
    return styled(figure, height=height, legend=False)

"""Figures that set losses beside each other."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.figures.style import GRID, as_text, short_names, styled
from workbench.palette import HIT, NEUTRAL, RUN_A, RUN_B, colours_of


def loss_intervals(
    table: pd.DataFrame,
    metric: str = "recall@1",
    *,
    title: str = "R@1",
    colours: Mapping[str, str] | None = None,
) -> go.Figure:
    """Draw one metric of every loss as a point with its 95% interval, best at the top.

    Args:
        table: Columns ``group``, the metric in 0..1 and ``<metric>/low``, ``<metric>/high``.
        metric: Column.
        title: Name of the metric on the axis.
        colours: Group -> colour; default: see :func:`workbench.palette.colours_of`.

    Returns:
        A figure.
    """
    names = list(table["group"])
    colours = colours or colours_of(names)
    value = 100 * table[metric]
    figure = go.Figure(
        go.Scatter(
            x=value,
            y=list(range(len(names))),
            mode="markers+text",
            text=[f"{v:.1f}" for v in value],
            textposition="top center",
            cliponaxis=False,
            marker={"size": 10, "color": [colours[name] for name in names]},
            error_x={
                "array": 100 * table[f"{metric}/high"] - value,
                "arrayminus": value - 100 * table[f"{metric}/low"],
                "color": NEUTRAL,
                "thickness": 1.4,
                "width": 4,
            },
            hovertext=[as_text(name, 80) for name in names],
            hovertemplate="%{hovertext}: %{x:.1f} %<extra></extra>",
        )
    )
    figure.update_xaxes(title=f"{title}, % (95% interval)")
    figure.update_yaxes(
        range=[len(names) - 0.5, -0.7],  # best at the top, with room for its value
        tickvals=list(range(len(names))),
        ticktext=short_names(names, 34),
        showgrid=False,
        ticklabelstandoff=6,
    )
    return styled(figure, height=96 + 46 * len(names), legend=False)


def win_tie_loss(
    wins: int, ties: int, losses: int, colours: tuple[str, str] = (RUN_A, RUN_B)
) -> go.Figure:
    """Draw how many queries only A, both or neither, and only B answers at rank 1.

    Args:
        wins: Queries right under A only.
        ties: Queries right under both or under neither.
        losses: Queries right under B only.
        colours: Of A and B.

    Returns:
        One stacked horizontal bar.
    """
    total = max(1, wins + ties + losses)
    figure = go.Figure()
    parts = (
        ("only A right", wins, colours[0]),
        ("same", ties, GRID),
        ("only B right", losses, colours[1]),
    )
    for name, count, colour in parts:
        figure.add_bar(
            x=[count],
            y=[""],
            orientation="h",
            name=f"{name}: {count:,} ({100 * count / total:.1f} %)",
            marker={"color": colour},
            hovertemplate=f"{name}: {count:,} of {total:,}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0)
    figure = styled(figure, height=64)
    figure.update_layout(legend={"traceorder": "normal", "itemclick": False}, margin={"r": 12})
    figure.update_xaxes(visible=False, range=[0, total])
    figure.update_yaxes(visible=False)
    return figure


def overlap_histogram(overlap: np.ndarray, *, height: int = 220) -> go.Figure:
    """Draw how much of their neighbours two runs share, over queries.

    Args:
        overlap: float, (q,), shares 0..1.
        height: Pixels.

    Returns:
        A histogram in percent.
    """
    bins = {"start": -5, "end": 105, "size": 10}
    figure = go.Figure(go.Histogram(x=100 * overlap, xbins=bins, marker={"color": HIT}))
    figure.update_traces(hovertemplate="%{x} %: %{y:,} queries<extra></extra>")
    figure.update_xaxes(title="share of neighbours in common, %", dtick=10)
    figure.update_yaxes(title="queries")
    figure.update_layout(bargap=0.06)
    return styled(figure, height=height, legend=False)

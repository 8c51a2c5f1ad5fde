"""Figures that set losses beside each other."""

from collections.abc import Mapping, Sequence

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


def class_differences(
    classes: Sequence[str],
    a: np.ndarray,
    b: np.ndarray,
    n: np.ndarray,
    *,
    limit: int = 30,
    colours: tuple[str, str] = (RUN_A, RUN_B),
) -> go.Figure:
    """Draw the classes whose Recall@1 differs most between two runs.

    Args:
        classes: Name of each of c classes.
        a: float, (c,), Recall@1 under A, 0..1.
        b: float, (c,), the same under B.
        n: int, (c,), number of queries.
        limit: How many classes to draw.
        colours: Of A and B.

    Returns:
        Horizontal bars in percentage points, A better to the right; ``customdata`` is the position
        of the class.
    """
    delta = 100 * (np.asarray(a) - np.asarray(b))
    order = np.argsort(-np.abs(delta), kind="stable")[:limit]
    order = order[delta[order] != 0]
    order = order[np.argsort(delta[order], kind="stable")]
    names = [as_text(classes[i]) for i in order]
    figure = go.Figure(
        go.Bar(
            x=delta[order],
            y=np.arange(len(order)),
            orientation="h",
            marker={"color": [colours[0] if d > 0 else colours[1] for d in delta[order]]},
            customdata=order.tolist(),
            text=[f"{d:+.0f}" for d in delta[order]],
            textposition="outside",
            cliponaxis=False,
            hovertext=[
                f"{as_text(classes[i], 80)}, {n[i]} queries<br>"
                f"A {100 * a[i]:.0f} %, B {100 * b[i]:.0f} %"
                for i in order
            ],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    )
    figure.update_yaxes(tickvals=np.arange(len(order)), ticktext=names, showgrid=False)
    figure.update_xaxes(title="R@1 of A minus R@1 of B, percentage points")
    figure.update_layout(bargap=0.25, dragmode=False)
    return styled(figure, height=80 + 21 * max(3, len(order)), legend=False)

"""Figures that compare runs or losses in pairs, on the same queries."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from retrieval.report.verdicts import p_equals
from workbench.figures.colors import HIT, MISS, NEUTRAL, RUN_A, RUN_B
from workbench.figures.style import GRID, MODEBAR, QUIET, as_text, short_names, styled

# Pixels of a square of the matrix, large enough for its text; smaller ones for more losses.
SIDE, SMALL_SIDE, MANY = 42, 34, 10
EVEN = "rgba(138, 148, 160, 0.22)"  # of a square without a winner


def difference_matrix(
    pairs: pd.DataFrame, names: Sequence[str], *, ink: str = "#1b2530"
) -> go.Figure:
    """Draw the paired difference of every two losses as a grid of squares.

    Args:
        pairs: See :func:`workbench.analysis.significance.both_ways`.
        names: Names of the losses, best first.
        ink: Color of the text in the squares. Defaults to a dark gray.

    Returns:
        Recall@1 of the row's loss minus that of the column's loss, in percentage points, with ▲ or
        ▼ where the row is significantly better or worse, and ≈ elsewhere; without a sign where the
        classes are too few for a verdict.
    """
    count, texts = len(names), short_names(names, 24)
    side = SIDE if count <= MANY else SMALL_SIDE
    figure = go.Figure(_squares(pairs, names, side, ink))
    ticks = {"tickvals": list(range(count)), "ticktext": texts, "ticklabeloverflow": "allow"}
    figure.update_xaxes(side="top", tickangle=-60, range=[-0.6, count - 0.4], **ticks)
    figure.update_yaxes(range=[count - 0.4, -0.6], **ticks)
    figure.update_layout(dragmode=False)
    # Pixels that the labels take above and beside the squares, and the last one to their right.
    longest = max(map(len, texts), default=0)
    right = max(MODEBAR, 3.5 * len(texts[-1]) if texts else 0)
    squares = (side + 6) * (count + 0.2)
    figure = styled(figure, height=round(40 + 5.5 * longest + squares), legend=False)
    figure.update_layout(width=round(20 + 6.5 * longest + squares + right), margin={"r": right})
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
    return figure


def _squares(pairs: pd.DataFrame, names: Sequence[str], side: int, ink: str) -> go.Scatter:
    """Draw every pair as a square, its color and sign by its verdict."""
    position = {name: i for i, name in enumerate(names)}
    shown = pairs[pairs["a"].isin(position) & pairs["b"].isin(position)]
    sign = {"win": "▲", "loss": "▼", "tie": "≈", "none": ""}
    color = {"win": HIT, "loss": MISS, "tie": EVEN, "none": EVEN}
    gap = " " if side == SIDE else ""
    return go.Scatter(
        x=shown["b"].map(position),
        y=shown["a"].map(position),
        mode="markers+text",
        text=[
            f"{sign[v]}{gap}{round(100 * d, 1) + 0.0:+.1f}"  # never -0.0
            for v, d in zip(shown["verdict"], shown["delta"], strict=True)
        ],
        textfont={"size": 11 if side == SIDE else 9, "color": ink},
        hovertext=[_pair_text(pair) for pair in shown.to_dict("records")],
        hovertemplate="%{hovertext}<extra></extra>",
        marker={
            "symbol": "square",
            "size": side,
            "color": [color[v] for v in shown["verdict"]],
            "opacity": [0.4 if v in ("win", "loss") else 1 for v in shown["verdict"]],
            "line": {"width": 0},
        },
    )


def _pair_text(pair: dict) -> str:
    evidence = "too few classes for an interval"
    if not np.isnan(pair["low"]):
        evidence = (
            f"95% {100 * pair['low']:+.2f} to {100 * pair['high']:+.2f}, {p_equals(pair['p'])} "
            "(adjusted over all pairs)"
        )
    return (
        f"{as_text(pair['a'], 60)} minus {as_text(pair['b'], 60)}<br>"
        f"{100 * pair['delta']:+.2f} points, {evidence}<br>"
        f"{pair['wins']:,} wins, {pair['ties']:,} ties, {pair['losses']:,} losses"
    )


def win_tie_loss(
    wins: int,
    ties: int,
    losses: int,
    colors: tuple[str, str] = (RUN_A, RUN_B),
    interval: tuple[float, float, float] | None = None,
) -> go.Figure:
    """Draw how many queries only A, both or neither, and only B answers at rank 1.

    Args:
        wins: Number of queries that are right under A only.
        ties: Number of queries that are right under both or under neither.
        losses: Number of queries that are right under B only.
        colors: Colors of runs A and B.
        interval: Recall@1 of A minus that of B, -1..1, and the lower and upper end of its interval.
            Not drawn by default, nor if its ends are NaN.

    Returns:
        One stacked horizontal bar, and below it the interval on an axis of its own.
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
            name=f"{name}: {count:,} ({100 * count / total:.1f}%)",
            marker={"color": color},
            hovertemplate=f"{name}: {count:,} of {total:,}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0)
    figure = styled(figure, height=64)
    figure.update_layout(legend={"traceorder": "normal", "itemclick": False}, margin={"r": 12})
    figure.update_xaxes(visible=False, range=[0, total])
    figure.update_yaxes(visible=False)
    if interval is not None and not np.isnan(interval[1]):
        value, low, high = (100 * end for end in interval)
        _add_interval(figure, value, low, high, colors)
    return figure


def _add_interval(
    figure: go.Figure, value: float, low: float, high: float, colors: tuple[str, str]
) -> None:
    """Draw a difference in percentage points below the bar: A is better to the left of zero."""
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
    """Describe an axis of the lead of A (to the left) or B (to the right).

    Args:
        reach: Largest lead on the axis, in percentage points, at most 125.
    """
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
        "title": {"text": "lead in R@1, percentage points (95% interval)", "standoff": 4},
    }


def overlap_histogram(overlap: np.ndarray, *, height: int = 220) -> go.Figure:
    """Draw the share of its neighbors that a query has in common under two runs, over queries.

    Args:
        overlap: float, (q,), shares in 0..1.
        height: Height in pixels. Defaults to 220.

    Returns:
        A histogram in percent.
    """
    bins = {"start": -5, "end": 105, "size": 10}
    figure = go.Figure(go.Histogram(x=100 * overlap, xbins=bins, marker={"color": HIT}))
    figure.update_traces(hovertemplate="%{x}%: %{y:,} queries<extra></extra>")
    figure.update_xaxes(title="neighbors in common, %", dtick=10)
    figure.update_yaxes(title="queries")
    figure.update_layout(bargap=0.06)
    return styled(figure, height=height, legend=False)

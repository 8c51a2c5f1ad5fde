"""Figures that compare runs or losses in pairs, on the same queries."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from retrieval.evaluation.metrics import HEADLINE, Metric
from retrieval.evaluation.metrics import metric as metric_of
from retrieval.report.verdicts import p_equals, points
from workbench.figures.colors import HIT, MISS, NEUTRAL, RUN_A, RUN_B
from workbench.figures.style import GRID, MODEBAR, QUIET, as_text, short_names, styled

# Pixels of a square of the matrix, large enough for its text; smaller ones for more losses.
SIDE, SMALL_SIDE, MANY = 42, 34, 10
EVEN = "rgba(138, 148, 160, 0.22)"  # of a square without a winner


def difference_matrix(
    pairs: pd.DataFrame,
    names: Sequence[str],
    metric: str = HEADLINE,
    *,
    ink: str = "#1b2530",
) -> go.Figure:
    """Draw the paired difference of every two losses as a grid of squares.

    Args:
        pairs: See :func:`workbench.analysis.significance.both_ways`.
        names: Names of the losses, best first.
        metric: Name of the metric of the differences. Defaults to ``recall@1``.
        ink: Color of the text in the squares. Defaults to a dark gray.

    Returns:
        The metric of the row's loss minus that of the column's loss, as it is printed, with ▲ or ▼
        where the row is significantly better or worse, and ≈ elsewhere; without a sign where there
        is no verdict.
    """
    count, texts = len(names), short_names(names, 24)
    shown = metric_of(metric)
    side = SIDE if count <= MANY else SMALL_SIDE
    side += 4 * max(0, shown.digits - 1)  # room for more decimals
    figure = go.Figure(_squares(pairs, names, side, ink, shown))
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


def _squares(
    pairs: pd.DataFrame, names: Sequence[str], side: int, ink: str, metric: Metric
) -> go.Scatter:
    """Draw every pair as a square, its color and sign by its verdict."""
    position = {name: i for i, name in enumerate(names)}
    shown = pairs[pairs["a"].isin(position) & pairs["b"].isin(position)]
    sign = {"win": "▲", "loss": "▼", "tie": "≈", "none": ""}
    color = {"win": HIT, "loss": MISS, "tie": EVEN, "none": EVEN}
    gap = " " if side >= SIDE else ""
    return go.Scatter(
        x=shown["b"].map(position),
        y=shown["a"].map(position),
        mode="markers+text",
        text=[
            f"{sign[v]}{gap if sign[v] else ''}{_signed(d, metric)}"
            for v, d in zip(shown["verdict"], shown["delta"], strict=True)
        ],
        textfont={"size": 11 if side >= SIDE else 9, "color": ink},
        hovertext=[_pair_text(pair, metric) for pair in shown.to_dict("records")],
        hovertemplate="%{hovertext}<extra></extra>",
        marker={
            "symbol": "square",
            "size": side,
            "color": [color[v] for v in shown["verdict"]],
            "opacity": [0.4 if v in ("win", "loss") else 1 for v in shown["verdict"]],
            "line": {"width": 0},
        },
    )


def _signed(difference: float, metric: Metric) -> str:
    """Print a difference with its sign, never as -0.0."""
    rounded = round(metric.scale * difference, metric.digits) / metric.scale
    return metric.format_difference(rounded + 0.0)


def _pair_text(pair: dict, metric: Metric) -> str:
    finer = replace(metric, digits=metric.digits + 1)
    evidence = "no interval"
    if not np.isnan(pair["low"]):
        low, high = finer.format_difference(pair["low"]), finer.format_difference(pair["high"])
        evidence = f"95% {low} to {high}, {p_equals(pair['p'])} (adjusted over all pairs)"
    lines = [
        f"{as_text(pair['a'], 60)} minus {as_text(pair['b'], 60)}",
        f"{finer.format_difference(pair['delta'])}{points(metric)}, {evidence}",
    ]
    if not pd.isna(pair["wins"]):
        lines.append(f"{pair['wins']:,} wins, {pair['ties']:,} ties, {pair['losses']:,} losses")
    return "<br>".join(lines)


def win_tie_loss(
    wins: int,
    ties: int,
    losses: int,
    colors: tuple[str, str] = (RUN_A, RUN_B),
    interval: tuple[float, float, float] | None = None,
    metric: str = HEADLINE,
    averaged: bool = False,
) -> go.Figure:
    """Draw how many queries A scores higher than B, the same, and lower.

    Args:
        wins: Number of queries that A scores higher: under Recall@1, that only A gets right.
        ties: Number of queries that both score the same.
        losses: Number of queries that B scores higher.
        colors: Colors of runs A and B.
        interval: The metric of A minus that of B, and the lower and upper end of its interval. Not
            drawn by default, nor if its ends are NaN.
        metric: Name of the metric. Defaults to ``recall@1``.
        averaged: Whether scores are means over several seeds. Defaults to False.

    Returns:
        One stacked horizontal bar, and below it the interval on an axis of its own.
    """
    total, shown = max(1, wins + ties + losses), metric_of(metric)
    right = metric == HEADLINE and not averaged
    figure = go.Figure()
    parts = (
        ("only A right" if right else "A better", wins, colors[0]),
        ("same", ties, GRID),
        ("only B right" if right else "B better", losses, colors[1]),
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
        value, low, high = (shown.scale * end for end in interval)
        _add_interval(figure, value, low, high, colors, shown)
    return figure


def _add_interval(
    figure: go.Figure,
    value: float,
    low: float,
    high: float,
    colors: tuple[str, str],
    metric: Metric,
) -> None:
    """Draw a difference, in the printed scale, below the bar: A is better to the left of zero."""
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
        hovertemplate=f"{metric.title} of A minus that of B: {value:+.{metric.digits}f}"
        f"{points(metric)}, 95% {low:+.{metric.digits}f} to {high:+.{metric.digits}f}"
        "<extra></extra>",
    )
    figure.update_layout(
        height=150,
        margin={"b": 34},
        yaxis={"domain": [0.68, 1]},
        yaxis2={"domain": [0, 0.42], "visible": False, "range": [-1, 1], "anchor": "x2"},
        xaxis2=_lead_axis(1.25 * max(abs(low), abs(high), metric.scale * 0.004), metric),
    )


def _lead_axis(reach: float, metric: Metric) -> dict:
    """Describe an axis of the lead of A (to the left) or B (to the right).

    Args:
        reach: Largest lead on the axis, in the printed scale, at most 1.25 times the scale.
        metric: The metric of the lead.
    """
    steps = (0.2, 0.5, 1, 2, 5, 10, 25, 50)
    step = next(s for s in (metric.scale / 100 * each for each in steps) if reach / s < 5)
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
        "title": {
            "text": f"lead in {metric.title}{', percentage points' if metric.is_percent else ''} "
            "(95% interval)",
            "standoff": 4,
        },
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

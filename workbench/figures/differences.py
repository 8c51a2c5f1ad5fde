"""The grid of paired differences: which loss is better than which, and whether it is real."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go

from workbench.figures.palette import HIT, MISS
from workbench.figures.style import MODEBAR, as_text, short_names, styled

# Pixels of a square of the matrix, large enough for its text; smaller ones for more losses.
SIDE, SMALL_SIDE, MANY = 42, 34, 10


def difference_matrix(
    pairs: pd.DataFrame, names: Sequence[str], *, ink: str = "#1b2530"
) -> go.Figure:
    """Draw the paired difference of every two losses as a grid of squares.

    Args:
        pairs: See :func:`workbench.analysis.significance.both_ways`.
        names: Losses, best first.
        ink: Color of the text in the cells.

    Returns:
        Row minus column, in percentage points, with ▲, ▼ or ≈ for win, loss and tie.
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
    sign = {"win": "▲", "loss": "▼", "tie": "≈"}
    color = {"win": HIT, "loss": MISS, "tie": "rgba(138, 148, 160, 0.22)"}
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
        hovertext=[_pair_text(r) for r in shown.itertuples()],
        hovertemplate="%{hovertext}<extra></extra>",
        marker={
            "symbol": "square",
            "size": side,
            "color": [color[v] for v in shown["verdict"]],
            "opacity": [0.4 if v != "tie" else 1 for v in shown["verdict"]],
            "line": {"width": 0},
        },
    )


def _pair_text(pair: NamedTuple) -> str:
    return (
        f"{as_text(pair.a, 60)} minus {as_text(pair.b, 60)}<br>{100 * pair.delta:+.2f} points, "
        f"95% {100 * pair.low:+.2f} to {100 * pair.high:+.2f}, p = {pair.p:.2g}<br>"
        f"{pair.wins:,} wins, {pair.ties:,} ties, {pair.losses:,} losses"
    )

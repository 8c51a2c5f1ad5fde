"""The rank of the first relevant item, over all queries."""

import numpy as np
import plotly.graph_objects as go

from retrieval.evaluation.ranking import BEYOND
from workbench.figures.colors import HIT, MISS, NEUTRAL
from workbench.figures.style import styled


def rank_bins(highest: int) -> list[tuple[int, int]]:
    """Return bins of ranks that double in width: 1, 2, 3-4, 5-8, ... up to the highest rank.

    Args:
        highest: Highest rank to cover.

    Returns:
        First and last rank of each bin, both inclusive.
    """
    bins, low, high = [], 1, 1
    while low <= max(1, highest):
        bins.append((low, high))
        low, high = high + 1, max(2, 2 * high)
    return bins


def rank_histogram(first_relevant_rank: np.ndarray, *, height: int = 250) -> go.Figure:
    """Draw the rank of the first relevant item over all queries.

    Args:
        first_relevant_rank: int, (q,), 1-based; 0 where the gallery holds no item of the query's
            class.
        height: Height in pixels. Defaults to 250.

    Returns:
        Bars over bins that double in width; ``customdata`` holds the (first, last) rank of each
        bin.
    """
    ranks = first_relevant_rank
    listed = ranks[ranks < BEYOND]
    bins = rank_bins(int(listed.max(initial=1)))
    names = [str(a) if a == b else f"{a:,}–{b:,}" for a, b in bins]
    if len(listed) < len(ranks):
        bins, names = [*bins, (BEYOND, BEYOND)], [*names, "not listed"]
    counts = [int(((ranks >= a) & (ranks <= b)).sum()) for a, b in bins]
    colors = [HIT] + [MISS] * (len(bins) - 1)
    without_positive = int((ranks == 0).sum())
    if without_positive:
        bins, names = [*bins, (0, 0)], [*names, "none"]
        counts, colors = [*counts, without_positive], [*colors, NEUTRAL]
    total = max(1, len(ranks))
    figure = go.Figure(
        go.Bar(
            x=names,
            y=counts,
            marker={"color": colors},
            customdata=[list(b) for b in bins],
            text=[f"{c:,}" for c in counts],
            textposition="outside",
            cliponaxis=False,
            hovertext=[f"{100 * c / total:.1f}% of {total:,} queries" for c in counts],
            hovertemplate="rank %{x}: %{y:,} queries<br>%{hovertext}<extra></extra>",
        )
    )
    figure.update_xaxes(title="rank of the first relevant item", type="category")
    figure.update_yaxes(title="queries", rangemode="tozero")
    # A click above a bar counts too: beside 60,000 correct queries a bar of 70 is two pixels high.
    figure.update_layout(bargap=0.18, dragmode=False, hovermode="x")
    return styled(figure, height=height, legend=False)

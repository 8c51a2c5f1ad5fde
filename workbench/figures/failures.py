"""Figures of what goes wrong: ranks of the first hit, and sizes of classes."""

import numpy as np
import plotly.graph_objects as go

from workbench.figures.palette import HIT, MISS, NEUTRAL
from workbench.figures.style import styled, whole_ticks


def rank_bins(highest: int) -> list[tuple[int, int]]:
    """Return bins of first-hit ranks: 1, 2, 3-4, 5-8, ... up to the highest rank.

    Args:
        highest: Highest rank to cover.

    Returns:
        (first, last) rank of each bin, both inclusive.
    """
    bins, low, high = [], 1, 1
    while low <= max(1, highest):
        bins.append((low, high))
        low, high = high + 1, max(2, 2 * high)
    return bins


def rank_histogram(first_hit: np.ndarray, *, height: int = 250) -> go.Figure:
    """Draw at which rank the first correct item is, over all queries.

    Args:
        first_hit: int, (q,), 1-based; 0 = no item of the class in the gallery.
        height: Pixels.

    Returns:
        Bars in bins that double; ``customdata`` holds each bin's (first, last) rank.
    """
    bins = rank_bins(int(first_hit.max(initial=1)))
    names = [str(a) if a == b else f"{a:,}–{b:,}" for a, b in bins]
    counts = [int(((first_hit >= a) & (first_hit <= b)).sum()) for a, b in bins]
    colors = [HIT] + [MISS] * (len(bins) - 1)
    lone = int((first_hit == 0).sum())
    if lone:
        bins, names = [*bins, (0, 0)], [*names, "none"]
        counts, colors = [*counts, lone], [*colors, NEUTRAL]
    total = max(1, len(first_hit))
    figure = go.Figure(
        go.Bar(
            x=names,
            y=counts,
            marker={"color": colors},
            customdata=[list(b) for b in bins],
            text=[f"{c:,}" for c in counts],
            textposition="outside",
            cliponaxis=False,
            hovertext=[f"{100 * c / total:.1f} % of {total:,} queries" for c in counts],
            hovertemplate="rank %{x}: %{y:,} queries<br>%{hovertext}<extra></extra>",
        )
    )
    figure.update_xaxes(title="rank of the first correct item", type="category")
    figure.update_yaxes(title="queries", rangemode="tozero")
    # A column is hit above its bar too: beside 60,000 right answers a bar of 70 is two pixels high.
    figure.update_layout(bargap=0.18, dragmode=False, hovermode="x")
    return styled(figure, height=height, legend=False)


def class_sizes(sizes: np.ndarray, *, height: int = 260) -> go.Figure:
    """Draw how many classes have how many items.

    Args:
        sizes: int, (c,), items of each class.
        height: Pixels.

    Returns:
        A histogram.
    """
    bins = _bins(sizes)
    figure = go.Figure(go.Histogram(x=sizes, xbins=bins, marker={"color": HIT}))
    figure.update_traces(hovertemplate="%{x} items: %{y} classes<extra></extra>")
    low, high = bins["start"] - 1, bins["end"] + 1  # a whole number to either side of the bars
    figure.update_xaxes(title="items of a class", range=[low, high], **whole_ticks(high - low))
    tallest = np.unique((sizes - sizes.min()) // bins["size"], return_counts=True)[1].max()
    figure.update_yaxes(title="classes", **whole_ticks(tallest))
    figure.update_layout(bargap=0.05)
    return styled(figure, height=height, legend=False)


def _bins(sizes: np.ndarray) -> dict[str, float]:
    """Whole numbers, one to a bin if 40 bins are enough."""
    low, high = int(sizes.min()), int(sizes.max())
    width = -(-(high - low + 1) // 40)
    return {"start": low - 0.5, "end": high + width - 0.5, "size": width}

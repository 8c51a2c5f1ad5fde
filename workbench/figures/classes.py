"""Figures about classes: their sizes, and those on which two runs differ."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from retrieval.evaluation.metrics import HEADLINE
from retrieval.evaluation.metrics import metric as metric_of
from workbench.figures.colors import HIT, RUN_A, RUN_B
from workbench.figures.style import QUIET, as_text, styled, whole_ticks

MOST_CLASSES = 30
MOST_BINS = 40
MARGIN = 0.16  # of the bars' extent, at both ends, for the numbers there


def class_sizes(sizes: np.ndarray, *, height: int = 260) -> go.Figure:
    """Draw how many classes have how many items.

    Args:
        sizes: int, (c,), number of items of each class.
        height: Height in pixels. Defaults to 260.

    Returns:
        A histogram.
    """
    bins = _bins(sizes)
    figure = go.Figure(go.Histogram(x=sizes, xbins=bins, marker={"color": HIT}))
    figure.update_traces(hovertemplate="%{x} items: %{y} classes<extra></extra>")
    low, high = bins["start"] - 1, bins["end"] + 1  # a whole number to either side of the bars
    figure.update_xaxes(title="items per class", range=[low, high], **whole_ticks(high - low))
    tallest = np.unique((sizes - sizes.min()) // bins["size"], return_counts=True)[1].max()
    figure.update_yaxes(title="classes", **whole_ticks(tallest))
    figure.update_layout(bargap=0.05)
    return styled(figure, height=height, legend=False)


def _bins(sizes: np.ndarray) -> dict[str, float]:
    """Return bins of equal width around whole numbers, one number each if 40 bins are enough."""
    low, high = int(sizes.min()), int(sizes.max())
    width = -(-(high - low + 1) // MOST_BINS)
    return {"start": low - 0.5, "end": high + width - 0.5, "size": width}


def class_differences(
    classes: Sequence[str],
    a: np.ndarray,
    b: np.ndarray,
    n: np.ndarray,
    *,
    intervals: tuple[np.ndarray, np.ndarray] | None = None,
    colors: tuple[str, str] = (RUN_A, RUN_B),
    metric: str = HEADLINE,
) -> go.Figure:
    """Draw the classes on which two runs or losses differ most, at most 30.

    Args:
        classes: Name of each of the c classes.
        a: float, (c,), the metric of each class under run A, 0..1.
        b: float, (c,), the same under run B.
        n: int, (c,), number of queries.
        intervals: Lower and upper ends, float, (c,), of the interval of a - b, drawn as whiskers.
            By default, no whiskers.
        colors: Colors of runs A and B.
        metric: Name of the metric, which is a share. Defaults to ``recall@1``.

    Returns:
        Horizontal bars in percentage points, to the left where A is better, as in
        :func:`workbench.figures.win_tie_loss`; ``customdata`` is the
        position of the class in ``classes``.
    """
    delta = 100 * (np.asarray(a) - np.asarray(b))
    order = largest_differences(delta)
    low, high = (100 * np.asarray(end)[order] for end in intervals or (delta / 100, delta / 100))
    delta, places = delta[order], np.arange(len(order))
    figure = go.Figure(
        go.Bar(
            x=delta,
            y=places,
            orientation="h",
            marker={"color": [colors[0] if d > 0 else colors[1] for d in delta]},
            customdata=order.tolist(),
            hovertext=[_hover(classes[i], a[i], b[i], n[i]) for i in order],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    )
    if intervals:
        whiskers = {"array": high - delta, "arrayminus": delta - low, "symmetric": False}
        figure.update_traces(error_x={**whiskers, "color": QUIET, "thickness": 1.2, "width": 3})
    _add_numbers(figure, np.where(delta > 0, np.maximum(high, 0), np.minimum(low, 0)), delta)
    names = [f"{as_text(classes[i], 22)}  n={n[i]:,}" for i in order]
    figure.update_yaxes(tickvals=places, ticktext=names, showgrid=False)
    extent = np.array([*low, *high, *delta, 0.0])
    margin = MARGIN * (np.ptp(extent) or 1)
    title = metric_of(metric).title
    figure.update_xaxes(
        title=f"{title} of A minus {title} of B, percentage points: A leads on the left, B on the "
        "right",
        range=[extent.max() + margin, extent.min() - margin],
    )
    figure.update_layout(bargap=0.25, dragmode=False)
    return styled(figure, height=80 + 21 * max(3, len(order)), legend=False)


def largest_differences(delta: np.ndarray) -> np.ndarray:
    """Return the positions of the largest nonzero differences, ascending, at most 30."""
    order = np.argsort(-np.abs(delta), kind="stable")[:MOST_CLASSES]
    order = order[delta[order] != 0]
    return order[np.argsort(delta[order], kind="stable")]


def _add_numbers(figure: go.Figure, ends: np.ndarray, delta: np.ndarray) -> None:
    """Write every difference beyond its bar and whisker."""
    figure.add_scatter(
        x=ends,
        y=np.arange(len(ends)),
        mode="text",
        text=[f" {d:+.0f} " for d in delta],
        textposition=["middle left" if d > 0 else "middle right" for d in delta],
        cliponaxis=False,
        hoverinfo="skip",
    )


def _hover(name: str, a: float, b: float, n: int) -> str:
    return f"{as_text(name, 80)}, {n} queries<br>A {100 * a:.0f}%, B {100 * b:.0f}%"

"""On which classes two runs differ, with how many queries and how sure that is."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from workbench.figures.palette import RUN_A, RUN_B
from workbench.figures.style import QUIET, as_text, styled

MOST_CLASSES = 30
ROOM = 0.16  # of the bars' extent, at both ends: the numbers stand there


def class_differences(
    classes: Sequence[str],
    a: np.ndarray,
    b: np.ndarray,
    n: np.ndarray,
    *,
    intervals: tuple[np.ndarray, np.ndarray] | None = None,
    colors: tuple[str, str] = (RUN_A, RUN_B),
) -> go.Figure:
    """Draw the classes whose Recall@1 differs most between two runs, at most 30.

    Args:
        classes: Name of each of c classes.
        a: float, (c,), Recall@1 under A, 0..1.
        b: float, (c,), the same under B.
        n: int, (c,), number of queries.
        intervals: Lower and upper ends, float (c,), of the difference a - b, drawn as whiskers.
        colors: Of A and B.

    Returns:
        Horizontal bars in percentage points, A better to the right; ``customdata`` is the position
        of the class.
    """
    delta = 100 * (np.asarray(a) - np.asarray(b))
    order = largest(delta)
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
        ends = {"array": high - delta, "arrayminus": delta - low, "symmetric": False}
        figure.update_traces(error_x={**ends, "color": QUIET, "thickness": 1.2, "width": 3})
    _add_numbers(figure, np.where(delta > 0, np.maximum(high, 0), np.minimum(low, 0)), delta)
    names = [f"{as_text(classes[i], 22)}  n={n[i]:,}" for i in order]
    figure.update_yaxes(tickvals=places, ticktext=names, showgrid=False)
    ends = np.array([*low, *high, *delta, 0.0])
    room = ROOM * (np.ptp(ends) or 1)
    figure.update_xaxes(
        title="R@1 of A minus R@1 of B, percentage points",
        range=[ends.min() - room, ends.max() + room],
    )
    figure.update_layout(bargap=0.25, dragmode=False)
    return styled(figure, height=80 + 21 * max(3, len(order)), legend=False)


def largest(delta: np.ndarray) -> np.ndarray:
    """Return the positions of the largest differences but zero, from B's to A's, at most 30."""
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
        textposition=["middle right" if d > 0 else "middle left" for d in delta],
        cliponaxis=False,
        hoverinfo="skip",
    )


def _hover(name: str, a: float, b: float, n: int) -> str:
    return f"{as_text(name, 80)}, {n} queries<br>A {100 * a:.0f} %, B {100 * b:.0f} %"

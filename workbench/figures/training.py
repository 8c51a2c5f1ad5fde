"""Training curves: the loss, or an in-training metric, against the training step."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from retrieval.evaluation.metrics import metric
from workbench.figures.colors import ACCENT, colors_of
from workbench.figures.style import GRID, as_text, short_names, styled, whole_ticks

MOST_POINTS = 500  # of a curve: more than its pixels would show, and a constant cost per drawing
SMOOTHED = 30  # parts of a curve that goes on; the moving average is over one of them


def training_curves(
    histories: Mapping[str, pd.DataFrame],
    column: str = "loss",
    *,
    measured_on: str = "",
    groups: Mapping[str, str] | None = None,
    colors: Mapping[str, str] | None = None,
    height: int = 300,
) -> go.Figure:
    """Overlay one column of several training histories.

    Losses live on different scales. So a loss is smoothed by a moving average over a fiftieth of
    its steps and divided by the first smoothed value: every curve starts at 1, at the end of the
    first window. The axis of a metric fits the curves, because they often rise by only a few
    points. A curve has at most :data:`MOST_POINTS` points.

    Args:
        histories: Run name -> history with ``step`` and the column. Rows without a value and runs
            without the column are skipped.
        column: ``loss``, or an in-training metric such as ``recall@1``. Defaults to ``loss``.
        measured_on: Protocol and split of the metric, for the title of its axis.
        groups: Run name -> group of runs that share a color and an entry in the legend. By default,
            every run is a group of its own.
        colors: Group -> color. By default, see :func:`workbench.figures.colors.colors_of`.
        height: Height in pixels, which grows with the legend. Defaults to 300.

    Returns:
        A figure with one line per run.
    """
    groups = groups or {name: name for name in histories}
    shown = list(dict.fromkeys(groups[name] for name in histories))
    colors = colors or colors_of(shown)
    legend = dict(zip(shown, short_names(shown), strict=True))
    seen: set[str] = set()
    last_step = 0
    figure = go.Figure()
    for name, history in histories.items():
        if column not in history:
            continue
        part, group = history.dropna(subset=[column]), groups[name]
        values = _thinned(
            _relative(part[column]) if column == "loss" else metric(column).scale * part[column]
        )
        figure.add_scatter(
            x=part["step"].loc[values.index],
            y=values,
            name=legend[group],
            legendgroup=group,
            showlegend=group not in seen,
            mode="lines" if len(part) > 60 else "lines+markers",
            marker={"size": 5},
            line={"color": colors[group], "width": 1.6},
            hovertemplate=f"{as_text(name, 60)}<br>step %{{x}}: %{{y:.4g}}<extra></extra>",
        )
        seen.add(group)
        last_step = max(last_step, int(part["step"].max() or 0) if len(part) else 0)
    figure.update_xaxes(title="training step", **whole_ticks(last_step))
    figure.update_yaxes(**_value_axis(column, measured_on))
    return styled(figure, height=height + 9 * len(shown))


def _thinned(values: pd.Series) -> pd.Series:
    """Keep a constant number of values, evenly spread, the first and the last among them.

    A smoothed loss has as many values as steps and changes little from one to the next.
    """
    if len(values) <= MOST_POINTS:
        return values
    return values.iloc[np.linspace(0, len(values) - 1, MOST_POINTS).round().astype(int)]


def _value_axis(column: str, measured_on: str) -> dict:
    if column == "loss":
        return {"title": "loss relative to the start", "rangemode": "tozero"}
    shown = metric(column)
    title = f"{shown.title} during training" + (", %" if shown.unit else "")
    return {"title": "<br>".join(filter(None, (title, measured_on)))}


def _relative(loss: pd.Series) -> pd.Series:
    """Smooth a loss by a moving average and divide it by the first smoothed value."""
    smooth = loss.rolling(max(1, len(loss) // 50)).mean().dropna()
    return smooth / (float(smooth.iloc[0]) or 1.0) if len(smooth) else smooth


def loss_so_far(history: pd.DataFrame, steps: int, *, height: int = 210) -> go.Figure:
    """Draw the loss of a training that goes on: every point faintly, and a moving average.

    Args:
        history: Columns ``step`` and ``loss``.
        steps: Number of steps of the whole training, where the axis ends; 0 if unknown.
        height: Height in pixels. Defaults to 210.
    """
    part = history.dropna(subset=["loss"])
    values = _thinned(part["loss"])
    window = max(1, len(values) // SMOOTHED)
    smooth = values.rolling(window, min_periods=1).mean()
    at = part["step"].loc[values.index]
    figure = go.Figure()
    figure.add_scatter(
        x=at, y=values, mode="lines", line={"color": GRID, "width": 1}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=at,
        y=smooth,
        mode="lines",
        line={"color": ACCENT, "width": 1.8},
        hovertemplate="step %{x}: %{y:.4g}<extra></extra>",
    )
    figure.update_yaxes(title="loss")
    return _so_far(figure, steps, height)


def metric_so_far(history: pd.DataFrame, name: str, steps: int, *, height: int = 210) -> go.Figure:
    """Draw a metric of the evaluations of a training that goes on.

    Args:
        history: Columns ``step`` and that of the metric.
        name: Name of the metric, e.g. ``recall@1``.
        steps: Number of steps of the whole training, where the axis ends; 0 if unknown.
        height: Height in pixels. Defaults to 210.
    """
    part, shown = history.dropna(subset=[name]), metric(name)
    values = _thinned(shown.scale * part[name])
    figure = go.Figure()
    figure.add_scatter(
        x=part["step"].loc[values.index],
        y=values,
        mode="lines+markers" if len(values) <= 60 else "lines",
        marker={"size": 5},
        line={"color": ACCENT, "width": 1.8},
        hovertemplate="step %{x}: %{y:.4g}<extra></extra>",
    )
    figure.update_yaxes(title=f"{shown.title}{', %' if shown.unit else ''}")
    return _so_far(figure, steps, height)


def _so_far(figure: go.Figure, steps: int, height: int) -> go.Figure:
    """Give the axis of steps its final length, so that it stays where it is while curves grow."""
    end = {"range": [0, steps]} if steps else {}
    figure.update_xaxes(title="training step", **whole_ticks(steps or 100), **end)
    return styled(figure, height=height, legend=False)

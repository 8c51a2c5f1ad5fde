"""Curves: Recall@K of several runs, and how training went."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from retrieval.evaluation.metrics import metric
from workbench.figures.palette import colors_of
from workbench.figures.style import as_text, short_names, styled, whole_ticks

DASHES = ("solid", "dot", "dash", "dashdot", "longdash")
TICKS = [1, 2, 4, 8, 16, 32, 64]


def recall_curves(
    curves: dict[str, pd.DataFrame],
    *,
    colors: Mapping[str, str] | None = None,
    height: int = 360,
) -> go.Figure:
    """Draw Recall@K against K, one line per loss.

    Args:
        curves: Title -> DataFrame with ``k`` and ``recall`` (0..1), best first.
        colors: Title -> color; default: see :func:`workbench.figures.palette.colors_of`.
        height: Pixels.

    Returns:
        A figure with a logarithmic K axis.
    """
    colors = colors or colors_of(list(curves))
    figure = go.Figure()
    legend = short_names(list(curves), 40)
    for i, (name, curve) in enumerate(curves.items()):
        figure.add_scatter(
            x=curve["k"],
            y=100 * curve["recall"],
            name=legend[i],
            mode="lines",
            line={"color": colors[name], "width": 2, "dash": DASHES[i // 8 % len(DASHES)]},
            hovertemplate=f"{as_text(name, 60)}<br>R@%{{x}} = %{{y:.1f}} %<extra></extra>",
        )
    figure.update_xaxes(type="log", tickvals=TICKS, ticktext=[str(t) for t in TICKS], title="K")
    figure.update_yaxes(title="Recall@K, %")
    return styled(figure, height=height)


def training_curves(
    histories: dict[str, pd.DataFrame],
    column: str = "loss",
    *,
    measured_on: str = "",
    groups: dict[str, str] | None = None,
    colors: Mapping[str, str] | None = None,
    height: int = 300,
) -> go.Figure:
    """Overlay one column of several runs' training histories.

    A loss is smoothed over a fiftieth of its steps and divided by the first smoothed value, so that
    every curve starts at 1, where the first window ends. An evaluation's axis fits the curves:
    they often rise by a few points only.

    Args:
        histories: Run name -> history with ``step`` and the column; rows without a value are
            skipped, and runs without the column are left out.
        column: ``loss``, or an in-training evaluation such as ``recall@1``.
        measured_on: Protocol and split of an evaluation, for the title of its axis.
        groups: Run name -> what shares a color and a legend entry; default: every run its own.
        colors: Group -> color; default: see :func:`workbench.figures.palette.colors_of`.
        height: Pixels, to which the legend adds some.

    Returns:
        A figure with one line per run.
    """
    groups = groups or {name: name for name in histories}
    shown = list(dict.fromkeys(groups[name] for name in histories))
    colors = colors or colors_of(shown)
    legend = dict(zip(shown, short_names(shown), strict=True))
    seen: set[str] = set()
    last = 0
    figure = go.Figure()
    for name, history in histories.items():
        if column not in history:
            continue
        part, group = history.dropna(subset=[column]), groups[name]
        values = (
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
        last = max(last, int(part["step"].max() or 0) if len(part) else 0)
    figure.update_xaxes(title="step", **whole_ticks(last))
    figure.update_yaxes(**_training_axis(column, measured_on))
    return styled(figure, height=height + 9 * len(shown))


def _training_axis(column: str, measured_on: str) -> dict:
    if column == "loss":
        return {"title": "loss / loss at the start", "rangemode": "tozero"}
    shown = metric(column)
    what = f"{shown.title} during training" + (", %" if shown.is_percent else "")
    return {"title": "<br>".join(filter(None, (what, measured_on)))}


def _relative(loss: pd.Series) -> pd.Series:
    """Smooth a little and divide by the start, because losses live on different scales."""
    smooth = loss.rolling(max(1, len(loss) // 50)).mean().dropna()
    return smooth / (float(smooth.iloc[0]) or 1.0) if len(smooth) else smooth

"""Curves: Recall@K of several runs, and how training went."""

import pandas as pd
import plotly.graph_objects as go

from workbench.figures.style import styled
from workbench.palette import colours_of

DASHES = ("solid", "dot", "dash", "dashdot", "longdash")
TICKS = [1, 2, 4, 8, 16, 32, 64]


def recall_curves(curves: dict[str, pd.DataFrame], *, height: int = 360) -> go.Figure:
    """Draw Recall@K against K, one line per loss.

    Args:
        curves: Title -> DataFrame with ``k`` and ``recall`` (0..1), best first.
        height: Pixels.

    Returns:
        A figure with a logarithmic K axis.
    """
    colours = colours_of(list(curves))
    figure = go.Figure()
    for i, (name, curve) in enumerate(curves.items()):
        figure.add_scatter(
            x=curve["k"],
            y=100 * curve["recall"],
            name=name,
            mode="lines",
            line={"color": colours[name], "width": 2, "dash": DASHES[i // 6 % len(DASHES)]},
            hovertemplate=f"{name}<br>R@%{{x}} = %{{y:.1f}} %<extra></extra>",
        )
    figure.update_xaxes(type="log", tickvals=TICKS, ticktext=[str(t) for t in TICKS], title="K")
    figure.update_yaxes(title="Recall@K, %")
    return styled(figure, height=height)


def training_curves(
    histories: dict[str, pd.DataFrame], column: str = "loss", *, height: int = 300
) -> go.Figure:
    """Overlay one column of several runs' training histories.

    Args:
        histories: Run name -> history with ``step`` and the column; rows without a value are
            skipped, and runs without the column are left out.
        column: ``loss``, or an in-training evaluation such as ``recall@1``.
        height: Pixels.

    Returns:
        A figure with one line per run.
    """
    colours = colours_of(list(histories))
    share = column != "loss"
    figure = go.Figure()
    for i, (name, history) in enumerate(histories.items()):
        if column not in history:
            continue
        part = history.dropna(subset=[column])
        figure.add_scatter(
            x=part["step"],
            y=part[column] * (100 if share else 1),
            name=name,
            mode="lines+markers" if share else "lines",
            marker={"size": 5},
            line={"color": colours[name], "width": 1.8, "dash": DASHES[i // 6 % len(DASHES)]},
            hovertemplate=f"{name}<br>step %{{x}}: %{{y:.4g}}<extra></extra>",
        )
    figure.update_xaxes(title="step")
    title = {"loss": "loss", "recall@1": "R@1 during training, %"}.get(column, column)
    figure.update_yaxes(title=title, type="linear")
    return styled(figure, height=height)

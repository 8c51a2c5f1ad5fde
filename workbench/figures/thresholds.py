"""How often a threshold errs, and whether calibrated probabilities hold."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.figures.colors import ACCENT, MISS, NEUTRAL, RUN_A
from workbench.figures.style import styled

BAND = "rgba(106, 79, 196, 0.18)"


def roc(
    curve: pd.DataFrame, eer: pd.Series, chosen: pd.Series | None = None, *, height: int = 380
) -> go.Figure:
    """Draw the share of pairs of one class that are accepted against FMR, on a log axis.

    Args:
        curve: See :attr:`retrieval.evaluation.thresholds.Thresholds.curve`.
        eer: The row of the EER of ``points``.
        chosen: A row of the curve to mark. Defaults to none.
        height: Height in pixels. Defaults to 380.

    Returns:
        A figure; both axes in percent.
    """
    curve = curve[curve["fmr"] > 0].sort_values("fmr")
    band = curve.dropna(subset=["band_low", "band_high"])
    figure = go.Figure()
    if len(band):
        figure.add_scatter(
            x=100 * np.r_[band["fmr"], band["fmr"][::-1]],
            y=100 * np.r_[1 - band["band_low"], 1 - band["band_high"][::-1]],
            fill="toself",
            fillcolor=BAND,
            line={"width": 0},
            name="95% interval",
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=100 * curve["fmr"],
        y=100 * (1 - curve["fnmr"]),
        customdata=np.stack([curve["threshold"], 100 * curve["fnmr"]], axis=1),
        mode="lines",
        line={"color": RUN_A, "width": 2},
        name="accepted pairs of one class",
        hovertemplate="threshold %{customdata[0]:.4f}<br>FMR %{x:.3g}%<br>"
        "FNMR %{customdata[1]:.3g}%<extra></extra>",
    )
    low = float(curve["fmr"].min())
    equal = np.logspace(np.log10(low), 0, 60)
    figure.add_scatter(
        x=100 * equal,
        y=100 * (1 - equal),
        mode="lines",
        line={"color": NEUTRAL, "width": 1, "dash": "dot"},
        name="FMR = FNMR",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[100 * eer["fmr"]],
        y=[100 * (1 - eer["fnmr"])],
        mode="markers+text",
        marker={"color": RUN_A, "size": 10, "symbol": "diamond"},
        text=[f"EER {100 * eer['fnmr']:.1f}%"],
        textposition="bottom right" if eer["fmr"] < 0.02 else "bottom left",
        showlegend=False,
        hovertemplate=f"EER at threshold {eer['threshold']:.4f}<extra></extra>",
    )
    if chosen is not None and chosen["fmr"] > 0:
        figure.add_scatter(
            x=[100 * chosen["fmr"]],
            y=[100 * (1 - chosen["fnmr"])],
            mode="markers",
            marker={"color": ACCENT, "size": 12, "line": {"width": 2, "color": "white"}},
            name="this threshold",
            hovertemplate=f"threshold {chosen['threshold']:.4f}<extra></extra>",
        )
    powers = np.arange(int(np.floor(np.log10(100 * low))), 3)
    figure.update_xaxes(
        type="log",
        title="False match rate (FMR), %",
        tickvals=[10.0**p for p in powers],
        ticktext=[f"{10.0**p:g}" for p in powers],
        range=[np.log10(100 * low), 2.02],
    )
    figure.update_yaxes(title="Accepted pairs of one class (1 - FNMR), %", range=[-2, 102])
    return styled(figure, height=height)


def reliability(table: pd.DataFrame, *, height: int = 380) -> go.Figure:
    """Draw the observed share of pairs of one class against the calibrated probability.

    Args:
        table: See :attr:`retrieval.evaluation.thresholds.Thresholds.reliability`.
        height: Height in pixels. Defaults to 380.

    Returns:
        A figure; both axes in percent.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        line={"color": NEUTRAL, "width": 1, "dash": "dot"},
        name="as predicted",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=100 * table["predicted"],
        y=100 * table["observed"],
        error_y={
            "array": (100 * (table["high"] - table["observed"])).fillna(0),
            "arrayminus": (100 * (table["observed"] - table["low"])).fillna(0),
            "symmetric": False,
            "thickness": 1.2,
            "width": 3,
        },
        customdata=table["pairs"],
        mode="markers+lines",
        line={"color": MISS, "width": 1},
        marker={"color": MISS, "size": 8},
        name="observed on the other classes, with 95% interval",
        hovertemplate="predicted %{x:.1f}%<br>observed %{y:.1f}%<br>%{customdata:,} pairs"
        "<extra></extra>",
    )
    figure.update_xaxes(title="Calibrated probability of the same class, %", range=[-2, 102])
    figure.update_yaxes(title="Pairs of one class, %", range=[-2, 102])
    return styled(figure, height=height)

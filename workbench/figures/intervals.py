"""One metric of every loss with its 95% interval."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from retrieval.evaluation.metrics import HEADLINE
from retrieval.evaluation.metrics import metric as metric_of
from workbench.figures.colors import NEUTRAL, colors_of
from workbench.figures.style import as_text, short_names, styled


def loss_intervals(
    table: pd.DataFrame,
    metric: str = HEADLINE,
    *,
    colors: Mapping[str, str] | None = None,
) -> go.Figure:
    """Draw one metric of every loss as a point with its 95% interval, best at the top.

    Args:
        table: Columns ``group``, the metric in 0..1 and ``<metric>/low``, ``<metric>/high``.
        metric: Column of the metric. Defaults to ``recall@1``.
        colors: Group -> color. By default, see :func:`workbench.figures.colors.colors_of`.

    Returns:
        A figure in the scale that the metric is printed in.
    """
    names = list(table["group"])
    colors = colors or colors_of(names)
    shown = metric_of(metric)
    value = shown.scale * table[metric]
    figure = go.Figure(
        go.Scatter(
            x=value,
            y=list(range(len(names))),
            mode="markers+text",
            text=[shown.format(v) for v in table[metric]],
            textposition="top center",
            cliponaxis=False,
            marker={"size": 10, "color": [colors[name] for name in names]},
            error_x={
                "array": shown.scale * table[f"{metric}/high"] - value,
                "arrayminus": value - shown.scale * table[f"{metric}/low"],
                "color": NEUTRAL,
                "thickness": 1.4,
                "width": 4,
            },
            hovertext=[as_text(name, 80) for name in names],
            hovertemplate=f"%{{hovertext}}: %{{x:.{shown.digits}f}}{shown.unit}<extra></extra>",
        )
    )
    drawn = " (95% interval)" if table[f"{metric}/low"].notna().any() else ""
    figure.update_xaxes(title=f"{shown.title}{', %' if shown.unit else ''}{drawn}")
    figure.update_yaxes(
        range=[len(names) - 0.5, -0.7],  # best at the top, with room for its value
        tickvals=list(range(len(names))),
        ticktext=short_names(names, 34),
        showgrid=False,
        ticklabelstandoff=6,
    )
    return styled(figure, height=96 + 46 * len(names), legend=False)

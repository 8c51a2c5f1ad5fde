"""The Recall@K chart: one curve per loss."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from workbench.figures.colors import colors_of
from workbench.figures.style import as_text, short_names, styled

DASHES = ("solid", "dot", "dash", "dashdot", "longdash")
TICKS = [1, 2, 4, 8, 16, 32, 64]


def recall_curves(
    curves: Mapping[str, pd.DataFrame],
    *,
    colors: Mapping[str, str] | None = None,
    height: int = 360,
) -> go.Figure:
    """Draw Recall@K against K, one line per loss.

    Args:
        curves: Title -> DataFrame with the columns ``k`` and ``recall`` (0..1), best first.
        colors: Title -> color. By default, see :func:`workbench.figures.colors.colors_of`.
        height: Height in pixels. Defaults to 360.

    Returns:
        A figure with a logarithmic K axis and Recall@K in percent.
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
            hovertemplate=f"{as_text(name, 60)}<br>R@%{{x}} = %{{y:.1f}}%<extra></extra>",
        )
    figure.update_xaxes(type="log", tickvals=TICKS, ticktext=[str(t) for t in TICKS], title="K")
    figure.update_yaxes(title="Recall@K, %")
    return styled(figure, height=height)

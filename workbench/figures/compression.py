"""A metric against the bytes of a stored vector, for every form of the embedding of every loss."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from retrieval.evaluation.compression import (
    BINARY,
    FLOAT16,
    FLOAT32,
    INT8,
    PCA,
    PQ,
    TITLES,
    TRUNCATE,
    form_of,
)
from retrieval.evaluation.metrics import Metric
from retrieval.evaluation.metrics import metric as metric_of
from retrieval.report.compression import LossForms
from workbench.figures.colors import NEUTRAL, colors_of
from workbench.figures.style import QUIET, as_text, short_names, styled

SYMBOLS = {
    FLOAT32: "circle",
    FLOAT16: "square",
    INT8: "diamond",
    BINARY: "x",
    PQ: "star",
    TRUNCATE: "triangle-down",
    PCA: "triangle-up-open",
}
LINES = {PQ: "dot", TRUNCATE: "solid", PCA: "dash"}  # of forms of several sizes
APART = 0.035  # between losses at the same number of bytes, as a share of it


def bytes_chart(
    forms: Sequence[LossForms], *, colors: Mapping[str, str] | None = None, height: int = 520
) -> go.Figure:
    """Draw a metric against bytes per vector: a color per loss, a symbol per kind of form.

    Args:
        forms: The forms of each loss, all by one metric.
        colors: Title of a loss -> color. By default, see
            :func:`workbench.figures.colors.colors_of`.
        height: Height in pixels. Defaults to 520.

    Returns:
        A figure with a logarithmic axis of bytes. A bar is the interval of the cost, drawn around
        the value, so that it does not reach the level of the full embedding where a cost is
        significant; a dotted line marks that level for the first loss. Points of several losses at
        one number of bytes stand a little apart.
    """
    found = metric_of(forms[0].metric)
    colors = colors or colors_of([each.title for each in forms])
    names = dict(
        zip([each.title for each in forms], short_names([f.title for f in forms], 34), strict=True)
    )
    figure = go.Figure()
    for number, each in enumerate(forms):
        shift = (1 + APART) ** (number - (len(forms) - 1) / 2)
        for kind in SYMBOLS:
            part = each.table[each.table["kind"] == kind].sort_values("bytes")
            if len(part):
                figure.add_trace(_points(found, each, part, kind, shift, colors[each.title]))
    for each in forms:
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines",
            line={"color": colors[each.title], "width": 4},
            name=names[each.title],
            legend="legend",
        )
    for kind in SYMBOLS:
        if any((each.table["kind"] == kind).any() for each in forms):
            figure.add_scatter(
                x=[None],
                y=[None],
                mode="lines+markers" if kind in LINES else "markers",
                marker={"symbol": SYMBOLS[kind], "size": 9, "color": NEUTRAL},
                line={"color": NEUTRAL, "width": 1.4, "dash": LINES.get(kind, "solid")},
                name=TITLES[kind],
                legend="legend2",
            )
    full = forms[0].table[forms[0].table["kind"] == FLOAT32]
    if len(full):
        figure.add_hline(
            found.scale * float(full["value"].iloc[0]),
            line={"color": QUIET, "width": 1, "dash": "dot"},
        )
    sizes = np.unique(np.concatenate([each.table["bytes"] for each in forms]))
    powers = 2.0 ** np.arange(np.floor(np.log2(sizes.min())), np.ceil(np.log2(sizes.max())) + 1)
    figure.update_xaxes(
        type="log",
        title="Bytes per vector (log scale)",
        tickvals=powers,
        ticktext=[f"{power:g}" for power in powers],
        range=[np.log10(sizes.min() / 1.25), np.log10(sizes.max() * 1.25)],
    )
    figure.update_yaxes(title=f"{found.title}{', %' if found.unit else ''}")
    styled(figure, height=height)
    row = {"orientation": "h", "x": 0, "title": "", "itemclick": False, "itemdoubleclick": False}
    figure.update_layout(
        legend={**row, "y": 1.01, "yanchor": "bottom"},
        legend2={**row, "y": -0.16, "yanchor": "top"},
    )
    return figure


def _points(
    found: Metric, each: LossForms, part: pd.DataFrame, kind: str, shift: float, color: str
) -> go.Scatter:
    """Draw the forms of one kind of one loss, joined by a line if they are of several sizes."""
    ends = ("value", "cost", "cost_low", "cost_high")
    value, cost, low, high = (found.scale * part[end].to_numpy(float) for end in ends)
    least, most = (found.scale * bound for bound in found.bounds)
    return go.Scatter(
        x=shift * part["bytes"].to_numpy(float),
        y=value,
        mode="lines+markers" if kind in LINES else "markers",
        marker={"symbol": SYMBOLS[kind], "size": 10, "color": color},
        line={"color": color, "width": 1.4, "dash": LINES.get(kind, "solid")},
        error_y={
            "array": np.nan_to_num(np.minimum(cost - low, most - value)),
            "arrayminus": np.nan_to_num(np.minimum(high - cost, value - least)),
            "color": color,
            "thickness": 1.1,
            "width": 3,
        },
        showlegend=False,
        hovertext=[_hover(found, each, row) for row in part.to_dict("records")],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _hover(found: Metric, each: LossForms, row: dict) -> str:
    """Describe a form: its value, its size, and what it costs."""
    unit = " points" if found.is_percent else ""
    lines = [
        f"<b>{as_text(each.title, 60)}</b>, {form_of(row['form']).title}",
        f"{found.title}: {found.format(row['value'], row['low'], row['high'])}",
        f"{row['bytes']:,} bytes per vector, {100 * row['share']:.3g}% of float32",
    ]
    if row["form"] != FLOAT32:
        cost = found.format_difference(row["cost"], row["cost_low"], row["cost_high"])
        lines.append(f"cost {cost}{unit}; {row['changed']:,} of {row['queries']:,} queries changed")
    return "<br>".join(lines)

"""Figures of slices: every slice's figures, and what stands out, each with its interval."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from retrieval.evaluation.metrics import Metric
from retrieval.evaluation.metrics import metric as metric_of
from retrieval.evaluation.slices import Sliced
from retrieval.report.slices import difference_verdict, gap_verdict
from retrieval.report.verdicts import points
from workbench.figures.colors import HIT, MISS, NEUTRAL, RUN_A, RUN_B
from workbench.figures.style import QUIET, as_text, short_names, styled

ROW, SMALL_ROW, MANY = 38, 27, 10  # pixels of a slice; smaller ones for more slices
APART = 0.16  # of a row, between the two runs of a slice


def slice_forest(
    sliced: Sliced,
    table: pd.DataFrame | None = None,
    *,
    colors: tuple[str, str] = (RUN_A, RUN_B),
    chosen: str = "",
) -> go.Figure:
    """Draw the figures of every slice, and beside them its difference or its gap to the rest.

    Args:
        sliced: The slices of one run or two.
        table: Their table in another order. Defaults to the order of the values.
        colors: Colors of the runs.
        chosen: Name of the slice whose row is marked. Defaults to none.

    Returns:
        Two charts side by side that share the rows; ``customdata`` is the position of the slice in
        the table. A filled point has a verdict, a hollow one has none; of two runs, the color of a
        difference is that of the run that is ahead, if it is significantly so.
    """
    table = sliced.table if table is None else table
    found, n = metric_of(sliced.metric), len(table)
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.04)
    names = [as_text(name, 60) for name in sliced.names]
    for number, letter in enumerate("ab"[: len(names)]):
        shift = APART * (2 * number - 1) if sliced.is_pair else 0.0
        values = [table[f"{letter}{end}"] for end in ("", "_low", "_high")]
        texts = [
            f"{names[number]}: {found.format(*ends)}{_count(row)}"
            for *ends, row in zip(*values, table.to_dict("records"), strict=True)
        ]
        figure.add_trace(_points(found, values, shift, [colors[number]] * n, texts), 1, 1)
    what = "difference" if sliced.is_pair else "gap"
    values = [table[f"{what}{end}"] for end in ("", "_low", "_high")]
    significant = table[f"{what}_significant"].to_numpy()
    ahead = colors if sliced.is_pair else (HIT, MISS)
    shades = [
        (ahead[0] if value > 0 else ahead[1]) if is_so else NEUTRAL
        for value, is_so in zip(values[0], significant, strict=True)
    ]
    texts = [_stands_out(sliced, row, what, found) for row in table.to_dict("records")]
    figure.add_trace(_points(found, values, 0.0, shades, texts), 1, 2)
    figure.add_vline(0, line={"color": QUIET, "width": 1.5}, row=1, col=2)
    title = f"{found.title}{', %' if found.unit else ''}"
    unit = ", points" if found.is_percent else ""
    difference = "A minus B" if sliced.is_pair else "slice minus rest"
    figure.update_xaxes(title=f"{title} (95%, each alone)", row=1, col=1)
    figure.update_xaxes(title=f"{difference}{unit} (95%, all at once)", row=1, col=2)
    figure.update_yaxes(range=[n - 0.5, -0.5], showgrid=False, zeroline=False)
    figure.update_yaxes(tickvals=list(range(n)), ticktext=_ticks(table), row=1, col=1)
    at = np.flatnonzero(table["slice"] == chosen)
    if len(at):
        figure.add_hrect(
            at[0] - 0.48,
            at[0] + 0.48,
            fillcolor=QUIET,
            opacity=0.14,
            line_width=0,
            row=1,
            col="all",
        )
    figure.update_layout(dragmode=False)
    row = ROW if n <= MANY else SMALL_ROW
    return styled(figure, height=84 + row * max(2, n), legend=False)


def _points(
    found: Metric,
    values: Sequence[pd.Series],
    shift: float,
    colors: Sequence[str],
    texts: Sequence[str],
) -> go.Scatter:
    """Draw one point in every row with its interval, or a hollow one if it has none."""
    value, low, high = (found.scale * each.to_numpy(float) for each in values)
    places = np.arange(len(value))
    return go.Scatter(
        x=value,
        y=places + shift,
        mode="markers",
        customdata=places.tolist(),
        marker={
            "size": 9,
            "color": list(colors),
            "symbol": ["circle" if said else "circle-open" for said in np.isfinite(low)],
        },
        error_x={
            "array": high - value,
            "arrayminus": value - low,
            "color": NEUTRAL,
            "thickness": 1.4,
            "width": 4,
        },
        hovertext=list(texts),
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _stands_out(sliced: Sliced, row: dict, what: str, found: Metric) -> str:
    """Describe the difference or gap of a slice, and of two runs also the gap of the difference."""
    names = ("difference", "gap") if sliced.is_pair else (what,)
    lines = []
    for name in names:
        ends = [row[f"{name}{end}"] for end in ("", "_low", "_high")]
        title = {"difference": "A minus B", "gap": "slice minus rest"}[name]
        verdict = difference_verdict if name == "difference" else gap_verdict
        text = f"{found.format_difference(*ends)}{points(found)}"
        lines.append(f"{title}: {text}, {as_text(verdict(sliced, row), 60)}")
    return "<br>".join(lines)


def _count(row: dict) -> str:
    return f"<br>{row['queries']:,} queries, {row['classes']:,} classes"


def _ticks(table: pd.DataFrame) -> list[str]:
    names = short_names(table["slice"].tolist(), 24)
    return [
        f"{name}  n={queries:,}, c={classes:,}"
        for name, queries, classes in zip(names, table["queries"], table["classes"], strict=True)
    ]

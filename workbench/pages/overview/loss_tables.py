"""Tables of the Overview: every metric of every loss, and published next to measured values."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from retrieval.evaluation.metrics import HEADLINE, metric, scale_note
from retrieval.report.published import published_notes, published_table
from retrieval.runs.run import Run
from workbench.analysis.protocol import NO_INTERVALS, NO_NMI_INTERVAL
from workbench.analysis.tables import has_intervals, metrics_of
from workbench.components import sortable_table

SPREAD = (
    "± is half of the 95% interval, over classes (or queries without a class) and, "
    "for several seeds, over seeds;"
)
SEEDS = "values are means over seeds."
BOLD = "Bold: the best value, whether or not its lead is significant."


def metrics_table(
    table: pd.DataFrame,
    colors: Mapping[str, str],
    kind: str = "loss",
    *,
    ranked_by: str = HEADLINE,
    key: str = "losses",
) -> None:
    """Draw every metric of every loss with its interval; the best of each metric is bold.

    Args:
        table: The losses, see :func:`workbench.analysis.tables.loss_table`.
        colors: Title of a loss (``group``) -> its color.
        kind: See :func:`workbench.analysis.naming.kind_of`. Defaults to ``loss``.
        ranked_by: The metric that the losses are sorted by. Defaults to ``recall@1``.
        key: Unique key of the table on the page. Defaults to ``losses``.
    """
    sortable_table(losses_table(table, colors, kind, ranked_by), key=key)
    if notes := _notes(table):
        st.caption(" ".join(notes))


def _notes(table: pd.DataFrame) -> list[str]:
    """Say how the figures of a table are written; nothing where it has none."""
    names = metrics_of(table)
    if not names:
        return []
    scale = scale_note(names)
    notes = [f"Scale: {scale}."] if scale else []
    if has_intervals(table, names):
        notes += [SPREAD, SEEDS]
        if _lacks_nmi_interval(table):
            notes.append(NO_NMI_INTERVAL)
    else:
        notes += [NO_INTERVALS, f"{SEEDS[:1].upper()}{SEEDS[1:]}"]
    return [*notes, BOLD] if len(table) > 1 else notes


def losses_table(
    table: pd.DataFrame,
    colors: Mapping[str, str],
    kind: str = "loss",
    ranked_by: str = HEADLINE,
) -> dict:
    """Describe the table of :func:`metrics_table`.

    Args:
        table: The losses, see :func:`workbench.analysis.tables.loss_table`.
        colors: Title of a loss (``group``) -> its color.
        kind: See :func:`workbench.analysis.naming.kind_of`. Defaults to ``loss``.
        ranked_by: The metric that the losses are sorted by. Defaults to ``recall@1``.

    Returns:
        What :func:`workbench.components.sortable_table` draws: ``alt``, ``columns`` and ``rows``.
    """
    names = metrics_of(table)
    best = pd.Series(np.nan, names)
    if len(table) > 1:
        highest = {name: metric(name).higher_is_better for name in names}
        best = pd.Series({n: table[n].max() if highest[n] else table[n].min() for n in names})
    rows = [_row(row, names, best, colors[row["group"]]) for _, row in table.iterrows()]
    alt = f"Metrics of every {kind}, best {metric(ranked_by).long_title} first"
    return {"alt": alt, "columns": _columns(names, kind), "rows": rows}


def _columns(names: list[str], kind: str) -> list[dict]:
    figures = [{"title": metric(name).title, "number": True} for name in names]
    return [
        {"title": kind.capitalize()},
        *figures,
        {"title": "Seeds"},
        {"title": "Queries", "number": True},
    ]


def _row(row: pd.Series, names: list[str], best: pd.Series, color: str) -> list[dict]:
    seeds = ", ".join(map(str, row["seeds"])) or "–"
    n = int(row["n_queries"])
    return [
        {"text": _name(row), "value": row["group"], "title": _runs(row), "color": color},
        *(_cell(row, name) | {"best": bool(row[name] == best[name])} for name in names),
        {"text": seeds, "value": seeds},
        {"text": f"{n:,}", "value": n},
    ]


def _name(row: pd.Series) -> str:
    """Return the loss's title, after the name of its only run if that does not begin with it."""
    names = row["runs"]
    named = len(names) == 1 and not names[0].startswith(row.get("loss", ""))
    return f"{names[0]} · {row['loss']}" if named else row["group"]


def _runs(row: pd.Series) -> str:
    """Return the loss's title and the names of its runs, for the tooltip of its cell."""
    return f"{row['group']}\n{'runs' if len(row['runs']) > 1 else 'run'} {', '.join(row['runs'])}"


def _cell(row: pd.Series, name: str) -> dict:
    value, half = row[name], (row[f"{name}/high"] - row[f"{name}/low"]) / 2
    if pd.isna(value):
        return {"text": "–", "value": None}
    cell = {"text": metric(name).format(value), "value": float(value)}
    return cell if pd.isna(half) else cell | {"spread": metric(name).format(half)}


def _lacks_nmi_interval(table: pd.DataFrame) -> bool:
    if "nmi" not in table:
        return False
    lows = table[[f"{name}/low" for name in metrics_of(table)]].notna().any(axis=1)
    return bool((table["nmi"].notna() & table["nmi/low"].isna() & lows).any())


def published_figures(runs: list[Run], protocol: str, *, key: str = "published") -> None:
    """Draw the published next to the measured values of the runs that follow a recipe.

    Args:
        runs: Runs that are comparable with each other.
        protocol: Name of the protocol that the values are measured under.
        key: Unique key of the table on the page. Defaults to ``published``.
    """
    table = published_table(runs, protocol)
    if table.empty:
        return
    st.markdown("**Compared with published results**")
    metrics = [metric(name) for name in table["metric"]]
    shown = table.assign(
        metric=[m.title for m in metrics],
        measured=[m.format(v) for m, v in zip(metrics, table["measured"], strict=True)],
        published=[m.quote(v) for m, v in zip(metrics, table["published"], strict=True)],
        changed=table["changed"].replace("", "as published"),
    )
    shown.columns = ["Run", "Recipe", "Metric", "Measured", "Published", "Note"]
    st.dataframe(shown, hide_index=True, key=key)
    for recipe, note in published_notes(table).items():
        st.caption(f"{recipe}: {note}")

"""Tables of the Overview: every metric of every loss, and the published figures beside them."""

import numpy as np
import pandas as pd
import streamlit as st

from retrieval.runs import Run
from workbench.tables import TITLES, metrics_of, percent, published_table

CAPTION = (
    "Percent (NMI 0 to 1) ± half of the 95% interval, from a bootstrap over classes; seeds are "
    "averaged."
)
NO_NMI_INTERVAL = (
    "NMI without ±: evaluated before there was an interval of it, or without a bootstrap; "
    "`retrieval evaluate` adds it."
)


def metrics_table(table: pd.DataFrame, *, key: str = "losses") -> None:
    """Draw every metric of every loss with its interval.

    Args:
        table: See :func:`workbench.tables.loss_table`.
        key: Key of the table on its page.
    """
    names = metrics_of(table)
    shown = pd.DataFrame({"Loss": table["group"]})
    for name in names:
        shown[TITLES[name]] = [_cell(row, name) for _, row in table.iterrows()]
    shown["Seeds"] = [", ".join(map(str, seeds)) or "–" for seeds in table["seeds"]]
    shown["Queries"] = table["n_queries"]
    st.dataframe(
        shown,
        hide_index=True,
        column_config={"Loss": st.column_config.TextColumn(pinned=True)}
        | {TITLES[name]: st.column_config.TextColumn(alignment="right") for name in names},
        key=key,
        alt="Metrics of every loss, best Recall@1 first",
    )
    st.caption(CAPTION + (f" {NO_NMI_INTERVAL}" if _lacks_nmi_interval(table) else ""))


def _lacks_nmi_interval(table: pd.DataFrame) -> bool:
    return "nmi" in table and bool((table["nmi"].notna() & table["nmi/low"].isna()).any())


def _cell(row: pd.Series, name: str) -> str:
    half = (row[f"{name}/high"] - row[f"{name}/low"]) / 2
    if pd.isna(row[name]):
        return "–"
    if name == "nmi":
        return f"{row[name]:.3f}" if pd.isna(half) else f"{row[name]:.3f} ± {half:.3f}"
    value = percent(row[name]).rjust(5)  # so that a click on the head sorts by value
    return value if pd.isna(half) else f"{value} ± {percent(half)}"


def published_figures(runs: list[Run], protocol: str, *, key: str = "published") -> None:
    """Draw the published beside the measured figures, where a run follows a recipe.

    Args:
        runs: Comparable runs.
        protocol: Name of what was measured under it.
        key: Key of the table on its page.
    """
    table = published_table(runs, protocol)
    if table.empty:
        return
    st.markdown("**Beside the published figures**")
    shown = table.assign(
        measured=[_figure(m, v) for m, v in zip(table["metric"], table["measured"], strict=True)],
        published=[_figure(m, v) for m, v in zip(table["metric"], table["published"], strict=True)],
        changed=table["changed"].replace("", "as published"),
    )
    shown.columns = ["Run", "Recipe", "Metric", "Measured", "Published", "Note"]
    st.dataframe(shown, hide_index=True, key=key)


def _figure(metric: str, value: float) -> str:
    return f"{value:.3f}" if metric == TITLES["nmi"] and not np.isnan(value) else percent(value)

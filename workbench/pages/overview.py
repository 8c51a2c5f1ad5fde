"""Overview: which loss won, by how much, on what."""

import pandas as pd
import streamlit as st

from workbench import figures
from workbench.figures.style import CONFIG
from workbench.loading import load_neighbours
from workbench.navigation import jump
from workbench.state import Selection, selection
from workbench.tables import (
    METRICS,
    TITLES,
    group_titles,
    loss_table,
    percent,
    recall_curve,
    results_table,
)
from workbench.theme import page_head, plain

LEDE = (
    "An embedding turns an image into a point, so that images of one class lie close together; "
    "retrieval takes the points nearest to a query. Each loss below trained its own embedding."
)


def overview_page() -> None:
    """Draw the page."""
    chosen = selection()
    page_head("Overview", chosen, run=False)
    results = results_table(chosen.runs, chosen.protocol)
    table = loss_table(results)
    with st.container(key="lede"):
        st.markdown(LEDE)
    _headline(table)
    _buttons()
    st.subheader("Losses", anchor=False)
    _table(table)
    left, right = st.columns([5, 6], gap="large")
    with left:
        st.markdown("**Recall@1 with 95% intervals**")
        st.plotly_chart(figures.loss_intervals(table), config=CONFIG, key="intervals")
    with right:
        st.markdown("**Recall@K**")
        st.plotly_chart(
            figures.recall_curves(_curves(chosen, table), height=96 + 46 * max(4, len(table))),
            config=CONFIG,
            key="curves",
        )
    _training(chosen)


def _headline(table: pd.DataFrame) -> None:
    best, n = table.iloc[0], int(table.iloc[0]["n_queries"])
    columns = st.columns(4, gap="medium")
    low, high = percent(best["recall@1/low"]), percent(best["recall@1/high"])
    columns[0].metric("Best loss", str(best["group"]))
    columns[0].caption(f"{_seeds(best)}, {n:,} queries")
    columns[1].metric("R@1", percent(best["recall@1"]) + " %")
    columns[1].caption(f"95% interval {low} to {high}")
    columns[2].metric("MAP@R", percent(best["map@r"]) + " %")
    columns[2].caption(f"R@8 {percent(best['recall@8'])} %, NMI {best['nmi']:.3f}")
    if len(table) > 1:
        second = table.iloc[1]
        gap = 100 * (best["recall@1"] - second["recall@1"])
        columns[3].metric("Ahead of the next", f"{gap:+.1f} points")
        columns[3].caption(f"{plain(second['group'])}: {percent(second['recall@1'])} %")


def _seeds(row: pd.Series) -> str:
    seeds = row["seeds"]
    if not seeds:
        return f"{len(row['runs'])} run(s)"
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def _buttons() -> None:
    with st.container(horizontal=True):
        st.button(
            "See failures",
            type="primary",
            icon=":material/rule:",
            on_click=jump,
            args=("failures",),
        )
        st.button(
            "Compare two losses", icon=":material/compare_arrows:", on_click=jump, args=("compare",)
        )
        st.button("Explore the map", icon=":material/scatter_plot:", on_click=jump, args=("map",))


def _table(table: pd.DataFrame) -> None:
    shown = pd.DataFrame({"Loss": table["group"]})
    for name in METRICS:
        shown[TITLES[name]] = [_cell(row, name) for _, row in table.iterrows()]
    shown["Seeds"] = [
        _seeds(row).removeprefix("seeds ").removeprefix("seed ") for _, row in table.iterrows()
    ]
    shown["Queries"] = table["n_queries"]
    st.dataframe(
        shown,
        hide_index=True,
        column_config={"Loss": st.column_config.TextColumn(pinned=True)},
        key="losses",
        alt="Metrics of every loss, best Recall@1 first",
    )
    st.caption(
        "Percentages (NMI 0 to 1) with the half-width of the 95% interval; seeds are averaged."
    )


def _cell(row: pd.Series, name: str) -> str:
    half = (row[f"{name}/high"] - row[f"{name}/low"]) / 2
    if name == "nmi":
        return f"{row[name]:.3f}" if pd.isna(half) else f"{row[name]:.3f} ± {half:.3f}"
    return percent(row[name]) if pd.isna(half) else f"{percent(row[name])} ± {percent(half)}"


def _curves(chosen: Selection, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    by_name = {run.name: run for run in chosen.runs}
    curves = {}
    for row in table.itertuples():
        parts = []
        for name in row.runs:
            entry = by_name[name].result(chosen.protocol)
            neighbours = load_neighbours(by_name[name], chosen.protocol)
            parts.append(recall_curve(neighbours, entry["protocol"]["no_positive"]))
        curves[row.group] = pd.concat(parts).groupby("k", as_index=False).mean()
    return curves


def _training(chosen: Selection) -> None:
    histories = {r.name: r.history for r in chosen.comparable if "loss" in r.history}
    if not histories:
        return
    groups = group_titles(chosen.runs)
    st.subheader("Training", anchor=False)
    evaluated = {
        k: h for k, h in histories.items() if "recall@1" in h and h["recall@1"].notna().any()
    }
    columns = st.columns(2 if evaluated else 1, gap="large")
    with columns[0]:
        st.plotly_chart(
            figures.training_curves(histories, groups=groups), config=CONFIG, key="training"
        )
    if evaluated:
        with columns[1]:
            st.plotly_chart(
                figures.training_curves(evaluated, "recall@1", groups=groups),
                config=CONFIG,
                key="training_r1",
            )
    st.caption(
        "Loss values of different losses are on different scales: compare shapes, not heights."
    )

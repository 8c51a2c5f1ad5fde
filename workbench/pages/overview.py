"""Overview: which loss won, by how much, on what."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.report import make_report
from workbench import figures
from workbench.exports import export_menu
from workbench.figures.style import CONFIG
from workbench.loading import load_neighbours
from workbench.naming import group_titles
from workbench.navigation import jump
from workbench.pages.evidence import compare_table, evidence, matrix, tested
from workbench.palette import UNTRAINED
from workbench.run_report import page_html
from workbench.significance import Comparison, both_ways
from workbench.state import Selection, selection
from workbench.tables import (
    METRICS,
    TITLES,
    loss_table,
    percent,
    published_table,
    recall_curve,
    results_table,
    with_intervals,
)
from workbench.theme import file_stem, page_head, plain

LEDE = (
    "An embedding turns an image into a point, so that images of one class lie close together; "
    "retrieval takes the points nearest to a query. Each loss below trained its own embedding."
)


def overview_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Overview", chosen, run=False)
    results = results_table(chosen.runs, chosen.protocol)
    table = loss_table(results)
    with st.container(key="lede"):
        st.markdown(LEDE)
    compared = compare_table(chosen, table)
    table = with_intervals(table, compared)
    _headline(table, compared)
    _buttons()
    st.subheader("Losses", anchor=False)
    _table(table)
    _published(chosen)
    left, right = st.columns([5, 6], gap="large")
    curves = _curves(chosen, table)
    with left:
        st.markdown("**Recall@1 with 95% intervals**")
        values = (f"{row['group']} {percent(row['recall@1'])} %" for _, row in table.iterrows())
        st.plotly_chart(
            figures.loss_intervals(table),
            config=CONFIG,
            key="intervals",
            alt=f"Recall@1 of every loss with its 95% interval: {', '.join(values)}",
        )
    with right:
        st.markdown("**Recall@K**")
        height = 96 + 46 * max(4, len(table))
        st.plotly_chart(
            figures.recall_curves(curves, height=height),
            config=CONFIG,
            key="curves",
            alt=f"Recall@K against K, best Recall@1 first: {', '.join(curves)}",
        )
    evidence(compared)
    training = _training_figures(chosen)
    _training(training)
    with head:
        export_menu(
            name=file_stem(chosen, run=False),
            tables={"Losses": lambda: table.drop(columns="runs"), "Runs": lambda: results}
            | ({"Paired tests": lambda: compared.pairs} if tested(compared) else {}),
            figures={
                "Recall at K": lambda: figures.recall_curves(curves),
                "Recall at 1": lambda: figures.loss_intervals(table),
            }
            | ({"Differences": lambda: matrix(compared)} if tested(compared) else {})
            | {title: lambda figure=figure: figure for title, figure in training.items()},
            files={
                "Report (HTML)": (
                    f"{file_stem(chosen, run=False)}-report.html",
                    lambda: _report(chosen),
                )
            },
        )


def _report(chosen: Selection) -> bytes:
    """Write what ``retrieval report`` does about the runs and the protocol looked at."""
    sections = make_report(chosen.comparable)
    return page_html([s for s in sections if s.protocol["name"] == chosen.protocol]).encode()


def _headline(table: pd.DataFrame, compared: Comparison | None) -> None:
    pairs = pd.DataFrame() if compared is None else both_ways(compared.pairs)
    trained = table[table["loss"] != UNTRAINED].reset_index(drop=True)
    if trained.empty:
        trained = table
    best = trained.iloc[0]
    columns = st.columns(4, gap="medium")
    columns[0].metric("Best loss", str(best["group"]))
    columns[0].caption(f"{_seeds(best)}, {int(best['n_queries']):,} queries")
    columns[1].metric("R@1", percent(best["recall@1"]) + " %")
    low, high = percent(best["recall@1/low"]), percent(best["recall@1/high"])
    columns[1].caption(f"95% interval {low} to {high}; MAP@R {percent(best['map@r'])} %")
    if len(trained) > 1:
        second = trained.iloc[1]
        columns[2].metric("Ahead of the next loss", _points(best, second))
        columns[2].caption(f"{plain(second['group'])}; {_interval(pairs, best, second)}")
    base = table[table["loss"] == UNTRAINED]
    if len(base) and base.iloc[0]["group"] != best["group"]:
        columns[3].metric("Gained by training", _points(best, base.iloc[0]))
        columns[3].caption(f"untrained network; {_interval(pairs, best, base.iloc[0])}")


def _points(a: pd.Series, b: pd.Series) -> str:
    return f"{100 * (a['recall@1'] - b['recall@1']):+.1f} points"


def _interval(pairs: pd.DataFrame, a: pd.Series, b: pd.Series) -> str:
    if pairs.empty:
        return f"{percent(b['recall@1'])} %"
    found = pairs[(pairs["a"] == a["group"]) & (pairs["b"] == b["group"])]
    if found.empty:
        return f"{percent(b['recall@1'])} %"
    pair = found.iloc[0]
    verdict = "may be chance" if pair["verdict"] == "tie" else "significant"
    return f"95% {100 * pair['low']:+.1f} to {100 * pair['high']:+.1f}: {verdict}"


def _seeds(row: pd.Series) -> str:
    seeds = row["seeds"]
    if not seeds:
        return f"{len(row['runs'])} run(s)"
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def _buttons() -> None:
    with st.container(horizontal=True):
        for title, icon, page in (
            ("See failures", "rule", "failures"),
            ("Compare two losses", "compare_arrows", "compare"),
            ("Explore the map", "scatter_plot", "map"),
        ):
            st.button(
                title,
                type="primary" if page == "failures" else "secondary",
                icon=f":material/{icon}:",
                on_click=jump,
                args=(page,),
            )


def _table(table: pd.DataFrame) -> None:
    shown = pd.DataFrame({"Loss": table["group"]})
    for name in METRICS:
        shown[TITLES[name]] = [_cell(row, name) for _, row in table.iterrows()]
    shown["Seeds"] = [", ".join(map(str, seeds)) or "–" for seeds in table["seeds"]]
    shown["Queries"] = table["n_queries"]
    st.dataframe(
        shown,
        hide_index=True,
        column_config={"Loss": st.column_config.TextColumn(pinned=True)}
        | {TITLES[name]: st.column_config.TextColumn(alignment="right") for name in METRICS},
        key="losses",
        alt="Metrics of every loss, best Recall@1 first",
    )
    st.caption(
        "Percent (NMI 0 to 1) ± half of the 95% interval, from a bootstrap over classes; seeds are "
        "averaged."
    )


def _published(chosen: Selection) -> None:
    table = published_table(chosen.comparable, chosen.protocol)
    if table.empty:
        return
    st.markdown("**Beside the published figures**")
    shown = table.assign(
        measured=[_figure(m, v) for m, v in zip(table["metric"], table["measured"], strict=True)],
        published=[_figure(m, v) for m, v in zip(table["metric"], table["published"], strict=True)],
        changed=table["changed"].replace("", "as published"),
    )
    shown.columns = ["Run", "Recipe", "Metric", "Measured", "Published", "Note"]
    st.dataframe(shown, hide_index=True, key="published")


def _figure(metric: str, value: float) -> str:
    return f"{value:.3f}" if metric == TITLES["nmi"] and not np.isnan(value) else percent(value)


def _cell(row: pd.Series, name: str) -> str:
    half = (row[f"{name}/high"] - row[f"{name}/low"]) / 2
    if pd.isna(row[name]):
        return "–"
    if name == "nmi":
        return f"{row[name]:.3f}" if pd.isna(half) else f"{row[name]:.3f} ± {half:.3f}"
    value = percent(row[name]).rjust(5)  # so that a click on the head sorts by value
    return value if pd.isna(half) else f"{value} ± {percent(half)}"


def _curves(chosen: Selection, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    by_name = {run.name: run for run in chosen.runs}
    curves = {}
    for row in table.itertuples():
        parts = []
        for name in row.runs:
            rule = by_name[name].result(chosen.protocol)["protocol"].get("no_positive", "exclude")
            neighbours = load_neighbours(by_name[name], chosen.protocol)
            parts.append(recall_curve(neighbours, rule))
        curves[row.group] = pd.concat(parts).groupby("k", as_index=False).mean()
    return curves


def _training_figures(chosen: Selection) -> dict[str, go.Figure]:
    """Return the curves of training, those that any run has a history of."""
    histories = {run.name: run.history for run in chosen.comparable}
    groups = group_titles(chosen.runs)
    found = {}
    for title, column in (("Training loss", "loss"), ("R@1 during training", "recall@1")):
        known = {n: h for n, h in histories.items() if column in h and h[column].notna().any()}
        if known:
            found[title] = figures.training_curves(known, column, groups=groups)
    return found


def _training(curves: dict[str, go.Figure]) -> None:
    if not curves:
        return
    st.subheader("Training", anchor=False)
    for column, (title, figure) in zip(
        st.columns(len(curves), gap="large"), curves.items(), strict=True
    ):
        alt = f"{title} of {len(figure.data)} runs, by step"
        column.plotly_chart(figure, config=CONFIG, key=title, alt=alt)
    st.caption(
        "Losses live on different scales: each is shown relative to its own start, smoothed."
    )

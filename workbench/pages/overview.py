"""Overview: which loss won, by how much, on what."""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.report import make_report
from workbench import figures
from workbench.exports import export_menu
from workbench.figures.style import CONFIG
from workbench.loading import load_neighbours
from workbench.naming import group_titles
from workbench.pages.evidence import compare_table, evidence, matrix, tested
from workbench.pages.headline import headline, way_buttons
from workbench.pages.loss_tables import metrics_table, published_figures
from workbench.run_report import page_html
from workbench.state import Selection, selection
from workbench.tables import loss_table, percent, recall_curve, results_table, with_intervals
from workbench.theme import file_stem, page_head, plain

LEDE = (
    "An embedding turns an image into a point, so that images of one class lie close together; "
    "retrieval takes the points nearest to a query. Each loss below trained its own embedding."
)


def overview_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Overview", chosen, run=False)
    results = results_table(chosen.comparable, chosen.protocol, among=chosen.runs)
    table = loss_table(results)
    with st.container(key="lede"):
        st.markdown(LEDE)
    compared = compare_table(chosen, table)
    table = with_intervals(table, compared)
    headline(table, compared)
    way_buttons()
    st.subheader("Losses", anchor=False)
    metrics_table(table)
    if chosen.others:
        reasons = "; ".join(dict.fromkeys(reason for reason, _ in chosen.others))
        n = sum(len(runs) for _, runs in chosen.others)
        st.caption(f"{n} more cannot be compared ({plain(reasons)}): see the end of the page.")
    published_figures(chosen.comparable, chosen.protocol)
    curves = _curves(chosen, table)
    _recall(table, curves)
    evidence(compared)
    training = _training_figures(chosen)
    _training(training)
    _others(chosen)
    figures_shown = {
        "Recall at K": lambda: figures.recall_curves(curves),
        "Recall at 1": lambda: figures.loss_intervals(table),
        **({"Differences": lambda: matrix(compared)} if tested(compared) else {}),
        **{title: lambda figure=figure: figure for title, figure in training.items()},
    }
    tables = {"Losses": lambda: table.drop(columns="runs"), "Runs": lambda: results}
    if tested(compared):
        tables["Paired tests"] = lambda: compared.pairs
    report = (f"{file_stem(chosen, run=False)}-report.html", lambda: _report(chosen))
    with head:
        export_menu(
            name=file_stem(chosen, run=False),
            tables=tables,
            figures=figures_shown,
            files={"Report (HTML)": report},
        )


def _others(chosen: Selection) -> None:
    """Draw the results that cannot stand in the table above, each protocol in its own."""
    if not chosen.others:
        return
    st.subheader("Not comparable with the above", anchor=False)
    st.caption(
        "Scored under another protocol or on other items, and so not tested against the losses "
        "above. Choose one of these runs as run A to see it with those like it."
    )
    for number, (reason, runs) in enumerate(chosen.others):
        st.markdown(f"**{plain(reason).capitalize()}**")
        table = loss_table(results_table(runs, chosen.protocol, among=chosen.runs))
        metrics_table(table, key=f"losses_{number}")
        published_figures(runs, chosen.protocol, key=f"published_{number}")


def _recall(table: pd.DataFrame, curves: dict[str, pd.DataFrame]) -> None:
    left, right = st.columns([5, 6], gap="large")
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


def _report(chosen: Selection) -> bytes:
    """Write what ``retrieval report`` does about the runs and the protocol looked at."""
    sections = make_report(chosen.scored)
    return page_html([s for s in sections if s.protocol["name"] == chosen.protocol]).encode()


def _curves(chosen: Selection, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    by_name = {run.name: run for run in chosen.runs}
    curves = {}
    for row in table.itertuples():
        parts = []
        for name in row.runs:
            rule = by_name[name].result(chosen.protocol)["protocol"].get("no_positive", "exclude")
            neighbours = load_neighbours(by_name[name], chosen.protocol)
            parts.append(recall_curve(neighbours, rule))
        curve = parts[0]
        if len(parts) > 1:
            curve = pd.concat(parts).groupby("k", as_index=False).mean()
        curves[row.group] = curve
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

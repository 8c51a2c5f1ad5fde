"""Overview: which loss is best, by how much, and on what data."""

import functools
from collections.abc import Callable

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.evaluation.metrics import metric
from retrieval.evaluation.significance import Comparison
from retrieval.report.comparing import leaders
from retrieval.report.sections import Tests, make_report, ranking_metrics
from retrieval.runs.run import Run
from workbench import figures
from workbench.analysis.better_settings import hints
from workbench.analysis.naming import kind_of
from workbench.analysis.repeats import repeats_line
from workbench.analysis.tables import (
    groups_of,
    has_intervals,
    loss_table,
    recall_curve,
    results_table,
)
from workbench.figures.style import CONFIG
from workbench.layout.exports import export_menu
from workbench.layout.run_colors import group_colors
from workbench.layout.theme import file_stem, page_head, plain
from workbench.pages.overview.evidence import difference_matrix, evidence
from workbench.pages.overview.headline import headline, next_page_buttons
from workbench.pages.overview.loss_tables import metrics_table, published_figures
from workbench.pages.overview.training_curves import (
    LOSS,
    metric_title,
    training_figures,
    training_panel,
)
from workbench.pages.shared.significance import compare_groups
from workbench.report import page_html
from workbench.session.cache import make_once
from workbench.session.selection import Selection, selection

INTRODUCTION = (
    "An embedding maps every image to a point so that images of one class lie close together; "
    "retrieval returns the points nearest to a query. "
)
ORIGINS = {
    "loss": "Each loss below trained an embedding of its own.",
    "import": "The embeddings below were made elsewhere and imported.",
    "zero-shot run": "Here the queries are texts, the names of the classes, which a network that "
    "was trained on images and descriptions puts among the images.",
    "run": "Each loss below trained an embedding of its own; the other embeddings were imported.",
}
LISTS = (
    "For each query, another program has ranked the items, nearest first. The lists below were "
    "imported, without embeddings."
)
HEADINGS = {
    "loss": "Losses",
    "import": "Imports",
    "zero-shot run": "Zero-shot runs",
    "run": "Losses and imports",
}


def overview_page() -> None:
    """Draw the page."""
    chosen = selection()
    # Everything is computed before anything is drawn, so that the browser draws it all at once.
    results, table = make_once(chosen, "Losses", lambda: _losses_of(chosen, chosen.comparable))
    groups = groups_of(table, chosen.comparable)
    compared = compare_groups(chosen, groups)
    lead = leaders(groups, chosen.protocol, ranking_metrics(chosen.dataset), chosen.metric)
    tested = compared if compared is not None and len(compared.pairs) else None
    recall, training = _recall_figures(chosen, table), training_figures(chosen, table["runs"].sum())
    head = page_head("Overview", chosen, run=False)
    with st.container(key="lede"):
        st.markdown(_introduction(chosen.comparable))
    headline(table, compared, chosen.comparable, chosen.metric, lead)
    next_page_buttons(
        with_map=any(run.has_embeddings for run in chosen.comparable),
        with_failures=chosen.a.knows_relevant(chosen.protocol),
    )
    _losses(chosen, table, results)
    _recall(chosen, table, recall)
    if tested is not None:
        evidence(chosen, table, tested)
    training_panel(chosen, table["runs"].sum(), training)
    _not_comparable(chosen)
    with head:
        _exports(chosen, table, results, tested, recall | training)


def _introduction(runs: list[Run]) -> str:
    """Say what the runs are, and where they come from."""
    if not any(run.has_embeddings for run in runs):
        return LISTS
    return INTRODUCTION + ORIGINS[kind_of(runs)]


def _losses_of(chosen: Selection, runs: list[Run]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the results of every run, and of every loss, by the chosen metric."""
    results = results_table(runs, chosen.protocol, among=chosen.runs, ranked_by=chosen.metric)
    return results, loss_table(results, runs, chosen.protocol, chosen.metric)


def _losses(chosen: Selection, table: pd.DataFrame, results: pd.DataFrame) -> None:
    kind = kind_of(chosen.comparable)
    st.subheader(HEADINGS[kind], anchor=False)
    metrics_table(table, group_colors(chosen.runs), kind, ranked_by=chosen.metric)
    repeats = repeats_line(results)
    if repeats:
        st.caption(f":orange[**{plain(repeats)}**]")
    for line in hints(chosen.comparable):
        st.caption(f":material/lightbulb: {plain(line)}.")
    if chosen.others:
        reasons = "; ".join(dict.fromkeys(reason for reason, _ in chosen.others))
        n = sum(len(runs) for _, runs in chosen.others)
        st.caption(
            f"{n} more {'run' if n == 1 else 'runs'} cannot be compared with these "
            f"({plain(reasons)}): see the end of the page."
        )
    published_figures(chosen.comparable, chosen.protocol)


def _exports(
    chosen: Selection,
    table: pd.DataFrame,
    results: pd.DataFrame,
    tested: Comparison | None,
    shown: dict[str, go.Figure],
) -> None:
    tables: dict[str, Callable[[], pd.DataFrame]] = {
        "Losses": lambda: table.assign(runs=table["runs"].map("; ".join)),
        "Runs": lambda: results,
    }
    made: dict[str, Callable[[], go.Figure]] = {
        title: functools.partial(go.Figure, figure) for title, figure in shown.items()
    }
    if tested is not None:
        tables["Comparisons with the best"] = lambda: tested.summary
        tables["Paired tests"] = functools.partial(_paired_tests, table, tested)
        made["Differences"] = functools.partial(difference_matrix, tested)
    stem = file_stem(chosen, run=False)
    export_menu(
        name=stem,
        about=chosen.comparable,
        tables=tables,
        figures=made,
        files={"Report (HTML)": (f"{stem}-report.html", lambda: _report(chosen))},
        unscored=(LOSS, metric_title(chosen)),
    )


def _paired_tests(table: pd.DataFrame, compared: Comparison) -> pd.DataFrame:
    """Return the pairs of losses with the runs of each, whose names tell the seeds."""
    runs = table.set_index("group")["runs"].map("; ".join)
    pairs = compared.pairs
    return pairs.assign(**{"runs a": pairs["a"].map(runs), "runs b": pairs["b"].map(runs)})


def _report(chosen: Selection) -> bytes:
    """Make the report of ``retrieval report`` for the runs and the protocol being looked at."""
    counted = []
    for runs in (chosen.comparable, *(members for _, members in chosen.others)):
        results = results_table(runs, chosen.protocol, among=chosen.runs)
        counted += [run for run, other in zip(runs, results["repeats"], strict=True) if not other]
    sections = make_report(counted, tests=Tests(metric=chosen.metric))
    return page_html([s for s in sections if s.protocol.name == chosen.protocol]).encode()


def _not_comparable(chosen: Selection) -> None:
    """Draw the results that are not comparable with run A's, one table per protocol."""
    if not chosen.others:
        return
    st.subheader("Not comparable with the above", anchor=False)
    st.caption(
        "These runs were scored under another protocol or on other items, so they are not tested "
        "against those above. Choose one of them as run A to see it with those like it."
    )
    for number, (reason, runs) in enumerate(chosen.others):
        st.markdown(f"**{plain(reason).capitalize()}**")
        results, table = _losses_of(chosen, runs)
        colors, key = group_colors(chosen.runs), f"losses_{number}"
        metrics_table(table, colors, kind_of(runs), ranked_by=chosen.metric, key=key)
        if repeats_line(results):
            st.caption(plain(repeats_line(results)))
        published_figures(runs, chosen.protocol, key=f"published_{number}")


def _recall_figures(chosen: Selection, table: pd.DataFrame) -> dict[str, go.Figure]:
    if chosen.metric not in table:  # no query has a positive
        return {}
    colors, height = group_colors(chosen.runs), 96 + 46 * max(4, len(table))
    made = {
        _interval_title(chosen): lambda: figures.loss_intervals(
            table, chosen.metric, colors=colors
        ),
        "Recall at K": lambda: figures.recall_curves(
            _curves(chosen, table), colors=colors, height=height
        ),
    }
    return {title: make_once(chosen, title, make) for title, make in made.items()}


def _interval_title(chosen: Selection) -> str:
    """Return the title of the figure of the chosen metric, which also names its file."""
    return metric(chosen.metric).long_title.replace("@", " at ")


def _recall(chosen: Selection, table: pd.DataFrame, drawn: dict[str, go.Figure]) -> None:
    if not drawn:
        return
    shown = metric(chosen.metric)
    left, right = st.container(key="recall").columns([5, 6], gap="large")
    with left:
        intervals = has_intervals(table, [shown.name])
        title = f"{shown.long_title}{' with 95% intervals' if intervals else ''}"
        st.markdown(f"**{title}**")
        shares = zip(table["group"], table[shown.name], strict=True)
        values = (f"{group} {shown.format_with_unit(value)}" for group, value in shares)
        st.plotly_chart(
            drawn[_interval_title(chosen)],
            config=CONFIG,
            key="intervals",
            alt=f"{title}: {', '.join(values)}",
        )
    with right:
        st.markdown("**Recall@K**")
        st.plotly_chart(
            drawn["Recall at K"],
            config=CONFIG,
            key="curves",
            alt=f"Recall@K against K, best {shown.long_title} first: {', '.join(table['group'])}",
        )


def _curves(chosen: Selection, table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return Recall@K against K of every loss, averaged over its seeds."""
    by_name = {run.name: run for run in chosen.runs}
    curves = {}
    for row in table.itertuples():
        parts = []
        for name in row.runs:
            made = by_name[name].result(chosen.protocol).protocol
            neighbors = by_name[name].neighbors(chosen.protocol)
            parts.append(recall_curve(neighbors, made.no_positive, made.deepest))
        curve = parts[0]
        if len(parts) > 1:
            curve = pd.concat(parts).groupby("k", as_index=False).mean()
        curves[row.group] = curve
    return curves

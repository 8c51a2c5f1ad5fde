"""The top of the Overview: which loss is best, by how much, and which page to go to next."""

import pandas as pd
import streamlit as st

from retrieval.errors import counted
from retrieval.evaluation.metrics import metric
from retrieval.runs.run import Run
from workbench.analysis.confounds import confounds_line, dimensions_line
from workbench.analysis.naming import UNTRAINED_TITLE, kind_of
from workbench.layout.theme import plain
from workbench.pages.shared.significance import seeds_caveat
from workbench.session.navigation import jump


def headline(table: pd.DataFrame, pairs: pd.DataFrame, runs: list[Run]) -> None:
    """Draw the best loss, its Recall@1, its lead, and what else the lead may be due to.

    Args:
        table: The losses, see :func:`workbench.analysis.tables.loss_table`.
        pairs: The pairs of these losses, see
            :func:`workbench.analysis.significance.both_ways`; empty if they were not tested.
        runs: The runs of the table; it may hold others too.
    """
    if "recall@1" not in table:  # no query has a positive, so no loss is best
        return
    trained = table[table["loss"] != UNTRAINED_TITLE].reset_index(drop=True)
    if trained.empty:
        trained = table
    best = trained.iloc[0]
    columns = st.container(key="cards").columns(4, gap="medium")
    by_name = {run.name: run for run in runs}
    kind = kind_of([by_name[name] for name in trained["runs"].sum()])
    title = best_title(pairs, trained, kind)
    caveat = seeds_caveat([len(seeds) for seeds in trained["seeds"][:2]])
    note = f"This holds{caveat}; another seed may change it."
    columns[0].metric(title, str(best["group"]), help=note if caveat and "badge" in title else None)
    columns[0].caption(f"{_run_name(best)}{_seeds(best)}, {int(best['n_queries']):,} queries")
    recall, map_at_r = metric("recall@1"), metric("map@r")
    columns[1].metric(recall.title, recall.format_with_unit(best["recall@1"]))
    low, high = (recall.format(best[f"recall@1/{side}"]) for side in ("low", "high"))
    columns[1].caption(
        f"95% interval {low} to {high}; {map_at_r.title} {map_at_r.format_with_unit(best['map@r'])}"
    )
    if len(trained) > 1:
        second = trained.iloc[1]
        columns[2].metric(f"Lead over the next {kind}", _points(best, second))
        columns[2].caption(f"over {plain(second['group'])}; {_interval(pairs, best, second)}")
    base = table[table["loss"] == UNTRAINED_TITLE]
    if len(base) and base.iloc[0]["group"] != best["group"]:
        columns[3].metric("Gain from training", _points(best, base.iloc[0]))
        columns[3].caption(f"over the untrained network; {_interval(pairs, best, base.iloc[0])}")
    line = confounds_line(
        {row.group: [by_name[name] for name in row.runs] for row in trained.itertuples()}
    )
    sizes = dimensions_line(
        {row.group: [by_name[name] for name in row.runs] for row in table.itertuples()}
    )
    for note in filter(None, (line, sizes)):
        st.markdown(f":small[:orange[⚠ {plain(note)}]]")


def best_title(pairs: pd.DataFrame, trained: pd.DataFrame, kind: str = "loss") -> str:
    """Return the title of the best loss, which says whether its lead over the next is significant.

    Args:
        pairs: See :func:`workbench.analysis.significance.both_ways`.
        trained: The losses, best first, without the untrained network.
        kind: See :func:`workbench.analysis.naming.kind_of`. Defaults to ``loss``.

    Returns:
        Markdown.
    """
    if len(trained) < 2 or (pair := _pair(pairs, trained.iloc[0], trained.iloc[1])) is None:
        return f"Best {kind}"
    if pair["verdict"] == "tie":
        return f"Best {kind} :orange-badge[≈ lead may be due to chance]"
    return f"Best {kind} :blue-badge[▲ lead is significant]"


def _points(a: pd.Series, b: pd.Series) -> str:
    return metric("recall@1").format_difference(a["recall@1"] - b["recall@1"]) + " points"


def _interval(pairs: pd.DataFrame, a: pd.Series, b: pd.Series) -> str:
    pair, recall = _pair(pairs, a, b), metric("recall@1")
    if pair is None:
        return recall.format_with_unit(b["recall@1"])
    caveat = seeds_caveat([len(row["seeds"]) for row in (a, b) if row["loss"] != UNTRAINED_TITLE])
    tie = pair["verdict"] == "tie"
    verdict = "may be due to chance" if tie else f"significant{caveat}"
    low, high = (recall.format_difference(pair[side]) for side in ("low", "high"))
    return f"95% interval {low} to {high}: {verdict}"


def _pair(pairs: pd.DataFrame, a: pd.Series, b: pd.Series) -> pd.Series | None:
    if pairs.empty:
        return None
    found = pairs[(pairs["a"] == a["group"]) & (pairs["b"] == b["group"])]
    return None if found.empty else found.iloc[0]


def _run_name(row: pd.Series) -> str:
    """Return the run's name if it differs from the loss's title."""
    names = row["runs"]
    return f"run {plain(names[0])}, " if len(names) == 1 and names[0] != row["group"] else ""


def _seeds(row: pd.Series) -> str:
    seeds = row["seeds"]
    if not seeds:
        return counted(len(row["runs"]), "run")
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def next_page_buttons() -> None:
    """Draw the buttons that lead to the pages to look at next."""
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

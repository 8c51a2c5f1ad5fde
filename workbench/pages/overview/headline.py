"""The top of the Overview: which loss is best, by how much, and where to go from there."""

import pandas as pd
import streamlit as st

from retrieval.evaluation.metrics import metric
from retrieval.runs.run import Run
from workbench.analysis.confounds import confounds_line
from workbench.analysis.naming import UNTRAINED
from workbench.layout.theme import plain
from workbench.pages.overview.evidence import one_seed
from workbench.session.navigation import jump


def headline(table: pd.DataFrame, pairs: pd.DataFrame, runs: list[Run]) -> None:
    """Draw the best loss, its Recall@1, how far it is ahead, and what else may be the reason.

    Args:
        table: See :func:`workbench.analysis.tables.loss_table`.
        pairs: Of the same losses, see :func:`workbench.analysis.significance.both_ways`; or empty.
        runs: Those of the table, among others.
    """
    trained = table[table["loss"] != UNTRAINED].reset_index(drop=True)
    if trained.empty:
        trained = table
    best = trained.iloc[0]
    columns = st.container(key="cards").columns(4, gap="medium")
    title, reach = best_title(pairs, trained), one_seed([len(r) for r in trained["runs"][:2]])
    note = f"This holds{reach}: another seed may change it." if reach and "badge" in title else None
    columns[0].metric(title, str(best["group"]), help=note)
    columns[0].caption(f"{_run_name(best)}{_seeds(best)}, {int(best['n_queries']):,} queries")
    recall, map_at_r = metric("recall@1"), metric("map@r")
    columns[1].metric(recall.title, recall.format(best["recall@1"]) + " %")
    low, high = (recall.format(best[f"recall@1/{side}"]) for side in ("low", "high"))
    columns[1].caption(
        f"95% interval {low} to {high}; {map_at_r.title} {map_at_r.format(best['map@r'])} %"
    )
    if len(trained) > 1:
        second = trained.iloc[1]
        columns[2].metric("Ahead of the next loss", _points(best, second))
        columns[2].caption(f"{plain(second['group'])}; {_interval(pairs, best, second)}")
    base = table[table["loss"] == UNTRAINED]
    if len(base) and base.iloc[0]["group"] != best["group"]:
        columns[3].metric("Gained by training", _points(best, base.iloc[0]))
        columns[3].caption(f"untrained network; {_interval(pairs, best, base.iloc[0])}")
    by_name = {run.name: run for run in runs}
    line = confounds_line(
        {row.group: [by_name[name] for name in row.runs] for row in trained.itertuples()}
    )
    if line:
        st.markdown(f":small[:orange[⚠ {plain(line)}]]")


def best_title(pairs: pd.DataFrame, trained: pd.DataFrame) -> str:
    """Say beside the name of the best loss whether it can be told apart from the next.

    Args:
        pairs: See :func:`workbench.analysis.significance.both_ways`.
        trained: The losses, best first.

    Returns:
        Markdown.
    """
    if len(trained) < 2 or (pair := _pair(pairs, trained.iloc[0], trained.iloc[1])) is None:
        return "Best loss"
    if pair["verdict"] == "tie":
        return "Best loss :orange-badge[≈ lead may be chance]"
    return "Best loss :blue-badge[▲ lead is significant]"


def _points(a: pd.Series, b: pd.Series) -> str:
    return metric("recall@1").format_difference(a["recall@1"] - b["recall@1"]) + " points"


def _interval(pairs: pd.DataFrame, a: pd.Series, b: pd.Series) -> str:
    pair, recall = _pair(pairs, a, b), metric("recall@1")
    if pair is None:
        return f"{recall.format(b['recall@1'])} %"
    reach = one_seed([len(row["runs"]) for row in (a, b) if row["loss"] != UNTRAINED])
    verdict = "may be chance" if pair["verdict"] == "tie" else f"significant{reach}"
    low, high = (recall.format_difference(pair[side]) for side in ("low", "high"))
    return f"95% {low} to {high}: {verdict}"


def _pair(pairs: pd.DataFrame, a: pd.Series, b: pd.Series) -> pd.Series | None:
    if pairs.empty:
        return None
    found = pairs[(pairs["a"] == a["group"]) & (pairs["b"] == b["group"])]
    return None if found.empty else found.iloc[0]


def _run_name(row: pd.Series) -> str:
    """Name the only run of a loss, as the other pages do, where it is called otherwise."""
    names = row["runs"]
    return f"run {plain(names[0])}, " if len(names) == 1 and names[0] != row["group"] else ""


def _seeds(row: pd.Series) -> str:
    seeds = row["seeds"]
    if not seeds:
        return f"{len(row['runs'])} run(s)"
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def way_buttons() -> None:
    """Draw the buttons to the pages that come next."""
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

"""Failures: what the run gets wrong, sorted so that the worst come first."""

import numpy as np
import pandas as pd
import streamlit as st

from workbench import figures
from workbench.analysis import failures
from workbench.components.gallery import query_groups
from workbench.layout.exports import export_menu
from workbench.layout.theme import class_names, file_stem, page_head
from workbench.pages.failures.class_tables import class_frame, pair_frame
from workbench.pages.failures.headline import headline
from workbench.pages.failures.oddity_tabs import duplicates_tab, hubs_tab, label_errors_tab
from workbench.pages.failures.rank_bars import all_failures_button, rank_bars
from workbench.pages.failures.tabs import classes_tab, notes_tab, pairs_tab
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.note_box import mark_switch, open_or_mark
from workbench.pages.shared.paging import page_of
from workbench.session.parameters import ORDER, TAB
from workbench.session.selection import Selection, selection
from workbench.session.switches import MARKING

ORDERS = {
    "Confident and wrong": (
        failures.confident_and_wrong,
        "Wrong at rank 1, and sure of it: highest similarity of the wrong item first.",
    ),
    "Near miss": (
        failures.near_misses,
        "The right item is only just behind the wrong one: lowest rank, smallest gap first.",
    ),
    "Worst rank": (
        failures.worst_ranks,
        "The right item is furthest down the list: highest rank first.",
    ),
}
TABS = {
    "Confused classes": pairs_tab,
    "Worst classes": classes_tab,
    "Hubs and orphans": hubs_tab,
    "Near-duplicates": duplicates_tab,
    "Suspected label errors": label_errors_tab,
    "Notes": notes_tab,
}


def failures_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Failures", chosen)
    labels, names_of = chosen.a.items["label"].to_numpy(), class_names(chosen.a)
    table = failures.query_table(chosen.neighbors, labels)
    summary = headline(table, labels, names_of)
    click = "mark it" if MARKING.get() else "look at it as the query"
    left, right = st.columns([7, 1], vertical_alignment="center")
    left.markdown(f"{summary} Click any image to {click}.")
    with right:
        mark_switch(chosen.a)
    names = ["Queries", *TABS]
    TAB.keep(names[0], names)
    tabs = st.tabs(names, key=TAB.key, on_change="rerun")
    for tab, draw in zip(tabs, (_queries, *TABS.values()), strict=True):
        if tab.open:
            with tab:
                draw(chosen, table)
    with head:
        export_menu(
            name=file_stem(chosen),
            about=[chosen.a],
            tables={
                "Every query": lambda: _export(chosen, table),
                "Confused classes": lambda: pair_frame(
                    failures.confused_pairs(table, labels), names_of
                ),
                "Recall of classes": lambda: class_frame(failures.class_table(table), names_of),
            },
            figures={"Ranks of the first hit": lambda: _histogram(table)},
        )


def _histogram(table: pd.DataFrame):
    return figures.rank_histogram(table["first_relevant_rank"].to_numpy())


def _queries(chosen: Selection, table: pd.DataFrame) -> None:
    chosen_bar = rank_bars(table)
    ORDER.keep(next(iter(ORDERS)), list(ORDERS))
    order = st.segmented_control(
        "Order", list(ORDERS), key=ORDER.key, required=True, label_visibility="collapsed"
    )
    sort, meaning = ORDERS[order]
    if chosen_bar:
        found = _in_bar(table, chosen_bar, sort)
    else:
        found = sort(table)
        st.caption(f"{meaning} Click a bar above to see only its queries.")
    rows = page_of(found["row"].to_numpy(), "queries")
    groups = query_groups(chosen.a, chosen.neighbors, rows, k=chosen.k)
    clickable_cards({"groups": groups}, key="failed", on_pick=open_or_mark)


def _in_bar(table: pd.DataFrame, bar: tuple[int, int], sort) -> pd.DataFrame:
    low, high = bar
    inside = table[table["first_relevant_rank"].between(low, high)]
    ranks = f"rank {low:,}" if low == high else f"rank {low:,} to {high:,}"
    what = f"whose first correct item is at {ranks}" if low else "whose class is not in the gallery"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{len(inside):,} queries {what}.", width="content")
        all_failures_button()
    if low < 2:  # no failures, so the orders of failures do not hold for them
        return inside.sort_values("top_similarity", ascending=False, kind="stable")
    return sort(inside)


def _export(chosen: Selection, table: pd.DataFrame) -> pd.DataFrame:
    items = chosen.a.items
    rows, tops = table["row"].to_numpy(), np.maximum(table["top"].to_numpy(), 0)
    return pd.DataFrame(
        {
            "row": rows,
            "path": items["path"].to_numpy()[rows],
            "class": items["label_name"].to_numpy()[rows],
            "rank of first hit": table["first_relevant_rank"],
            "correct at 1": table["correct"],
            "nearest": items["path"].to_numpy()[tops],
            "nearest class": items["label_name"].to_numpy()[tops],
            "similarity": table["top_similarity"],
        }
    )

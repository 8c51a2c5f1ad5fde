"""Failures: what a run gets wrong, the worst first."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.errors import counted
from workbench import figures
from workbench.analysis import failures
from workbench.analysis.naming import class_names
from workbench.analysis.nearness import nearness_columns
from workbench.components.gallery import query_groups
from workbench.layout.exports import export_menu
from workbench.layout.theme import file_stem, page_head
from workbench.pages.failures.class_tables import class_frame, pair_frame
from workbench.pages.failures.headline import headline
from workbench.pages.failures.oddity_tabs import duplicates_tab, hubs_tab, label_errors_tab
from workbench.pages.failures.rank_bars import all_failures_button, rank_bars
from workbench.pages.failures.tabs import classes_tab, notes_tab, pairs_tab
from workbench.pages.shared.cards import clickable_cards
from workbench.pages.shared.note_box import mark_switch, open_or_mark
from workbench.pages.shared.paging import page_of
from workbench.pages.shared.tabs import lazy_tabs
from workbench.session.parameters import ORDER, TAB
from workbench.session.selection import Selection, selection
from workbench.session.switches import MARKING


@dataclass(frozen=True)
class Order:
    """An order of the failed queries.

    Attributes:
        sort: Sorts a table of queries; see :func:`workbench.analysis.failures.query_table`.
        description: What comes first, for people.
    """

    sort: Callable[[pd.DataFrame], pd.DataFrame]
    description: str


ORDERS = {
    "Confident and wrong": Order(
        failures.confident_and_wrong,
        "Wrong at rank 1 and sure of it: the most similar wrong items first.",
    ),
    "Near miss": Order(
        failures.near_misses,
        "The relevant item comes just after a wrong one: the lowest rank and smallest gap first.",
    ),
    "Worst rank": Order(
        failures.worst_ranks,
        "The relevant item is far down the list: the highest rank first.",
    ),
}


NO_FAILURES = "Without labels there is no right and wrong, but there are hubs and near-duplicates."


def failures_page() -> None:
    """Draw the page."""
    chosen = selection()
    head = page_head("Failures", chosen)
    labels, names_of = chosen.a.items["label"].to_numpy(), class_names(chosen.a)
    table = failures.query_table(chosen.neighbors, labels)
    has_classes = chosen.a.result(chosen.protocol).protocol.unit == "class"
    known = chosen.a.knows_relevant(chosen.protocol)
    summary = headline(table, labels, names_of, has_classes=has_classes) if known else NO_FAILURES
    click = "mark it" if MARKING.get() else "make it the query"
    left, right = st.columns([7, 1], vertical_alignment="center")
    left.markdown(f"{summary} Click any image to {click}.")
    with right:
        mark_switch(chosen.a)
    of_classes: dict[str, Callable[[], None]] = {
        "Queries": lambda: _queries(chosen, table),
        "Confused classes": lambda: pairs_tab(chosen, table),
        "Worst classes": lambda: classes_tab(chosen, table),
    }
    of_items: dict[str, Callable[[], None]] = {
        "Hubs and anti-hubs": lambda: hubs_tab(chosen),
        "Near-duplicates": lambda: duplicates_tab(chosen),
        "Suspected label errors": lambda: label_errors_tab(chosen),
        "Notes": lambda: notes_tab(chosen),
    }
    if not known:
        del of_items["Suspected label errors"]
    lazy_tabs(TAB, of_classes | of_items if known else of_items)
    if not known:
        return
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
            figures={"Ranks of the first relevant item": lambda: _histogram(table)},
        )


def _histogram(table: pd.DataFrame) -> go.Figure:
    return figures.rank_histogram(table["first_relevant_rank"].to_numpy())


def _queries(chosen: Selection, table: pd.DataFrame) -> None:
    chosen_bar = rank_bars(table)
    order = ORDERS[ORDER.keep(next(iter(ORDERS)), list(ORDERS))]
    st.segmented_control(
        "Order", list(ORDERS), key=ORDER.key, required=True, label_visibility="collapsed"
    )
    if chosen_bar:
        found = _in_bar(table, chosen_bar, order)
    else:
        found = order.sort(table)
        st.caption(f"{order.description} Click a bar above to see only its queries.")
    rows = page_of(found["row"].to_numpy(), "queries")
    groups = query_groups(chosen.a, chosen.neighbors, rows, k=chosen.k)
    clickable_cards({"groups": groups}, key="failed", on_pick=open_or_mark)


def _in_bar(table: pd.DataFrame, bar: tuple[int, int], order: Order) -> pd.DataFrame:
    """Say which queries the chosen bar holds, and return them sorted."""
    low, high = bar
    inside = table[table["first_relevant_rank"].between(low, high)]
    ranks = f"rank {low:,}" if low == high else f"rank {low:,} to {high:,}"
    which = f"whose first relevant item is at {ranks}" if low else "without a relevant item"
    with st.container(horizontal=True, vertical_alignment="center"):
        n = counted(len(inside), "query", "queries")
        st.caption(f"{n} {which}.", width="content")
        all_failures_button()
    if low < 2:  # no failures, so the orders of failures do not hold for them
        return inside.sort_values("top_similarity", ascending=False, kind="stable")
    return order.sort(inside)


def _export(chosen: Selection, table: pd.DataFrame) -> pd.DataFrame:
    items = chosen.a.items
    rows, tops = table["row"].to_numpy(), np.maximum(table["top"].to_numpy(), 0)
    return pd.DataFrame(
        {
            "row": rows,
            "path": items["path"].to_numpy()[rows],
            "class": items["label_name"].to_numpy()[rows],
            "rank of first relevant item": table["first_relevant_rank"],
            "correct at 1": table["correct"],
            "nearest": items["path"].to_numpy()[tops],
            "nearest class": items["label_name"].to_numpy()[tops],
            **nearness_columns(chosen.a, table["top_similarity"]),
        }
    )

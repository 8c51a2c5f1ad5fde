"""The list of queries that pages step through: search, filter, previous, next, random and back."""

import numpy as np
import pandas as pd
import streamlit as st

from workbench.analysis import search
from workbench.analysis.failures import instructive_failure
from workbench.components.gallery import card
from workbench.layout.context import excluded_note
from workbench.layout.theme import plain
from workbench.pages.shared.cards import clickable_cards
from workbench.session.parameters import ITEM, SEARCH, SHOW
from workbench.session.selection import Selection
from workbench.session.trail import (
    can_go_back,
    current_item,
    go_back,
    go_to,
    last_of,
    show_item,
)

FILTERS = ("All queries", "Failures", "Right at rank 1")
CONTENTS = dict(zip(FILTERS, ("queries", "failures", "queries right at rank 1"), strict=True))
MOST_MATCHES = 24  # gallery items shown for a search


def listed_queries(chosen: Selection, table: pd.DataFrame) -> np.ndarray:
    """Return the queries that match the search and the filter in the URL.

    Args:
        chosen: The choices made in the sidebar.
        table: See :func:`workbench.analysis.failures.query_table`.

    Returns:
        int64, rows in ascending order.
    """
    text, shown = SEARCH.keep(""), SHOW.keep(FILTERS[0], FILTERS)
    return search.query_rows(table, chosen.a.items, text, shown)


def _searched() -> str:
    return SEARCH.get() or ""


def _filter() -> str:
    return SHOW.get() or FILTERS[0]


def search_box(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw the search and the filter; call after :func:`listed_queries`.

    Args:
        chosen: The choices made in the sidebar.
        table: See :func:`workbench.analysis.failures.query_table`.
    """
    st.text_input(
        "Search",
        key=SEARCH.key,
        placeholder="Search class or file",
        icon=":material/search:",
        width=190,
        label_visibility="collapsed",
        on_change=_go_to_first,
        args=(chosen, table),
    )
    st.selectbox(
        "Show",
        FILTERS,
        key=SHOW.key,
        width=150,
        label_visibility="collapsed",
        on_change=_go_to_first,
        args=(chosen, table),
    )


def _go_to_first(chosen: Selection, table: pd.DataFrame) -> None:
    """Go to the first query of the new list unless it holds the selected item (for callbacks)."""
    text, shown = _searched(), _filter()
    rows = search.query_rows(table, chosen.a.items, text, shown)
    narrowed = text.strip() or shown != FILTERS[0]
    if not len(rows):
        rows = search.matching_non_queries(table, chosen.a.items, text)
    if narrowed and len(rows) and ITEM.get() not in rows:
        go_to(int(rows[0]))


def back_button() -> None:
    """Draw the button that returns to the item or the uploaded image looked at before."""
    st.button(
        "Back",
        help="Return to what you looked at before",
        on_click=go_back,
        disabled=not can_go_back(),
        shortcut="B",
    )


def step_buttons(rows: np.ndarray, row: int) -> None:
    """Draw the buttons that go to other queries, each with a keyboard shortcut.

    Args:
        rows: The listed queries, see :func:`listed_queries`.
        row: Row of the selected item.
    """
    before, after, other = search.adjacent_rows(rows, _start_of_steps(rows, row))
    back_button()
    for name, target, key in (
        ("Previous", before, "Left"),
        ("Next", after, "Right"),
        ("Random", other, "Q"),
    ):
        st.button(name, on_click=go_to, args=(target,), disabled=target is None, shortcut=key)


def _start_of_steps(rows: np.ndarray, row: int) -> int:
    """Return the item that Next and Previous start from.

    It is the selected item if it is in the list, else the item of the list that was looked at last.
    """
    known = set(rows.tolist())
    if row in known:
        return row
    before = last_of(known)
    return row if before is None else before


def place_caption(chosen: Selection, table: pd.DataFrame, rows: np.ndarray, row: int) -> None:
    """Say what the list holds, and which place the selected item has in it.

    Args:
        chosen: The choices made in the sidebar.
        table: See :func:`workbench.analysis.failures.query_table`.
        rows: The listed queries, see :func:`listed_queries`.
        row: Row of the selected item.
    """
    text, what = _searched(), CONTENTS[_filter()]
    what += f" matching “{plain(text)}”" if text.strip() else ""
    if not len(rows):
        st.caption(f"There are no {what}.")
        return
    scored = _scored(chosen, table, rows)
    listed = f"{len(scored):,} {what}{excluded_note(len(rows) - len(scored))}"
    at = np.flatnonzero(scored == row)
    if len(at):
        st.caption(f"This item is {at[0] + 1:,} of {listed}.")
        return
    if row in rows:
        st.caption(f"This item is excluded from the {listed}.")
        return
    at = np.flatnonzero(scored == _start_of_steps(rows, row))
    steps = "Next and Previous go to the queries after and before it."
    if len(at):
        steps = f"Next and Previous start from number {at[0] + 1:,}, which you looked at last."
    st.caption(f"This item is not among the {listed}. {steps}")


def _scored(chosen: Selection, table: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Return the rows of a list that count in the means of the page."""
    is_zero = chosen.a.result(chosen.protocol).protocol.no_positive == "zero"
    if is_zero or not chosen.a.knows_relevant(chosen.protocol):
        return rows
    return rows[np.isin(rows, table["row"].to_numpy()[table["answerable"]])]


def gallery_matches(chosen: Selection, table: pd.DataFrame, rows: np.ndarray) -> None:
    """Draw the gallery items that match the search; a click makes one the query.

    Args:
        chosen: The choices made in the sidebar.
        table: See :func:`workbench.analysis.failures.query_table`.
        rows: The listed queries, see :func:`listed_queries`.
    """
    text = _searched()
    found = search.matching_non_queries(table, chosen.a.items, text)
    if not len(found) or _filter() != FILTERS[0]:
        return
    title = f"{len(found):,} gallery item{'s match' if len(found) > 1 else ' matches'}"
    with st.expander(f"{title} “{plain(text)}”", expanded=not len(rows), icon=":material/photo:"):
        first = f"The first {MOST_MATCHES} are shown. " if len(found) > MOST_MATCHES else ""
        st.caption(
            f"{first}Gallery items are not queries of this protocol and count in no metric. Click "
            "one to search with it anyway; it is excluded from its own results."
        )
        cards = [card(chosen.a, int(row), note="gallery") for row in found[:MOST_MATCHES]]
        clickable_cards(
            {"rows": [{"cards": cards, "size": 88}]},
            key="gallery_matches",
            on_pick=lambda pick: go_to(pick.row),
        )


def query_to_show(chosen: Selection, table: pd.DataFrame, rows: np.ndarray) -> int:
    """Return the selected item; if there is none, select an instructive failure of the list.

    If only gallery items match the search, the first of them is selected.

    Args:
        chosen: The choices made in the sidebar.
        table: See :func:`workbench.analysis.failures.query_table`.
        rows: The listed queries, see :func:`listed_queries`.

    Returns:
        A row of run A.
    """
    row = current_item(len(chosen.a.items))
    if row is None and not len(rows):
        found = search.matching_non_queries(table, chosen.a.items, _searched())
        row = int(found[0]) if len(found) else None
    if row is None:
        row = instructive_failure(table[table["row"].isin(rows)] if len(rows) else table)
    show_item(row)
    return row

"""Searching, filtering and stepping through queries: the same list on every page that shows one."""

import numpy as np
import pandas as pd
import streamlit as st

from workbench.analysis import search
from workbench.analysis.failures import instructive_failure
from workbench.components.gallery import card
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
MATCHES = 24  # gallery items shown for a search
KINDS = dict(zip(FILTERS, ("queries", "failures", "queries right at rank 1"), strict=True))


def listed_queries(chosen: Selection, table: pd.DataFrame) -> np.ndarray:
    """List the queries that match the search and the filter in the URL.

    Args:
        chosen: What is being looked at.
        table: See :func:`workbench.analysis.failures.query_table`.

    Returns:
        int64, rows in order.
    """
    text, shown = SEARCH.keep(""), SHOW.keep(FILTERS[0], FILTERS)
    return search.query_rows(table, chosen.a.items, text, shown)


def _searched() -> str:
    return SEARCH.get() or ""


def search_box(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw the search and the filter; call after :func:`listed_queries`.

    Args:
        chosen: What is being looked at.
        table: See :func:`workbench.analysis.failures.query_table`.
    """
    moves = {"on_change": _to_first, "args": (chosen, table), "label_visibility": "collapsed"}
    st.text_input(
        "Search",
        key=SEARCH.key,
        placeholder="Search class or file",
        icon=":material/search:",
        width=190,
        **moves,
    )
    st.selectbox("Show", FILTERS, key=SHOW.key, width=150, **moves)


def _to_first(chosen: Selection, table: pd.DataFrame) -> None:
    """Go to the first query of the new list, unless the one looked at is in it (for callbacks)."""
    text, shown = _searched(), SHOW.get() or FILTERS[0]
    rows = search.query_rows(table, chosen.a.items, text, shown)
    narrowed = text.strip() or shown != FILTERS[0]
    if not len(rows):
        rows = search.gallery_rows(table, chosen.a.items, text)
    if narrowed and len(rows) and ITEM.get() not in rows:
        go_to(int(rows[0]))


def back_button() -> None:
    """Draw the button that goes to what was looked at before: an item or the own image."""
    back = {"on_click": go_back, "disabled": not can_go_back(), "shortcut": "B"}
    st.button("Back", help="What was looked at before", **back)


def step_buttons(rows: np.ndarray, row: int) -> None:
    """Draw the buttons that go to other queries, each with its key.

    Args:
        rows: See :func:`listed_queries`.
        row: The item looked at.
    """
    before, after, other = search.around(rows, _standing(rows, row))
    back_button()
    for name, target, key in (
        ("Previous", before, "Left"),
        ("Next", after, "Right"),
        ("Random", other, "Q"),
    ):
        st.button(name, on_click=go_to, args=(target,), disabled=target is None, shortcut=key)


def _standing(rows: np.ndarray, row: int) -> int:
    """Return the item that Next and Previous go on from: it, else the list's last looked at."""
    known = set(rows.tolist())
    if row in known:
        return row
    before = last_of(known)
    return row if before is None else before


def place_caption(chosen: Selection, table: pd.DataFrame, rows: np.ndarray, row: int) -> None:
    """Say where the item stands in the list, and what the list holds.

    Args:
        chosen: What is being looked at.
        table: See :func:`workbench.analysis.failures.query_table`.
        rows: See :func:`listed_queries`.
        row: The item looked at.
    """
    text = _searched()
    what = KINDS[SHOW.get() or FILTERS[0]]
    what += f" matching “{plain(text)}”" if text.strip() else ""
    if not len(rows):
        st.caption(f"There are no {what}.")
        return
    scored = _scored(chosen, table, rows)
    lone = len(rows) - len(scored)
    listed = f"{len(scored):,} {what}"
    listed += f" ({lone:,} more left out: no item of their class to find)" if lone else ""
    at = np.flatnonzero(scored == row)
    if len(at):
        st.caption(f"This item is {at[0] + 1:,} of {listed}.")
        return
    if row in rows:
        st.caption(f"This item is left out of the {listed}.")
        return
    at = np.flatnonzero(scored == _standing(rows, row))
    where = f"from number {at[0] + 1:,} of them, looked at before" if len(at) else "among them"
    st.caption(f"This item is not among the {listed}. Next and Previous go on {where}.")


def _scored(chosen: Selection, table: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Return the rows of a list that the page's numbers are means over: see its head."""
    if chosen.a.result(chosen.protocol).protocol.no_positive == "zero":
        return rows
    return rows[np.isin(rows, table["row"].to_numpy()[table["answerable"]])]


def gallery_matches(chosen: Selection, table: pd.DataFrame, rows: np.ndarray) -> None:
    """Draw the gallery items that match the search, each to be searched with.

    Args:
        chosen: What is being looked at.
        table: See :func:`workbench.analysis.failures.query_table`.
        rows: See :func:`listed_queries`.
    """
    text = _searched()
    found = search.gallery_rows(table, chosen.a.items, text)
    if not len(found) or SHOW.get() != FILTERS[0]:
        return
    title = f"{len(found):,} gallery item{'s match' if len(found) > 1 else ' matches'}"
    with st.expander(f"{title} “{plain(text)}”", expanded=not len(rows), icon=":material/photo:"):
        first = f"The first {MATCHES} of them. " if len(found) > MATCHES else ""
        st.caption(
            f"{first}No queries of this protocol, so they count in no metric. Click one to search "
            "with it all the same; it is left out of its own results."
        )
        cards = [card(chosen.a, int(row), note="gallery") for row in found[:MATCHES]]
        clickable_cards(
            {"rows": [{"cards": cards, "size": 88}]},
            key="gallery_matches",
            on_pick=lambda pick: go_to(pick.row),
        )


def query_to_show(chosen: Selection, table: pd.DataFrame, rows: np.ndarray) -> int:
    """Return the selected item; where there is none, select an instructive failure of the list.

    If only gallery items match the search, the first of them is selected.

    Args:
        chosen: What is being looked at.
        table: See :func:`workbench.analysis.failures.query_table`.
        rows: See :func:`listed_queries`.

    Returns:
        A row of run A.
    """
    row = current_item(len(chosen.a.items))
    if row is None and not len(rows):
        found = search.gallery_rows(table, chosen.a.items, _searched())
        row = int(found[0]) if len(found) else None
    if row is None:
        row = instructive_failure(table[table["row"].isin(rows)] if len(rows) else table)
    show_item(row)
    return row

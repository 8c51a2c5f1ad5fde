"""Searching, filtering and stepping through queries: the same list on every page that shows one."""

import numpy as np
import pandas as pd
import streamlit as st

from workbench import address, search
from workbench.failures import instructive_failure
from workbench.state import Selection
from workbench.theme import plain
from workbench.trail import can_go_back, current_item, go_back, go_to, show_item

FILTERS = ("All queries", "Failures", "Right at rank 1")
KINDS = {"All queries": "queries", "Failures": "failures"}


def listed_queries(chosen: Selection, table: pd.DataFrame) -> np.ndarray:
    """List the queries that match the search and the filter in the URL.

    Args:
        chosen: What is being looked at.
        table: See :func:`workbench.failures.query_table`.

    Returns:
        int64, rows in order.
    """
    text = address.keep("search", "")
    shown = address.keep("show", FILTERS[0], FILTERS)
    return search.query_rows(table, chosen.a.items, text or "", shown)


def search_box(chosen: Selection, table: pd.DataFrame) -> None:
    """Draw the search and the filter; call after :func:`listed_queries`.

    Args:
        chosen: What is being looked at.
        table: See :func:`workbench.failures.query_table`.
    """
    moves = {"on_change": _to_first, "args": (chosen, table), "label_visibility": "collapsed"}
    st.text_input(
        "Search",
        key="search",
        placeholder="Search class or file",
        icon=":material/search:",
        width=190,
        **moves,
    )
    st.selectbox("Show", FILTERS, key="show", width=150, **moves)


def _to_first(chosen: Selection, table: pd.DataFrame) -> None:
    """Go to the first query of the new list, unless the one looked at is in it (for callbacks)."""
    text, shown = st.session_state["search"] or "", st.session_state["show"]
    rows = search.query_rows(table, chosen.a.items, text, shown)
    narrowed = text.strip() or shown != FILTERS[0]
    if narrowed and len(rows) and st.session_state["item"] not in rows:
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
    before, after, other = search.around(rows, row)
    back_button()
    for name, target, key in (
        ("Previous", before, "Left"),
        ("Next", after, "Right"),
        ("Random", other, "Q"),
    ):
        st.button(name, on_click=go_to, args=(target,), disabled=target is None, shortcut=key)


def place_caption(rows: np.ndarray, row: int) -> None:
    """Say where the item stands in the list, and what the list holds.

    Args:
        rows: See :func:`listed_queries`.
        row: The item looked at.
    """
    text = st.session_state["search"] or ""
    what = KINDS.get(st.session_state["show"], "queries right at rank 1")
    what += f" matching “{plain(text)}”" if text.strip() else ""
    at = np.flatnonzero(rows == row)
    where = f"{at[0] + 1:,} of {len(rows):,}" if len(at) else f"not among the {len(rows):,}"
    st.caption(f"This item is {where} {what}." if len(rows) else f"There are no {what}.")


def query_to_show(chosen: Selection, table: pd.DataFrame, rows: np.ndarray) -> int:
    """Return the selected item; where there is none, select an instructive failure of the list.

    Args:
        chosen: What is being looked at.
        table: See :func:`workbench.failures.query_table`.
        rows: See :func:`listed_queries`.

    Returns:
        A row of run A.
    """
    row = current_item(len(chosen.a.items))
    if row is None:
        row = instructive_failure(table[table["row"].isin(rows)] if len(rows) else table)
    show_item(row)
    return row

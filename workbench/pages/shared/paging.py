"""Showing a long list a page at a time; the URL holds the page's number."""

import hashlib

import numpy as np
import streamlit as st

from workbench.session import url as address

PER_PAGE = 12
LISTED = "_paged_list"  # the list that the page's number is about


def page_of(rows: np.ndarray, what: str, size: int = PER_PAGE) -> np.ndarray:
    """Draw the page numbers of a list, and return the part on the chosen page.

    Args:
        rows: Whatever is listed.
        what: Names the list among those of this page of the app.
        size: How many on one page.

    Returns:
        The rows to show now.
    """
    pages = max(1, -(-len(rows) // size))
    if not len(rows):
        st.info("Nothing to show here: there is no such case.")
        return rows
    list_now = (what, pages, hashlib.sha1(np.ascontiguousarray(rows).tobytes()).hexdigest())
    if st.session_state.get(LISTED, list_now) != list_now and not address.has_changed():
        st.session_state["page"] = 1
    st.session_state[LISTED] = list_now
    address.keep("page", 1, range(1, pages + 1), parse=int)
    page = _page_number(pages) if pages > 1 else 1
    return rows[(page - 1) * size : page * size]


def _page_number(pages: int) -> int:
    with st.container(horizontal=True, vertical_alignment="center"):
        page = st.pagination(pages, key="page")
        for name, step, shortcut in (("Previous page", -1, "Left"), ("Next page", 1, "Right")):
            st.button(
                name,
                key=f"page {step}",
                type="tertiary",
                on_click=_turn,
                args=(page + step,),
                disabled=not 1 <= page + step <= pages,
                shortcut=shortcut,
            )
    return page


def _turn(page: int) -> None:
    st.session_state["page"] = page

"""Showing a long list a page at a time; the URL holds the page's number."""

import hashlib

import numpy as np
import streamlit as st

from workbench.session.parameters import PAGE

PER_PAGE = 12


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
    this_list = (what, pages, hashlib.sha1(np.ascontiguousarray(rows).tobytes()).hexdigest())
    PAGE.keep(1, range(1, pages + 1), context=this_list)
    page = _page_number(pages) if pages > 1 else 1
    return rows[(page - 1) * size : page * size]


def _page_number(pages: int) -> int:
    with st.container(horizontal=True, vertical_alignment="center"):
        page = st.pagination(pages, key=PAGE.key)
        for name, step, shortcut in (("Previous page", -1, "Left"), ("Next page", 1, "Right")):
            st.button(
                name,
                key=f"page {step}",
                type="tertiary",
                on_click=PAGE.set,
                args=(page + step,),
                disabled=not 1 <= page + step <= pages,
                shortcut=shortcut,
            )
    return page

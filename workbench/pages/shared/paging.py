"""Long lists, shown a page at a time; the URL holds the number of the page."""

import hashlib

import numpy as np
import streamlit as st

from workbench.session.parameters import PAGE

PER_PAGE = 12


def page_of(rows: np.ndarray, what: str, size: int = PER_PAGE) -> np.ndarray:
    """Draw the page numbers of a list, and return the part of the list on the chosen page.

    Args:
        rows: All rows of the list, a one-dimensional array.
        what: Name of the list; distinguishes it from other lists on the same page of the app.
        size: Number of entries per page. Defaults to 12.

    Returns:
        The entries to show now.
    """
    pages = max(1, -(-len(rows) // size))
    if not len(rows):
        st.info("There is nothing to show here.")
        return rows
    this_list = (what, pages, hashlib.sha1(np.ascontiguousarray(rows).tobytes()).hexdigest())
    page = PAGE.keep(1, range(1, pages + 1), context=this_list)
    if pages > 1:
        _page_numbers(pages, page)
    return rows[(page - 1) * size : page * size]


def _page_numbers(pages: int, page: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.pagination(pages, key=PAGE.key)
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

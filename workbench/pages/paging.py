"""Showing a long list a page at a time."""

import numpy as np
import streamlit as st

PER_PAGE = 12


def page_of(rows: np.ndarray, what: str, size: int = PER_PAGE) -> np.ndarray:
    """Draw the page numbers of a list, and return the part on the chosen page.

    Args:
        rows: Whatever is listed.
        what: Key of the list on this page of the app.
        size: How many on one page.

    Returns:
        The rows to show now.
    """
    pages = max(1, -(-len(rows) // size))
    if not len(rows):
        st.info("Nothing to show here: there is no such case.")
        return rows
    page = _page_number(f"page_{what}_{pages}", pages) if pages > 1 else 1
    return rows[(page - 1) * size : page * size]


def _page_number(key: str, pages: int) -> int:
    with st.container(horizontal=True, vertical_alignment="center"):
        page = st.pagination(pages, key=key)
        for name, step, shortcut in (("Previous page", -1, "Left"), ("Next page", 1, "Right")):
            st.button(
                name,
                key=f"{key} {step}",
                type="tertiary",
                on_click=_turn,
                args=(key, page + step),
                disabled=not 1 <= page + step <= pages,
                shortcut=shortcut,
            )
    return page


def _turn(key: str, page: int) -> None:
    st.session_state[key] = page

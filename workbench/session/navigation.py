"""Jumps from one page to another that keep what is being looked at."""

import streamlit as st

from workbench.session import url as address
from workbench.session.trail import go_to


def jump(
    page: str, *, row: int | None = None, run: str | None = None, match: int | None = None
) -> None:
    """Ask for another page (for callbacks); :func:`follow_jump` then goes there.

    Args:
        page: Address of the page, e.g. ``retrieval``.
        row: Item to select first.
        run: Run to make run A.
        match: Result of the item to explain.
    """
    if row is not None:
        go_to(row)
    if run is not None:
        st.session_state["a"] = run
    if match is not None:
        st.session_state["match"] = match
    st.session_state["jump"] = page


def follow_jump(pages: dict) -> None:
    """Go to the page that was asked for, if any; call before drawing a page.

    Args:
        pages: Address -> the ``st.Page`` to switch to.
    """
    page = st.session_state.pop("jump", None)
    if page is not None:
        parameters = address.current() or st.query_params.to_dict()
        address.expect(parameters)
        st.switch_page(pages[page], query_params=parameters)


def open_query(choice: dict) -> None:
    """Open a picked card as the query of the Retrieval page (for ``image_cards``).

    Args:
        choice: With ``row``.
    """
    jump("retrieval", row=int(choice["row"]))

"""Jumps from one page to another that keep what is being looked at."""

from collections.abc import Mapping

import streamlit as st

from workbench.session import url
from workbench.session.parameters import MATCH, RUN_A
from workbench.session.state import Value
from workbench.session.trail import go_to

TARGET = Value[str | None]("_jump", None)  # URL path of the page that was asked for


def jump(
    page: str, *, row: int | None = None, run: str | None = None, match: int | None = None
) -> None:
    """Ask for another page (for callbacks); :func:`follow_jump` then goes there.

    Args:
        page: URL path of the page, e.g. ``retrieval``.
        row: Item to select. Defaults to None: the selected item stays.
        run: Name of the run to make run A. Defaults to None: run A stays.
        match: Row of the result to explain. Defaults to None: the nearest result.
    """
    if row is not None:
        go_to(row)
    if run is not None:
        RUN_A.set(run)
    if match is not None:
        MATCH.set(match)
    TARGET.set(page)


def follow_jump(pages: Mapping[str, st.Page]) -> None:
    """Go to the page that was asked for, if any; call before drawing a page.

    Args:
        pages: URL path -> page.
    """
    page = TARGET.get()
    if page is not None:
        TARGET.clear()
        parameters = url.current()
        if parameters:
            url.accept(parameters)
        else:  # nothing was drawn yet: whatever the URL asks for comes from outside
            parameters = st.query_params.to_dict()
        st.switch_page(pages[page], query_params=parameters)


def open_query(row: int) -> None:
    """Open an item as the query of the Retrieval page (for callbacks).

    Args:
        row: Row of the item to open.
    """
    jump("retrieval", row=row)

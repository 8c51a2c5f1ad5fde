"""What is made once for all sessions: tables and figures took half of the Overview's time."""

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from workbench.state import Selection

T = TypeVar("T")


def kept(chosen: Selection, title: str, make: Callable[[], T], style: str = "") -> T:
    """Make something of the comparable runs, or return it if it was made before.

    Args:
        chosen: What is being looked at; a run that is written anew counts as another.
        title: Tells it from others of the same runs.
        make: Makes it, from the runs and the protocol alone.
        style: What else it depends on, e.g. the colour of a figure's text.

    Returns:
        What was made; it is shared: not to be changed.
    """
    shown = tuple(run.name for run in chosen.comparable)
    return _kept(make, (title, style, chosen.protocol, shown, chosen.stamps))


@st.cache_resource(show_spinner=False, max_entries=128)
def _kept(_make: Callable[[], object], key: tuple) -> object:
    return _make()

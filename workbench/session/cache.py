"""Tables and figures that all sessions share: making them took half of the Overview's time."""

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from workbench.session.selection import Selection

T = TypeVar("T")


def make_once(chosen: Selection, title: str, make: Callable[[], T], style: str = "") -> T:
    """Make a table or figure of the comparable runs, or return the one that was made before.

    Args:
        chosen: The choices made in the sidebar; a run that is written anew counts as another.
        title: Tells it from others of the same runs.
        make: Makes it from the runs, the protocol and the metric alone.
        style: What else it depends on, e.g. the color of a figure's text. Defaults to nothing.

    Returns:
        What was made. It is shared: do not change it.
    """
    shown = tuple(run.name for run in chosen.comparable)
    return _make_once(make, (title, style, chosen.protocol, chosen.metric, shown, chosen.stamps))


@st.cache_resource(show_spinner=False, max_entries=128)
def _make_once(_make: Callable[[], T], key: tuple) -> T:
    return _make()

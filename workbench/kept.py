"""Figures made once for all sessions: making them took half of the Overview's time."""

from collections.abc import Callable

import plotly.graph_objects as go
import streamlit as st

from workbench.loading import stamp
from workbench.state import Selection


def kept_figure(
    chosen: Selection, title: str, make: Callable[[], go.Figure], style: str = ""
) -> go.Figure:
    """Make a figure of the comparable runs, or return it if it was made before.

    Args:
        chosen: What is being looked at; a run that is written anew counts as another.
        title: Tells the figure from others of the same runs.
        make: Makes it, from the runs and the protocol alone.
        style: What else the figure depends on, e.g. the colour of its text.

    Returns:
        A figure that is shared: not to be changed.
    """
    shown = tuple(run.name for run in chosen.comparable)
    known = tuple((str(run.path), stamp(run.path)) for run in chosen.runs)  # for the colours
    return _kept(make, (title, style, chosen.protocol, shown, known))


@st.cache_resource(show_spinner=False, max_entries=128)
def _kept(_make: Callable[[], go.Figure], key: tuple) -> go.Figure:
    return _make()

"""Which pair of classes and which class a page has opened; the URL holds both."""

import re

import numpy as np
import pandas as pd
import streamlit as st

from workbench.session import url as address

LABELS = re.compile(r"(\d{1,12})-(\d{1,12})", re.ASCII)
TURN = "_square_turn"  # every click makes a new grid, in which nothing is clicked


def chosen_pair(pairs: pd.DataFrame) -> tuple[int, tuple[int, int]]:
    """Return the opened pair of classes: the URL's, else the most confused one.

    Args:
        pairs: See :func:`workbench.analysis.failures.confused_pairs`; at least one.

    Returns:
        Its position in the table, and its labels: the class asked for first comes first.
    """
    named = LABELS.fullmatch(address.keep("pair") or "")
    if named:
        asked, answered = (int(label) for label in named.groups())
        a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
        found = ((a == asked) & (b == answered)) | ((a == answered) & (b == asked))
        if found.any():
            return int(found.argmax()), (asked, answered)
    st.session_state["pair"] = None  # no such pair is confused, so the URL does not name it
    return 0, (int(pairs["a"][0]), int(pairs["b"][0]))


def open_row(pairs: pd.DataFrame, at: int) -> None:
    """Open the pair of a clicked row (for callbacks)."""
    _open_pair(pairs, int(pairs["a"][at]), int(pairs["b"][at]))


def open_square(key: str, pairs: pd.DataFrame) -> None:
    """Open the pair of a clicked square of the grid (for callbacks).

    Args:
        key: Key of the grid, see :func:`turned`.
        pairs: What it shows.
    """
    points = st.session_state[key]["selection"]["points"]
    if points and points[0].get("customdata"):
        _open_pair(pairs, *(int(label) for label in points[0]["customdata"]))
    st.session_state[TURN] = st.session_state.get(TURN, 0) + 1


def turned(key: str) -> str:
    """Return a key of the grid that changes with every click on it."""
    return f"{key}_{st.session_state.get(TURN, 0)}"


def _open_pair(pairs: pd.DataFrame, asked: int, answered: int) -> None:
    first = (int(pairs["a"][0]), int(pairs["b"][0]))
    st.session_state["pair"] = None if (asked, answered) == first else f"{asked}-{answered}"


def chosen_class(classes: pd.DataFrame, first: int = 0) -> tuple[int, int]:
    """Return the opened class: the URL's, else the first one.

    Args:
        classes: With a column ``label``; at least one.
        first: Position of the class that is open unless another is chosen.

    Returns:
        Its position in the table, and its label.
    """
    label = address.keep("class", parse=int)
    found = np.flatnonzero(classes["label"] == label)
    if not len(found):
        st.session_state["class"] = None
    at = int(found[0]) if len(found) else first
    return at, int(classes["label"][at])


def open_class(classes: pd.DataFrame, at: int, first: int = 0) -> None:
    """Open the class of a clicked row (for callbacks)."""
    st.session_state["class"] = int(classes["label"][at]) if at != first else None


def open_bar(key: str, classes: pd.DataFrame, first: int) -> None:
    """Open the class of a clicked bar (for callbacks).

    Args:
        key: Key of the chart, see :func:`turned`; ``customdata`` is the class's position.
        classes: As for :func:`chosen_class`.
        first: As there.
    """
    points = st.session_state[key]["selection"]["points"]
    if points and points[0].get("customdata") is not None:
        open_class(classes, int(np.ravel(points[0]["customdata"])[0]), first)
    st.session_state[TURN] = st.session_state.get(TURN, 0) + 1

"""The item that is looked at, and the way back to those looked at before."""

import streamlit as st

from workbench.session import url as address

SOURCES = ("From the data set", "Your own image")
OWN_IMAGE = SOURCES[1]  # stands for the own image's results among the items of the trail
TRAIL_LENGTH = 50
DATASET = "_trail_data"  # the data set whose rows the trail holds


def current_item(n_items: int) -> int | None:
    """Return the selected item's row, from the URL or the session; None if none is selected.

    Args:
        n_items: Number of items of run A; a row beyond it counts as no selection.

    Returns:
        A valid row or None.
    """
    before = _here()
    row = address.keep("item", parse=_row)
    dataset = st.session_state.get("data")
    if st.session_state.setdefault(DATASET, dataset) != dataset:
        st.session_state["trail"] = []
    elif address.has_changed():
        own = st.query_params.get("source") == OWN_IMAGE
        _retrace(before, OWN_IMAGE if own else row)
    st.session_state[DATASET] = dataset
    return row if row is not None and 0 <= row < n_items else None


def _row(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise ValueError(text)
    return int(text)


def _here() -> int | str | None:
    own = st.session_state.get("source") == OWN_IMAGE
    return OWN_IMAGE if own else st.session_state.get("item")


def _retrace(before: int | str | None, place: int | str | None) -> None:
    """Let the app's Back follow the browser's back and forward.

    Args:
        before: What was looked at.
        place: What the URL asks for.
    """
    trail = st.session_state.setdefault("trail", [])
    if place == before or None in (place, before):
        return
    if trail and trail[-1] == place:
        trail.pop()
    else:
        trail.append(before)


def show_item(row: int) -> None:
    """Select an item without a step of history, e.g. the one that a page opens on."""
    st.session_state["item"] = int(row)


def go_to(row: int) -> None:
    """Select another item (for callbacks) and remember what was looked at before, for Back."""
    before = _here()
    if before is not None and before != row:
        trail = st.session_state.setdefault("trail", [])
        trail.append(before)
        del trail[:-TRAIL_LENGTH]
    _arrive(int(row))


def go_back() -> None:
    """Return to what was looked at before (for callbacks)."""
    trail = st.session_state.get("trail") or []
    if trail:
        _arrive(trail.pop())


def _arrive(place: int | str) -> None:
    if place == OWN_IMAGE:
        st.session_state["source"] = OWN_IMAGE
        return
    if st.session_state.get("source") == OWN_IMAGE:
        st.session_state["source"] = SOURCES[0]
    _select(int(place))


def _select(row: int | None) -> None:
    if st.session_state.get("item") != row:
        st.session_state["match"] = None  # it was a result of the item before
    st.session_state["item"] = row


def can_go_back() -> bool:
    """Tell whether there is something to go back to."""
    return bool(st.session_state.get("trail"))


def forget_items() -> None:
    """Forget rows and labels of the data set looked at before: they mean others in the next one."""
    _select(None)
    st.session_state["pair"] = st.session_state["class"] = None
    st.session_state["trail"] = []

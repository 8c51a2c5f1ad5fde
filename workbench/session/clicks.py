"""Clicks and selections on a chart, a table or an image card (for callbacks)."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from workbench.session.state import Value

CHARTS_MADE = Value[int]("_charts_made", 0)


@dataclass(frozen=True)
class Pick:
    """A clicked image card.

    Attributes:
        row: Row of the item on the card.
        run: Name of the run that the card belongs to; None if it belongs to no run.
    """

    row: int
    run: str | None = None


def picked_card(key: str) -> Pick | None:
    """Return the image card that was clicked, or None.

    Args:
        key: Key of the component :func:`workbench.components.image_cards`.
    """
    choice = _state(key).get("picked")
    return Pick(int(choice["row"]), choice.get("run")) if choice else None


def clicked_point(key: str) -> int | None:
    """Return the row of the point that was clicked, or None.

    Args:
        key: Key of the component :func:`workbench.components.point_images`.
    """
    choice = _state(key).get("clicked")
    return int(choice["row"]) if choice else None


def selected_points(key: str) -> list[dict[str, Any]]:
    """Return the points that are selected on a chart, as Plotly describes them.

    Args:
        key: Key of the chart.
    """
    return _state(key)["selection"]["points"]


def selected_indices(key: str) -> list[int]:
    """Return the positions of the points that are selected on a chart.

    Args:
        key: Key of the chart.
    """
    return _state(key)["selection"]["point_indices"]


def replaceable_key(name: str) -> str:
    """Return a key for a chart that changes with every :func:`replace_charts`.

    Args:
        name: Start of the key.
    """
    return f"{name}_{CHARTS_MADE.get()}"


def replace_charts() -> None:
    """Draw the charts of :func:`replaceable_key` anew, so that nothing on them is selected."""
    CHARTS_MADE.set(CHARTS_MADE.get() + 1)


def select_row(key: str, at: int) -> None:
    """Select one row of a table that is already on the page; call before drawing it.

    Args:
        key: Key of the table.
        at: Position of the row.
    """
    wanted = {"rows": [at], "columns": [], "cells": []}
    if key in st.session_state and _state(key)["selection"] != wanted:
        st.session_state[key] = {"selection": wanted}


def clicked_row(key: str, at: int) -> int | None:
    """Return the position of the row that was clicked, itself or one of its cells, or None.

    Args:
        key: Key of a table in which a row and a cell can be selected.
        at: Position of the row that was selected before.
    """
    picked = _state(key)["selection"]
    # The cell that was clicked before stays selected where a row is clicked next.
    cells = [row for row, _ in picked["cells"]]
    rows = picked["rows"] if picked["rows"] != [at] else cells
    return rows[0] if rows else None


def _state(key: str) -> Any:
    return st.session_state.get(key) or {}

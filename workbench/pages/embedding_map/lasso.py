"""The items that were lassoed on a map, kept as rows: points are numbered anew with every color.

Streamlit forgets a chart's selection when the chart changes, and tells of no change then.
"""

import numpy as np
import streamlit as st

KEPT = "_lasso"


def keep_lasso(chart: str, rows: np.ndarray, looked_at: tuple) -> None:
    """Keep what is selected on a chart; an empty selection ends it (for callbacks).

    Args:
        chart: Key of the chart.
        rows: int, (n,), row of the item of each point as it was drawn.
        looked_at: What the selection is made in; see :func:`kept_lasso`.
    """
    picked = st.session_state[chart]["selection"]["point_indices"]
    inside = [i for i in picked if i < len(rows)]  # the legend's points come after them
    st.session_state[KEPT] = (looked_at, rows[inside])


def kept_lasso(looked_at: tuple) -> np.ndarray:
    """Return the rows that are lassoed, int (m,); none if something else is looked at since."""
    made_in, rows = st.session_state.get(KEPT, (None, None))
    if made_in == looked_at:
        return rows
    end_lasso()
    return np.array([], int)


def end_lasso() -> None:
    """Select nothing (for callbacks)."""
    st.session_state.pop(KEPT, None)

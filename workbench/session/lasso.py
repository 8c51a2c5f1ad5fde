"""The items that were lassoed on a map, as rows: points get other numbers with every color.

Streamlit forgets the selection on a chart when the chart changes, without calling back.
"""

import numpy as np

from workbench.session.clicks import selected_indices
from workbench.session.state import Value

LASSO = Value[tuple[tuple, np.ndarray] | None]("_lasso", None)  # what it was made in, and the rows


def keep_lasso(chart: str, rows: np.ndarray, looked_at: tuple) -> None:
    """Keep what is selected on a chart; an empty selection ends the lasso (for callbacks).

    Args:
        chart: Key of the chart.
        rows: int, (n,), row of the item of each point as it was drawn.
        looked_at: What the selection is made in; see :func:`lassoed_rows`.
    """
    inside = [i for i in selected_indices(chart) if i < len(rows)]  # the legend's points come last
    LASSO.set((looked_at, rows[inside]))


def lassoed_rows(looked_at: tuple) -> np.ndarray:
    """Return the rows that are lassoed, and end a lasso that was made in something else.

    Args:
        looked_at: What is being looked at: data set, runs and item.

    Returns:
        int, (m,).
    """
    made_in, rows = LASSO.get() or (None, None)
    if rows is not None and made_in == looked_at:
        return rows
    end_lasso()
    return np.array([], int)


def end_lasso() -> None:
    """Select nothing (for callbacks)."""
    LASSO.clear()

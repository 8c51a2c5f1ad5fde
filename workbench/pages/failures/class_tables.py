"""Tables of the Failures page to choose from and to export: pairs of classes, and classes."""

from collections import Counter
from collections.abc import Callable, Iterable

import pandas as pd
import streamlit as st

from workbench.session.clicks import clicked_row, select_row

ROWS_SHOWN = 1000  # the export has the rest
LONGEST = 23  # characters in a cell


def pair_frame(pairs: pd.DataFrame, names: dict[int, str]) -> pd.DataFrame:
    """Prepare the table of confused pairs for display.

    Args:
        pairs: See :func:`workbench.analysis.failures.confused_pairs`.
        names: Label -> class name.

    Returns:
        Columns ``Class``, ``→``, ``←``, ``Other class``.
    """
    return pd.DataFrame(
        {
            "Class": pairs["a"].map(names),
            "→": pairs["a_as_b"],
            "←": pairs["b_as_a"],
            "Other class": pairs["b"].map(names),
        }
    )


def pair_table(
    pairs: pd.DataFrame, names: dict[int, str], key: str, at: int, choose: Callable[[int], None]
) -> None:
    """Draw the pairs as a table.

    Args:
        pairs: See :func:`workbench.analysis.failures.confused_pairs`.
        names: Label -> class name.
        key: Key of the table.
        at: Position of the chosen pair.
        choose: Called with the position of the pair that is clicked.
    """
    shown = pair_frame(pairs[:ROWS_SHOWN], names)
    short = cell_names({*shown["Class"], *shown["Other class"]})
    for column in ("Class", "Other class"):
        shown[column] = shown[column].map(short)
    forth = st.column_config.NumberColumn(
        width=40, help="Queries of the left class mistaken for the right one"
    )
    back = st.column_config.NumberColumn(
        width=40, help="Queries of the right class mistaken for the left one"
    )
    wide = st.column_config.TextColumn(width=165)
    columns = {"→": forth, "←": back, "Class": wide, "Other class": wide}
    one = _one_row(key, at, len(shown), choose)
    st.dataframe(shown, height=500, key=key, column_config=columns, **one)
    if len(pairs) > len(shown):
        st.caption(f"The {len(shown):,} most confused of {len(pairs):,} pairs; the export has all.")


def class_frame(classes: pd.DataFrame, names: dict[int, str]) -> pd.DataFrame:
    """Prepare the table of classes for display.

    Args:
        classes: See :func:`workbench.analysis.failures.class_table`.
        names: Label -> class name.

    Returns:
        Columns ``Class``, ``R@1, %``, ``95% from``, ``to`` and ``Queries``.
    """
    return pd.DataFrame(
        {
            "Class": classes["label"].map(names),
            "R@1, %": 100 * classes["recall"],
            "95% from": 100 * classes["low"],
            "to": 100 * classes["high"],
            "Queries": classes["queries"],
        }
    )


def class_table(
    classes: pd.DataFrame, names: dict[int, str], key: str, at: int, choose: Callable[[int], None]
) -> None:
    """Draw the classes as a table that shows every column without scrolling.

    Args:
        classes: See :func:`workbench.analysis.failures.class_table`.
        names: Label -> class name.
        key: Key of the table.
        at: Position of the chosen class.
        choose: Called with the position of the class that is clicked.
    """
    frame = class_frame(classes[:ROWS_SHOWN], names)
    ends = zip(frame.pop("95% from"), frame.pop("to"), strict=True)
    frame.insert(2, "95%", [f"{low:.0f}–{high:.0f}" for low, high in ends])
    frame["Class"] = frame["Class"].map(cell_names(set(frame["Class"])))
    columns = {
        "Class": st.column_config.TextColumn(width=165),
        "R@1, %": st.column_config.ProgressColumn(
            format="%.1f", min_value=0, max_value=100, width=110
        ),
        "95%": st.column_config.TextColumn(width=64, alignment="right"),
        "Queries": st.column_config.NumberColumn(width=66),
    }
    one = _one_row(key, at, len(frame), choose)
    st.dataframe(frame, height=600, key=key, column_config=columns, **one)
    if len(classes) > len(frame):
        st.caption(f"The {len(frame):,} worst of {len(classes):,} classes; the export has all.")


def cell_names(names: Iterable[str]) -> dict[str, str]:
    """Shorten names to the width of a cell.

    Args:
        names: Names of classes, perhaps tens of thousands.

    Returns:
        Name -> short name, with an ellipsis at the end, or in the middle if several names have the
        same beginning.
    """
    short = {name: _cut(name, LONGEST - 1) for name in names}
    shared = Counter(short.values())
    for name in [name for name, text in short.items() if shared[text] > 1]:
        short[name] = _cut(name, LONGEST // 2, LONGEST - LONGEST // 2 - 1)
    return short


def _cut(name: str, first: int, last: int = 0) -> str:
    if len(name) <= first + last + 1:
        return name
    return f"{name[:first].rstrip()}…{name[len(name) - last :].lstrip()}"


def _one_row(key: str, at: int, n: int, choose: Callable[[int], None]) -> dict:
    """Return the options of a table in which one row is always selected.

    Args:
        key: Key of the table.
        at: Position to select; if the table does not show it, the selection does not change.
        n: Number of rows shown.
        choose: Called with the position of the row that is clicked.
    """
    if at < n:  # the URL has changed, or a cell of the table or of the chart was clicked
        select_row(key, at)

    def clicked() -> None:
        row = clicked_row(key, at)
        if row is not None and row < n:
            choose(row)

    return {
        "on_select": clicked,
        "selection_mode": ["single-row-required", "single-cell"],
        "selection_default": {"selection": {"rows": [at if at < n else 0]}},
        "hide_index": True,
    }

"""The pair of classes and the class that a page shows in detail; the URL holds both."""

import re

import numpy as np
import pandas as pd

from workbench.session.clicks import replace_charts, selected_points
from workbench.session.parameters import CLASS, PAIR

LABELS = re.compile(r"(\d{1,12})-(\d{1,12})", re.ASCII)


def chosen_pair(pairs: pd.DataFrame) -> tuple[int, tuple[int, int]]:
    """Return the open pair of classes: the one in the URL, else the most confused one.

    Args:
        pairs: See :func:`workbench.analysis.failures.confused_pairs`; at least one.

    Returns:
        Its position in the table, and its two labels: first that of the query, then that of the
        answer.
    """
    named = LABELS.fullmatch(PAIR.keep() or "")
    if named:
        asked, answered = (int(label) for label in named.groups())
        a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
        found = ((a == asked) & (b == answered)) | ((a == answered) & (b == asked))
        if found.any():
            return int(found.argmax()), (asked, answered)
    PAIR.not_found()
    PAIR.set(None)  # no such pair is confused, so the URL does not name it
    return 0, (int(pairs["a"][0]), int(pairs["b"][0]))


def open_pair(pairs: pd.DataFrame, at: int) -> None:
    """Open the pair of a clicked row (for callbacks).

    Args:
        pairs: Confused pairs, as for :func:`chosen_pair`.
        at: Position of the row.
    """
    _open_pair(pairs, int(pairs["a"][at]), int(pairs["b"][at]))


def open_clicked_pair(key: str, pairs: pd.DataFrame) -> None:
    """Open the pair of a clicked cell of the confusion map (for callbacks).

    Args:
        key: Key of the chart, see :func:`workbench.session.clicks.replaceable_key`.
        pairs: Confused pairs, as for :func:`chosen_pair`.
    """
    points = selected_points(key)
    if points and points[0].get("customdata"):
        _open_pair(pairs, *(int(label) for label in points[0]["customdata"]))
    replace_charts()


def _open_pair(pairs: pd.DataFrame, asked: int, answered: int) -> None:
    first = (int(pairs["a"][0]), int(pairs["b"][0]))
    PAIR.set(None if (asked, answered) == first else f"{asked}-{answered}")


def chosen_class(classes: pd.DataFrame, first: int = 0) -> tuple[int, int]:
    """Return the open class: the one in the URL, else the first one.

    Args:
        classes: Table with a column ``label`` and at least one row.
        first: Position of the class that is open unless another is chosen. Defaults to 0.

    Returns:
        Its position in the table, and its label.
    """
    found = np.flatnonzero(classes["label"] == CLASS.keep())
    if not len(found):
        CLASS.not_found()
        CLASS.set(None)
    at = int(found[0]) if len(found) else first
    return at, int(classes["label"][at])


def open_class(classes: pd.DataFrame, at: int, first: int = 0) -> None:
    """Open the class of a clicked row (for callbacks).

    Args:
        classes: Table of classes, as for :func:`chosen_class`.
        at: Position of the row.
        first: As for :func:`chosen_class`. Defaults to 0.
    """
    CLASS.set(int(classes["label"][at]) if at != first else None)


def open_clicked_class(key: str, classes: pd.DataFrame, first: int) -> None:
    """Open the class of a clicked bar (for callbacks).

    Args:
        key: Key of the chart, see :func:`workbench.session.clicks.replaceable_key`; the
            ``customdata`` of its bars holds the position of the class.
        classes: Table of classes, as for :func:`chosen_class`.
        first: As for :func:`chosen_class`.
    """
    points = selected_points(key)
    if points and points[0].get("customdata") is not None:
        open_class(classes, int(np.ravel(points[0]["customdata"])[0]), first)
    replace_charts()

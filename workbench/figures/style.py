"""The look that all figures share: margins, faint axes, tool bar, and short labels."""

import html
from collections import Counter
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from workbench.figures.colors import ACCENT

# Options of st.plotly_chart and Figure.write_html; nothing is ever sent to a cloud.
CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "showSendToCloud": False,
    "modeBarButtonsToRemove": ["autoScale2d", "zoomIn2d", "zoomOut2d"],
    "toImageButtonOptions": {"format": "png", "scale": 2},
    "scrollZoom": False,
}
GRID = "rgba(128, 140, 152, 0.22)"
MODEBAR = 34  # width of the vertical tool bar in pixels
QUIET = "rgba(128, 140, 152, 0.75)"


def styled(figure: go.Figure, *, height: int = 340, legend: bool = True) -> go.Figure:
    """Give a figure the workbench's look.

    Args:
        figure: The figure, changed in place.
        height: Height in pixels. Defaults to 340.
        legend: Show the legend, in one line above the plot. Defaults to True.

    Returns:
        The same figure.
    """
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": MODEBAR, "t": 34 if legend else 12, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "title": ""},
        hoverlabel={"align": "left"},
        modebar={
            "orientation": "v",  # in the right margin, where neither legend nor points are
            "bgcolor": "rgba(0,0,0,0)",
            "color": QUIET,
            "activecolor": ACCENT,
        },
    )
    axis = {"gridcolor": GRID, "zeroline": False, "automargin": True}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def whole_ticks(span: float) -> dict[str, int]:
    """Return axis settings that keep the ticks of counts and steps at whole numbers.

    Args:
        span: Length of the axis; the ticks of a long one are whole numbers anyway.
    """
    return {"dtick": 1} if span <= 20 else {}


def short_names(names: Sequence[str], length: int = 26) -> list[str]:
    """Shorten and escape names so that they stay different.

    A long name keeps the part in which it differs from names with the same beginning.

    Args:
        names: Names of different things.
        length: Largest number of characters. Defaults to 26.

    Returns:
        One text per name. No two are the same: a number is appended where all else fails.
    """
    names = [str(name) for name in names]
    shared = _shared_prefixes(names)
    cut = [as_text(_shortened(name, shared[name], length), length) for name in names]
    total, seen = Counter(cut), Counter[str]()
    texts = []
    for text in cut:
        seen[text] += 1
        texts.append(text if total[text] == 1 else f"{text} {seen[text]}")
    return texts


def _shared_prefixes(names: Sequence[str]) -> dict[str, int]:
    """Return for every name the length of the longest prefix that it shares with another one.

    In sorted order, the name with the longest shared prefix is the one before or after.
    """
    ordered = sorted(set(names))
    shared = [0, *map(_shared_prefix, ordered, ordered[1:]), 0]
    return {name: max(shared[i : i + 2]) for i, name in enumerate(ordered)}


def _shortened(name: str, shared: int, length: int) -> str:
    """Cut out the middle that a long name shares with another, up to the word that differs.

    Args:
        name: The name to shorten.
        shared: Length of the prefix that it shares with another name.
        length: Largest number of characters.
    """
    phrase = max(name.rfind(sign, 0, shared) + 2 for sign in (", ", " ("))
    word = max(name.rfind(sign, 0, shared) + 1 for sign in " -_")
    start = phrase if phrase > 1 and shared - phrase < length // 2 else word
    if len(name) <= length or start <= length // 2:
        return name
    head = max(length // 3, length - 1 - (len(name) - start))
    return f"{name[:head].rstrip(' (,-_')}…{name[start:]}"


def _shared_prefix(one: str, other: str) -> int:
    """Return the length of the prefix that two names share."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def as_text(name: object, length: int = 26) -> str:
    """Shorten a name and escape it, because Plotly takes tags for markup."""
    text = str(name)
    text = text if len(text) <= length else text[: length - 1] + "…"
    return html.escape(text, quote=False)

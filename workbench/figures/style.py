"""What all figures share: margins, fonts, quiet axes, no upload button."""

import html
from collections import Counter
from collections.abc import Sequence

import plotly.graph_objects as go

from workbench.figures.palette import RUN_A

# Of st.plotly_chart and Figure.write_html: nothing is ever sent to a cloud.
CONFIG = {
    "displaylogo": False,
    "showSendToCloud": False,
    "modeBarButtonsToRemove": ["autoScale2d", "zoomIn2d", "zoomOut2d"],
    "toImageButtonOptions": {"format": "png", "scale": 2},
    "scrollZoom": False,
}
GRID = "rgba(128, 140, 152, 0.22)"
MODEBAR = 34  # pixels that the upright tool bar takes
QUIET = "rgba(128, 140, 152, 0.75)"


def styled(figure: go.Figure, *, height: int = 340, legend: bool = True) -> go.Figure:
    """Give a figure the workbench's look.

    Args:
        figure: Changed in place.
        height: Pixels.
        legend: Show the legend, in one line above the plot.

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
            "activecolor": RUN_A,
        },
    )
    axis = {"gridcolor": GRID, "zeroline": False, "automargin": True}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def whole_ticks(span: float) -> dict[str, int]:
    """Return the axis settings that keep the ticks of counts and steps at whole numbers.

    Args:
        span: How far the axis goes; a long one needs no help.
    """
    return {"dtick": 1} if span <= 20 else {}


def short_names(names: Sequence[str], length: int = 26) -> list[str]:
    """Shorten and escape names, each keeping the part that tells it from those that begin alike.

    Args:
        names: Names of different things.
        length: Longest text.

    Returns:
        One text per name, no two alike: where all else fails they get a number.
    """
    names = [str(name) for name in names]
    shared = _shared(names)
    cut = [as_text(_shortened(name, shared[name], length), length) for name in names]
    total, seen, texts = Counter(cut), Counter(), []
    for text in cut:
        seen[text] += 1
        texts.append(text if total[text] == 1 else f"{text} {seen[text]}")
    return texts


def _shared(names: Sequence[str]) -> dict[str, int]:
    """Count for every name the characters with which it and some other one begin alike.

    Among names in order, the one that begins most alike is a neighbor.
    """
    ordered = sorted(set(names))
    alike = [0, *map(_alike, ordered, ordered[1:]), 0]
    return {name: max(alike[i : i + 2]) for i, name in enumerate(ordered)}


def _shortened(name: str, shared: int, length: int) -> str:
    """Leave out the middle that a long name shares with another, up to the word that differs.

    Args:
        name: The name.
        shared: Characters with which it and another begin alike.
        length: Longest text.
    """
    phrase = max(name.rfind(sign, 0, shared) + 2 for sign in (", ", " ("))
    word = max(name.rfind(sign, 0, shared) + 1 for sign in " -_")
    start = phrase if phrase > 1 and shared - phrase < length // 2 else word
    if len(name) <= length or start <= length // 2:
        return name
    head = max(length // 3, length - 1 - (len(name) - start))
    return f"{name[:head].rstrip(' (,-_')}…{name[start:]}"


def _alike(one: str, other: str) -> int:
    """Count the characters with which two names begin alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def as_text(name: object, length: int = 26) -> str:
    """Shorten a name and escape it: Plotly would read tags in it as markup."""
    text = str(name)
    text = text if len(text) <= length else text[: length - 1] + "…"
    return html.escape(text, quote=False)

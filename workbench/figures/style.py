"""What all figures share: margins, fonts, quiet axes, no upload button."""

import html
from collections.abc import Sequence

import plotly.graph_objects as go

from workbench.palette import RUN_A

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
    """Shorten and escape names, keeping apart those that begin alike.

    Args:
        names: Names of different things.
        length: Longest text.

    Returns:
        One text per name. Names that a cut would make equal lose the middle that they share, and
        get a number where that is not enough.
    """
    names = [str(name) for name in names]
    cut = [as_text(name, length) for name in names]
    for text in {text for text in cut if cut.count(text) > 1}:
        same = [i for i, other in enumerate(cut) if other == text]
        first, last = (f(names[i] for i in same) for f in (min, max))
        pairs = enumerate(zip(first, last, strict=False))
        shared = next((at for at, (a, b) in pairs if a != b), min(len(first), len(last)))
        for i in same:
            head = names[i][: length // 2]
            starts = (names[i].rfind(sign, 0, shared) + len(sign) for sign in (", ", " (", " "))
            start = next((start for start in starts if start > len(head)), shared)
            cut[i] = as_text(f"{head}…{names[i][start:]}", length)
    return [
        text if cut.count(text) == 1 else f"{text} {cut[: i + 1].count(text)}"
        for i, text in enumerate(cut)
    ]


def as_text(name: object, length: int = 26) -> str:
    """Shorten a name and escape it: Plotly would read tags in it as markup."""
    text = str(name)
    text = text if len(text) <= length else text[: length - 1] + "…"
    return html.escape(text, quote=False)

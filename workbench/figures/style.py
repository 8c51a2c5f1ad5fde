"""What all figures share: margins, fonts, quiet axes, no upload button."""

import html

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
        margin={"l": 8, "r": 12, "t": 34 if legend else 12, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "title": ""},
        hoverlabel={"align": "left"},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": QUIET, "activecolor": RUN_A},
    )
    axis = {"gridcolor": GRID, "zeroline": False, "automargin": True}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def as_text(name: object, length: int = 26) -> str:
    """Shorten a name and escape it: Plotly would read tags in it as markup."""
    text = str(name)
    text = text if len(text) <= length else text[: length - 1] + "…"
    return html.escape(text, quote=False)

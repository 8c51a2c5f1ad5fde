"""Browser components: image cards, images over charts of points, and sortable tables."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

HERE = Path(__file__).parent
HEAD_HEIGHT, ROW_HEIGHT = 46, 32  # pixels, with room for a scroll bar below
MOST_ROWS = 14  # of a table with a reserved height: on a small screen, a taller place would scroll


@functools.lru_cache
def _register(name: str, html: str) -> ComponentRenderer:
    css = HERE / f"{name}.css"
    scripts = sorted(HERE.glob(f"{name}*.js"))  # a long script has several parts
    return st.components.v2.component(
        f"retrieval_{name}",
        html=html,
        css=css.read_text(encoding="utf-8") if css.exists() else None,
        js="\n".join(script.read_text(encoding="utf-8") for script in scripts),
    )


def image_cards(
    data: Mapping[str, Any], *, key: str, on_picked_change: Callable[[], None] | None = None
) -> None:
    """Draw groups and rows of image cards.

    Args:
        data: The groups and rows, see :mod:`workbench.components.gallery`.
        key: Key of this gallery, unique on the page.
        on_picked_change: Called when a card is clicked; ``picked`` of the component's state then
            holds ``row`` and ``run`` of the card. Defaults to None: clicks do nothing.
    """
    renderer = _register("cards", '<div class="cards"></div>')
    renderer(data=dict(data), key=key, on_picked_change=on_picked_change or _ignore)


def sortable_table(data: Mapping[str, Any], *, key: str) -> None:
    """Draw a small table that is sorted by a click on a column header.

    Our own, because ``st.dataframe`` draws a cell on a canvas in a single style, without the color
    dot, the muted spread and the bold best value of this table, and loads more than 1 MB of code
    before it shows anything.

    Args:
        data: ``alt``, a description for screen readers; ``columns``, a list of dicts with ``title``
            and, for numbers, ``number``; ``rows``, a list of lists of cells. A cell is a dict with
            ``text``, ``value`` (the sort key; None comes last) and optionally ``spread`` (shown
            after ±), ``best`` (shown bold), ``title`` (shown on hover) and ``color`` (of a dot
            before the text).
        key: Key of this table, unique on the page.
    """
    rows = len(data["rows"])
    # The height is reserved from the start, so that what is below does not move.
    height: int | Literal["content"]
    height = HEAD_HEIGHT + ROW_HEIGHT * rows if rows <= MOST_ROWS else "content"
    _register("table", '<div class="table"></div>')(data=dict(data), key=key, height=height)


def point_images(
    charts: Sequence[str],
    urls: Sequence[str],
    *,
    key: str,
    selected: int | None = None,
    neighbors: Sequence[Iterable[int]] = (),
    found: Iterable[int] = (),
    on_clicked_change: Callable[[], None] | None = None,
) -> None:
    """Add hover images, clicks and highlights to charts of points, without redrawing the charts.

    The first trace of each figure carries the items' rows as ``customdata``. While the pointer is
    on a point of one of several charts, the same item is ringed in the others.

    Args:
        charts: The ``key`` of each ``st.plotly_chart``.
        urls: URL of each chart's hover cards, to which the row is appended.
        key: Key of this component, unique on the page.
        selected: Row of the item to ring. By default, none.
        neighbors: For each chart, the rows to join to the selected item by lines.
        found: Rows to ring lightly (results of a search).
        on_clicked_change: Called when a point is clicked; ``clicked`` of the component's state then
            holds the point's ``row``. Defaults to None: clicks do nothing.
    """
    data = {
        "charts": list(charts),
        "urls": list(urls),
        "selected": selected,
        "neighbors": [[int(row) for row in rows] for rows in neighbors],
        "found": [int(row) for row in found],
    }
    renderer = _register("points", '<div class="anchor"></div>')
    renderer(data=data, key=key, on_clicked_change=on_clicked_change or _ignore)


def _ignore() -> None:
    """Do nothing: Streamlit passes on an event only where it has a callback."""

"""Small browser components: cards of images, images over charts of points, tables of figures."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
HEAD_HEIGHT, ROW_HEIGHT = 46, 32  # pixels, with room for a scroll bar below
MOST_ROWS_AT_ONCE = 14  # on a small screen, a higher place would scroll by itself


@functools.lru_cache
def _register(name: str, html: str):
    css = HERE / f"{name}.css"
    scripts = sorted(HERE.glob(f"{name}*.js"))  # a long one has parts
    return st.components.v2.component(
        f"retrieval_{name}",
        html=html,
        css=css.read_text(encoding="utf-8") if css.exists() else None,
        js="\n".join(script.read_text(encoding="utf-8") for script in scripts),
    )


def image_cards(
    data: dict, *, key: str, on_picked_change: Callable[[], None] | None = None
) -> None:
    """Draw groups and rows of image cards, described as :mod:`workbench.components.gallery` does.

    Args:
        data: JSON-like description of the rows and cards.
        key: Unique key of this gallery on the page.
        on_picked_change: Called when a card is clicked; ``picked`` of the component's state then
            holds ``row`` and ``run`` of the card. Defaults to None: clicks do nothing.
    """
    renderer = _register("cards", '<div class="cards"></div>')
    renderer(data=data, key=key, on_picked_change=on_picked_change or _ignore)


def sortable_table(data: dict, *, key: str) -> None:
    """Draw a small table that is sorted by a click on the head of a column.

    It is there at once, where ``st.dataframe`` loads 1.6 MB of code first.

    Args:
        data: ``alt``: what is in it, for those who do not see it; ``columns``: dicts with
            ``title`` and, where it holds figures, ``number``; ``rows``: lists of cells, dicts with
            ``text`` and ``value`` (what it is sorted by; None comes last) and perhaps ``spread``
            (shown after ±), ``best`` (shown bold), ``title`` (shown on hover) and ``color`` (of
            a dot before the text).
        key: Unique key of this table on the page.
    """
    rows = len(data["rows"])
    # A place of its size from the start, so that what is below does not move when it comes.
    height = HEAD_HEIGHT + ROW_HEIGHT * rows if rows <= MOST_ROWS_AT_ONCE else "content"
    _register("table", '<div class="table"></div>')(data=data, key=key, height=height)


def point_images(
    charts: Sequence[str],
    urls: Sequence[str],
    *,
    key: str,
    selected: int | None = None,
    neighbors: Sequence[Sequence[int]] = (),
    found: Sequence[int] = (),
    on_clicked_change: Callable[[], None] | None = None,
) -> None:
    """Give charts of points images on hover, clicks, and highlights that leave the view as it is.

    The first trace of each figure carries the item's row as ``customdata``. Hovering on a point of
    one of several charts rings the same item in the others.

    Args:
        charts: The ``key`` of each ``st.plotly_chart``.
        urls: Address of the hover cards of each chart, to which the row is appended.
        key: Unique key of this component on the page.
        selected: Row to ring, or None.
        neighbors: Of each chart, rows to join to the selected one by lines.
        found: Rows to ring lightly (search).
        on_clicked_change: Called when a point is clicked; ``clicked`` of the component's state then
            holds its ``row``. Defaults to None: clicks do nothing.
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

"""Small browser components: cards of images, and images on hover over a chart."""

import functools
from collections.abc import Callable
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent


@functools.lru_cache
def _register(name: str, html: str):
    css = HERE / f"{name}.css"
    return st.components.v2.component(
        f"retrieval_{name}",
        html=html,
        css=css.read_text(encoding="utf-8") if css.exists() else None,
        js=(HERE / f"{name}.js").read_text(encoding="utf-8"),
    )


def image_cards(data: dict, *, key: str, on_pick: Callable[[dict], None] | None = None) -> None:
    """Draw rows of image cards; see :mod:`workbench.gallery` for the shape of ``data``.

    Args:
        data: JSON-like description of the rows and cards.
        key: Unique key of this gallery on the page.
        on_pick: Called with ``{"row": int, "run": str}`` when a card is clicked.
    """

    def picked() -> None:
        choice = (st.session_state.get(key) or {}).get("picked")
        if choice and on_pick:
            on_pick(dict(choice))

    renderer = _register("cards", '<div class="cards"></div>')
    renderer(data=data, key=key, on_picked_change=picked)


def hover_images(chart_key: str, url: str, *, key: str) -> None:
    """Show an item's image while the pointer rests on a point of a Plotly chart.

    The first trace of the figure carries the item's row as ``customdata``.

    Args:
        chart_key: The ``key`` of the ``st.plotly_chart``.
        url: Address of hover cards, to which the row is appended.
        key: Unique key of this component on the page.
    """
    renderer = _register("hover", '<div class="anchor"></div>')
    renderer(data={"chart": chart_key, "url": url}, key=key, height="content")

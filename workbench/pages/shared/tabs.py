"""Tabs of which only the open one is computed."""

from collections.abc import Callable, Mapping

import streamlit as st

from workbench.session.url import Parameter


def lazy_tabs(parameter: Parameter[str], tabs: Mapping[str, Callable[[], None]]) -> None:
    """Draw tabs, and the content of the open one.

    Args:
        parameter: The URL parameter that holds the title of the open tab.
        tabs: Title of a tab -> function that draws its content. The first tab opens by default.
    """
    titles = list(tabs)
    parameter.keep(titles[0], titles)
    places = st.tabs(titles, key=parameter.key, on_change="rerun")
    for place, draw in zip(places, tabs.values(), strict=True):
        if place.open:
            with place:
                draw()

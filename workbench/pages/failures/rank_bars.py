"""The histogram of ranks of the first relevant item, which filters the queries: click a bar."""

import pandas as pd
import streamlit as st

from workbench import figures
from workbench.figures.style import CONFIG
from workbench.session.clicks import replace_charts, replaceable_key, selected_indices
from workbench.session.parameters import RANK

FADED = 0.3


def rank_bars(table: pd.DataFrame) -> tuple[int, int] | None:
    """Draw the histogram; the URL holds the chosen bar.

    Args:
        table: See :func:`workbench.analysis.failures.query_table`.

    Returns:
        Lowest and highest rank of the chosen bar, both 0 for the bar of queries without a relevant
        item in the gallery; None if no bar is chosen.
    """
    figure = figures.rank_histogram(table["first_relevant_rank"].to_numpy())
    bins = [(int(low), int(high)) for low, high in figure.data[0].customdata]
    lows = [low for low, _ in bins]
    rank = RANK.keep(None, lows)
    key = replaceable_key("rank_bars")
    if rank is not None:  # Plotly's own selection would not survive a reload
        faded = [1 if low == rank else FADED for low in lows]
        figure.update_traces(marker={"opacity": faded})
    # Plotly fails on a click if it has to derive these from several opacities.
    figure.update_traces(selected={"marker": {"opacity": 1}})
    figure.update_traces(unselected={"marker": {"opacity": FADED}})

    def choose() -> None:
        picked = [lows[i] for i in selected_indices(key)]
        _choose(picked[0] if picked and picked[0] != rank else None)

    with st.container(key="ranks"):
        st.plotly_chart(
            figure,
            config=CONFIG,
            key=key,
            on_select=choose,
            selection_mode="points",
            alt="Histogram of queries by the rank of their first relevant item",
        )
    return bins[lows.index(rank)] if rank is not None else None


def all_failures_button() -> None:
    """Draw the button that shows all failures again, as a second click on the bar does."""
    st.button(
        "All failures", icon=":material/close:", type="tertiary", on_click=_choose, args=(None,)
    )


def _choose(rank: int | None) -> None:
    RANK.set(rank)
    replace_charts()

"""The paired tests of the Overview: is the difference between two losses real?"""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.evaluation.significance import Comparison
from workbench import figures
from workbench.analysis.naming import UNTRAINED_TITLE
from workbench.analysis.significance import both_ways
from workbench.figures.style import CONFIG
from workbench.layout.theme import ink, plain
from workbench.pages.shared.significance import seeds_caveat
from workbench.session.cache import make_once
from workbench.session.selection import Selection

TEXT_WIDTH = 310  # pixels


def difference_matrix(compared: Comparison, **style: str) -> go.Figure:
    """Draw the difference of every pair of losses, see :func:`figures.difference_matrix`."""
    names = compared.summary["name"].tolist()
    return figures.difference_matrix(both_ways(compared.pairs), names, **style)


def evidence(
    chosen: Selection, table: pd.DataFrame, compared: Comparison, pairs: pd.DataFrame
) -> None:
    """Draw the matrix of paired tests and sum it up in one sentence.

    Args:
        chosen: The choices made in the sidebar.
        table: The losses, see :func:`workbench.analysis.tables.loss_table`.
        compared: The comparison of the losses; at least one pair.
        pairs: Its pairs, see :func:`workbench.analysis.significance.both_ways`.
    """
    st.subheader("Is the difference real?", anchor=False)
    summary, color = compared.summary, ink()
    with st.container(horizontal=True, gap="medium"):  # in a narrow window the text goes below
        st.plotly_chart(
            make_once(chosen, "Differences", lambda: difference_matrix(compared, ink=color), color),
            width="content",
            config=CONFIG,
            key="matrix",
            alt="Difference in Recall@1 of every pair of losses",
        )
        text = st.container(width=TEXT_WIDTH)
    with text:
        best = summary["name"].iloc[0]
        st.markdown(_sentence(best, pairs[pairs["a"] == best]))
        compared_here = table["group"].isin(summary["name"]) & (table["loss"] != UNTRAINED_TITLE)
        caveat = seeds_caveat([len(seeds) for seeds in table["seeds"][compared_here]])
        if caveat:
            st.markdown(f"This holds{caveat}.")
        st.caption(
            f"Each cell is the R@1 of its row minus the R@1 of its column, in percentage points, "
            f"over the same {compared.n_queries:,} queries of {compared.n_classes:,} classes. "
            "▲ better, ▼ worse: significant at the 5% level after Holm's correction for the "
            "number of pairs (paired bootstrap over classes, and over seeds where a loss has "
            "several). ≈: may be due to chance. Hover over a cell to see its interval, p-value "
            "and the numbers of queries won, tied and lost."
        )


def _sentence(best: str, pairs: pd.DataFrame) -> str:
    beaten = [plain(name) for name in pairs[pairs["verdict"] == "win"]["b"]]
    tied = [plain(name) for name in pairs[pairs["verdict"] == "tie"]["b"]]
    if not beaten:
        return f"**{plain(best)}** leads, but not significantly: {_join(tied)} may be as good."
    text = f"**{plain(best)}** is significantly better than {_join(beaten)}."
    return text + (f" Its lead over {_join(tied)} is not significant." if tied else "")


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]

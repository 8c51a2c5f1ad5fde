"""The paired tests of the Overview: is the difference between two losses real?"""

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.evaluation.metrics import metric
from retrieval.evaluation.significance import Comparison
from retrieval.report.verdicts import headline, pairs_family, plan_line, points, seeds_caveat
from workbench import figures
from workbench.analysis.naming import UNTRAINED_TITLE
from workbench.analysis.significance import both_ways
from workbench.figures.style import CONFIG
from workbench.layout.theme import ink, plain
from workbench.session.cache import make_once
from workbench.session.selection import Selection

TEXT_WIDTH = 310  # pixels


def difference_matrix(compared: Comparison, **style: str) -> go.Figure:
    """Draw the difference of every pair of losses, see :func:`figures.difference_matrix`."""
    names = compared.summary["name"].tolist()
    return figures.difference_matrix(both_ways(compared.pairs), names, compared.metric, **style)


def evidence(chosen: Selection, table: pd.DataFrame, compared: Comparison) -> None:
    """Say which loss is the best or may be, and draw the matrix of all pairs.

    Args:
        chosen: The choices made in the sidebar.
        table: The losses, see :func:`workbench.analysis.tables.loss_table`.
        compared: The comparison of the losses; at least one pair.
    """
    st.subheader("Is the difference real?", anchor=False)
    summary, color, shown = compared.summary, ink(), metric(compared.metric)
    with st.container(horizontal=True, gap="medium"):  # in a narrow window the text goes below
        st.plotly_chart(
            make_once(chosen, "Differences", lambda: difference_matrix(compared, ink=color), color),
            width="content",
            config=CONFIG,
            key="matrix",
            alt=f"Difference in {shown.long_title} of every pair of losses",
        )
        text = st.container(width=TEXT_WIDTH)
    with text:
        st.markdown(plain(f"{headline(compared)}."))
        unit = f", in percentage{points(shown)}" if shown.is_percent else ""
        cells = f"Each cell is the {shown.title} of its row minus that of its column{unit}"
        if compared.no_claim:
            st.caption(plain(f"{cells}."))
            return
        compared_here = table["group"].isin(summary["name"]) & (table["loss"] != UNTRAINED_TITLE)
        caveat = seeds_caveat([len(seeds) for seeds in table["seeds"][compared_here]])
        if caveat:
            st.markdown(f"This holds{caveat}.")
        at_once = "The matrix judges every pair at once, so it finds less than the comparisons "
        at_once = f"{at_once}with the best above. " if len(compared.pairs) > 1 else ""
        over = "queries" if compared.unit == "query" else "classes"
        st.caption(
            f"{cells}, over the same {compared.queries}. "
            f"▲ better, ▼ worse: the 95% interval, {pairs_family(compared)}, excludes 0 (paired "
            f"bootstrap over {over}, and over seeds where a loss has several). ≈: may be due to "
            f"chance. {at_once}Hover over a cell to see its interval, p-value and the numbers "
            "of queries won, tied and lost."
        )
        first, second = summary["name"][:2]
        line = plan_line(compared.plan(first, second), shown, compared.unit)
        st.caption(plain(f"{line[0].upper()}{line[1:]}."))

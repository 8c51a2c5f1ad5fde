"""What a page shows in place of a map that is not there or is damaged."""

from collections.abc import Sequence

import streamlit as st

from retrieval.runs.run import Run
from workbench.data.projections import fault
from workbench.layout.theme import plain


def no_map(runs: Sequence[Run]) -> None:
    """Say for each run why there is no map of it, and how to make one.

    Args:
        runs: Without a usable projection.
    """
    for run in runs:
        reason = fault(run)
        if reason:
            st.warning(f"The map of **{plain(run.name)}** is damaged: {plain(reason)}.")
        else:
            st.info(f"**{plain(run.name)}** has no map yet.")
    st.markdown("The app never computes one; make it with:")
    st.code("\n".join(f"retrieval evaluate {run.path}" for run in runs), language="bash")

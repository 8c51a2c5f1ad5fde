"""The message that a page shows instead of a map that is missing or damaged."""

import shlex
from collections.abc import Sequence

import streamlit as st

from retrieval.runs.run import NO_EMBEDDINGS, Run
from retrieval.storage.addresses import shown
from workbench.data.projections import fault
from workbench.layout.theme import plain


def no_map(runs: Sequence[Run]) -> None:
    """Say for each run why it has no map, and how to make one.

    Args:
        runs: Runs without a usable projection.
    """
    for run in runs:
        if not run.has_embeddings:
            st.info(f"**{plain(run.name)}** has no map: {NO_EMBEDDINGS}.")
    runs = [run for run in runs if run.has_embeddings]
    if not runs:
        return
    for run in runs:
        reason = fault(run)
        if reason:
            st.warning(f"The map of **{plain(run.name)}** is damaged: {plain(reason)}.")
        else:
            st.info(f"**{plain(run.name)}** has no map yet.")
    st.markdown("The app does not compute maps. Make them with:")
    st.code(
        "\n".join(f"retrieval evaluate {shlex.quote(shown(run.path))}" for run in runs),
        language="bash",
    )

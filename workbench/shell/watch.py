"""Notice without a reload that a run is finished, or that a training begins or ends."""

import streamlit as st

from retrieval.errors import counted
from retrieval.runs.live import RUNNING, TRAINING, Training
from workbench.data.trainings import Scene, looks_every, scene, trainings
from workbench.session.state import Value

FIRST_EVERY = 4.0  # seconds between two looks while there are no runs: a newcomer waits for one
SEEN = Value[Scene | None]("_scene", None)  # what there was when the script was last run as a whole


def watch(page: st.Page) -> None:
    """Say in the sidebar that trainings go on, and draw the page again when one has ended.

    While nothing goes on, nothing is looked at.

    Args:
        page: The page of the trainings.
    """
    found = trainings()
    SEEN.set(scene(found))
    with st.sidebar:
        st.fragment(_look, run_every=looks_every(found))(page)


def watch_for_first() -> None:
    """Draw the page again when the first run is there, or the first training begins."""
    found = trainings()
    SEEN.set(scene(found))
    st.fragment(_look, run_every=looks_every(found) or FIRST_EVERY)(None)


def _look(page: st.Page | None) -> None:
    found = trainings()
    if scene(found) != SEEN.get():
        st.rerun()  # with what is chosen now
    going = [each for each in found if each.is_alive]
    if page is not None and going:
        st.page_link(page, label=_words(going), icon=":material/progress_activity:")


def _words(going: list[Training]) -> str:
    """Return what goes on, in a few words."""
    running = [each for each in going if each.state == RUNNING]
    lives = [each.live for each in running if each.live is not None and each.live.steps]
    if len(running) == 1 and lives:
        live = lives[0]  # in words that the sidebar's width has room for
        if live.stage != TRAINING:
            return f"1 training: {live.stage}"
        return f"Training: step {live.step:,} of {live.steps:,}"
    return counted(len(running or going), "training") + " in progress"

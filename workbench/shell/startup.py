"""Open the runs while the browser still loads the page."""

import contextlib
import threading
from collections.abc import AsyncIterator

import streamlit as st

from workbench.data.loading import load_runs
from workbench.data.memory import keep_for_good
from workbench.pages.overview.evidence import compare_early


@contextlib.asynccontextmanager
async def open_runs_early(app: st.App) -> AsyncIterator[dict]:
    """Import the pages, open and compare the runs while the browser loads (a lifespan).

    Args:
        app: The app that starts.

    Yields:
        No state.
    """

    def work() -> None:
        compare_early(load_runs()[0])
        keep_for_good()

    threading.Thread(target=work, daemon=True).start()
    yield {}

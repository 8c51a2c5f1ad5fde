"""Open the runs while the browser is still loading the page."""

import contextlib
import threading
from collections.abc import AsyncIterator

import streamlit as st

from workbench.data.hosts import allow_own_hosts
from workbench.data.loading import load_runs
from workbench.data.memory import freeze_garbage_collection
from workbench.pages.shared.significance import compare_default_views


@contextlib.asynccontextmanager
async def open_runs_early(app: st.App) -> AsyncIterator[dict]:
    """Import the pages, open the runs and compare them in a thread (a lifespan of the app).

    Args:
        app: The app that starts.

    Yields:
        An empty state.
    """
    allow_own_hosts()

    def work() -> None:
        compare_default_views(load_runs()[0])
        freeze_garbage_collection()

    threading.Thread(target=work, daemon=True).start()
    yield {}

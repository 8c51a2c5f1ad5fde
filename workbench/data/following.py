"""Runs at a URL: bring what is on this machine up to date while somebody looks at the app."""

import contextlib
import threading
import time
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from retrieval.failures import as_user_error
from retrieval.runs.mirrors import refresh
from retrieval.storage.addresses import address_of, in_urls

EVERY = 15.0  # seconds between two looks at a URL


class _Follower:
    """Looks at a URL again and again, in a thread of its own after the first time.

    Attributes:
        problem: Why the last look failed, in one line; empty if it did not.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.problem = root, ""
        self._lock = threading.Lock()
        self._looked: float | None = None

    def look(self) -> None:
        """Look at the URL, unless that was done a moment ago or is being done.

        The first look is waited for, also by other sessions: without it there is nothing to show.
        """
        if self._looked is None:
            with self._lock:
                if self._looked is None:
                    words = f"Fetching runs from {address_of(self.root)}"
                    is_page = get_script_run_ctx(suppress_warning=True) is not None
                    with st.spinner(words) if is_page else contextlib.nullcontext():
                        self._refresh()
        elif time.monotonic() - self._looked > EVERY and self._lock.acquire(blocking=False):
            threading.Thread(target=self._refresh_and_release, daemon=True).start()

    def _refresh_and_release(self) -> None:
        try:
            self._refresh()
        finally:
            self._lock.release()

    def _refresh(self) -> None:
        try:
            refresh(self.root, show=False)
            self.problem = ""
        except Exception as error:
            shown = as_user_error(error)
            if shown is None:
                raise
            self.problem = in_urls(str(shown))
        finally:
            self._looked = time.monotonic()


@st.cache_resource(show_spinner=False)
def _follower(root: str) -> _Follower:
    return _Follower(Path(root))


def follow(root: Path) -> None:
    """Bring the runs that a folder stands for up to date, if that was not done a moment ago.

    The first call waits; later ones have it done in the background, and what has changed is there
    when a page is drawn again.

    Args:
        root: Folder of runs; a plain one is left alone.
    """
    if address_of(root) is not None:
        _follower(str(root)).look()


def problem_of(root: Path) -> str:
    """Return why the runs at a URL could not be brought up to date, in one line.

    Args:
        root: Folder of runs.

    Returns:
        The line; empty if there is no problem, or the folder is a plain one.
    """
    return "" if address_of(root) is None else _follower(str(root)).problem

"""Runs that are replaced or removed while a page reads them."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Concatenate, ParamSpec

import streamlit as st

from retrieval.errors import UserError
from retrieval.runs.run import Run
from workbench.session.selection import Selection

P = ParamSpec("P")


@contextlib.contextmanager
def reopening(runs: Iterable[Run]) -> Iterator[None]:
    """Start the script again, with runs opened anew, if reading one fails because it has changed.

    Args:
        runs: The runs that the block reads.

    Yields:
        Nothing.
    """
    try:
        yield
    except (UserError, OSError):
        if not any(run.has_changed() for run in runs):
            raise
        st.rerun()


def fragment(
    draw: Callable[Concatenate[Selection, P], None],
) -> Callable[Concatenate[Selection, P], None]:
    """Make a function that draws from a selection a fragment, whose errors are its own.

    Args:
        draw: Draws a part of a page.
    """

    @st.fragment
    @functools.wraps(draw)
    def drawn(chosen: Selection, *args: P.args, **kwargs: P.kwargs) -> None:
        with reopening(chosen.runs):
            draw(chosen, *args, **kwargs)

    return drawn

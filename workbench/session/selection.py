"""What is being looked at: data set, runs A and B, protocol and K; the item is in ``trail``.

What is made once for all sessions: tables and figures took half of the Overview's time.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import streamlit as st

from retrieval.runs.run import Neighbors, Run
from workbench.data.comparable import comparable_groups, setting_apart
from workbench.data.loading import load_neighbors, protocols_of, stamp


@dataclass(frozen=True)
class Selection:
    """The sidebar's choice.

    Attributes:
        dataset: Name of the data set.
        runs: Every readable run of it: those that can be compared together, best first under the
            chosen protocol.
        a: The run looked at.
        b: A second run to compare with, or None.
        protocol: Name of the protocol all numbers are under.
        protocol_title: Its readable title.
        k: How many results are shown.
    """

    dataset: str
    runs: list[Run]
    a: Run
    b: Run | None
    protocol: str
    protocol_title: str
    k: int

    @property
    def neighbors(self) -> Neighbors:
        """Neighbors of run A under the chosen protocol."""
        return load_neighbors(self.a, self.protocol)

    @functools.cached_property
    def comparable(self) -> list[Run]:
        """Runs whose numbers may stand beside run A's, best first."""
        return [run for run in self.scored if not self._apart(run)]

    @functools.cached_property
    def scored(self) -> list[Run]:
        """Runs evaluated under a protocol of the chosen name, best first."""
        return [run for run in self.runs if self.protocol in protocols_of(run)]

    @functools.cached_property
    def others(self) -> list[tuple[str, list[Run]]]:
        """Scored runs that are not comparable with run A: what sets them apart, and who shares it.

        The runs of one entry are comparable with each other.
        """
        apart = [run for run in self.scored if self._apart(run)]
        return [(self._apart(group[0]), group) for group in comparable_groups(apart, self.protocol)]

    @functools.cached_property
    def stamps(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Path of every run, and when its files were written: tells it from one written anew."""
        return tuple((str(run.path), stamp(run.path)) for run in self.runs)

    def _apart(self, run: Run) -> str:
        return setting_apart(run, self.a, self.protocol)


def first_protocol(runs: list[Run]) -> tuple[str, dict[str, str]]:
    """Return the protocol that is shown first, and the titles of all protocols of some runs."""
    titles: dict[str, str] = {}
    for run in runs:
        for name, title in protocols_of(run).items():
            titles.setdefault(name, title)
    return next(iter(titles)), titles


def selection() -> Selection:
    """Return the selection that the sidebar made in this run of the script."""
    return st.session_state["selection"]


T = TypeVar("T")


def kept(chosen: Selection, title: str, make: Callable[[], T], style: str = "") -> T:
    """Make something of the comparable runs, or return it if it was made before.

    Args:
        chosen: What is being looked at; a run that is written anew counts as another.
        title: Tells it from others of the same runs.
        make: Makes it, from the runs and the protocol alone.
        style: What else it depends on, e.g. the color of a figure's text.

    Returns:
        What was made; it is shared: not to be changed.
    """
    shown = tuple(run.name for run in chosen.comparable)
    return _kept(make, (title, style, chosen.protocol, shown, chosen.stamps))


@st.cache_resource(show_spinner=False, max_entries=128)
def _kept(_make: Callable[[], object], key: tuple) -> object:
    return _make()

"""What is being looked at: data set, runs A and B, protocol and K; the item is in ``trail``."""

import functools
from dataclasses import dataclass

import streamlit as st

from retrieval.runs import Neighbours, Run
from workbench import address
from workbench.comparable import comparable_groups, setting_apart
from workbench.loading import load_neighbours, protocols_of, stamp
from workbench.tables import run_order
from workbench.trail import current_item, forget_items, go_to

__all__ = ["Selection", "current_item", "first_protocol", "go_to", "selection", "sidebar"]

KS = (5, 10, 20, 50)
NO_RUN = "none"


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
    def neighbours(self) -> Neighbours:
        """Neighbours of run A under the chosen protocol."""
        return load_neighbours(self.a, self.protocol)

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


def sidebar(runs: list[Run]) -> Selection:
    """Draw the sidebar's choices and return them.

    Args:
        runs: All readable runs, at least one.

    Returns:
        The selection.
    """
    datasets = sorted({run.dataset for run in runs})
    with st.sidebar:
        address.keep("data", _newest(runs), datasets, always=True)
        dataset = st.selectbox("Data set", datasets, key="data", on_change=forget_items)
        mine = [run for run in runs if run.dataset == dataset]
        protocol, title = _choose_protocol(mine)
        scored = [run for run in run_order(mine, protocol) if protocol in protocols_of(run)]
        groups = comparable_groups(scored, protocol)
        ordered = [run for group in groups for run in group]
        a, b = _choose_runs(groups, protocol)
        address.keep("k", 10, KS, parse=int)
        k = st.segmented_control("Results shown, K", KS, key="k", required=True)
    others = [run for run in mine if run not in ordered]
    return Selection(dataset, [*ordered, *others], a, b, protocol, title, int(k or 10))


def _choose_runs(groups: list[list[Run]], protocol: str) -> tuple[Run, Run | None]:
    ordered = [run for group in groups for run in group]
    by_name = {run.name: run for run in ordered}
    titles = _titles(groups, protocol)
    address.keep("a", ordered[0].name, list(by_name), always=True)
    best = "Best first" if len(groups) == 1 else "Best first among those that can be compared"
    a = st.selectbox(
        "Run A",
        list(by_name),
        key="a",
        format_func=titles.get,
        help=f"The run every page looks at. {best}.",
    )
    other = _other_loss(ordered, by_name[a], protocol)
    address.keep("b", other, [NO_RUN, *by_name], always=True)
    b = st.selectbox(
        "Run B",
        [NO_RUN, *by_name],
        key="b",
        format_func=lambda name: titles.get(name, name),
        help="A second run to compare with.",
    )
    return by_name[a], by_name.get(b)


def _titles(groups: list[list[Run]], protocol: str) -> dict[str, str]:
    """Return the name of every run, with what sets it apart from the first group."""
    apart = {
        run: setting_apart(group[0], groups[0][0], protocol) for group in groups for run in group
    }
    return {run.name: f"{run.name} ({why})" if why else run.name for run, why in apart.items()}


def _newest(runs: list[Run]) -> str:
    return max(runs, key=lambda run: run.path.stat().st_mtime).dataset


def first_protocol(runs: list[Run]) -> tuple[str, dict[str, str]]:
    """Return the protocol that is shown first, and the titles of all protocols of some runs."""
    titles: dict[str, str] = {}
    for run in runs:
        for name, title in protocols_of(run).items():
            titles.setdefault(name, title)
    return next(iter(titles)), titles


def _choose_protocol(runs: list[Run]) -> tuple[str, str]:
    first, titles = first_protocol(runs)
    address.keep("protocol", first, list(titles), always=True)
    if len(titles) > 1:
        st.segmented_control(
            "Protocol",
            list(titles),
            format_func=titles.get,
            key="protocol",
            required=True,
            help="Which items are queries, and which gallery they search. Numbers under different "
            "protocols are never mixed.",
        )
    name = st.session_state["protocol"] or first
    return name, titles[name]


def _other_loss(ordered: list[Run], a: Run, protocol: str) -> str:
    """Return the best run with another loss than A's, else another run, else none.

    Runs that are comparable with A come first.
    """
    mine = (a.config.get("settings") or {}).get("loss")
    others = [run for run in ordered if run.name != a.name]
    others = [run for run in others if not setting_apart(run, a, protocol)] or others
    for run in others:
        if (run.config.get("settings") or {}).get("loss") != mine:
            return run.name
    return others[0].name if others else NO_RUN


def selection() -> Selection:
    """Return the selection that the sidebar made in this run of the script."""
    return st.session_state["selection"]

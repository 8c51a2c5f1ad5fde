"""What is being looked at: data set, runs A and B, protocol, K and item, kept in the URL.

Data set, runs, protocol and K are sidebar widgets bound to query parameters. The item is moved by
clicks, so it is kept here: the session remembers it across pages, the URL wins when it changes
(a link, a reload, the browser's back button).
"""

from dataclasses import dataclass

import streamlit as st

from retrieval.runs import Neighbours, Run
from workbench.loading import load_neighbours, protocols_of
from workbench.tables import run_order

KS = (5, 10, 20, 50)
NO_RUN = "none"
TRAIL_LENGTH = 50


@dataclass(frozen=True)
class Selection:
    """The sidebar's choice.

    Attributes:
        dataset: Name of the data set.
        runs: Every readable run of it, best first under the chosen protocol.
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

    @property
    def comparable(self) -> list[Run]:
        """Runs evaluated under the chosen protocol, best first."""
        return [run for run in self.runs if self.protocol in protocols_of(run)]


def sidebar(runs: list[Run]) -> Selection:
    """Draw the sidebar's choices and return them.

    Args:
        runs: All readable runs, at least one.

    Returns:
        The selection.
    """
    datasets = sorted({run.dataset for run in runs})
    with st.sidebar:
        dataset = st.selectbox(
            "Data set", datasets, key="data", bind="query-params", persist_state="session"
        )
        mine = [run for run in runs if run.dataset == dataset]
        titles = _protocol_titles(mine)
        protocol = _choose_protocol(titles)
        ordered = run_order(mine, protocol)
        by_name = {run.name: run for run in ordered}
        a = st.selectbox(
            "Run A",
            list(by_name),
            key="a",
            bind="query-params",
            persist_state="session",
            help="The run that every page looks at. Best first.",
        )
        b = st.selectbox(
            "Run B",
            [NO_RUN, *by_name],
            index=_other_loss(ordered, by_name[a]),
            key="b",
            bind="query-params",
            persist_state="session",
            help="A second run to compare with.",
        )
        k = st.segmented_control(
            "Results shown, K",
            KS,
            default=10,
            key="k",
            bind="query-params",
            persist_state="session",
            required=True,
        )
    return Selection(
        dataset, ordered, by_name[a], by_name.get(b), protocol, titles[protocol], int(k or 10)
    )


def _protocol_titles(runs: list[Run]) -> dict[str, str]:
    titles: dict[str, str] = {}
    for run in runs:
        for name, title in protocols_of(run).items():
            titles.setdefault(name, title)
    return titles


def _choose_protocol(titles: dict[str, str]) -> str:
    if len(titles) == 1:
        return next(iter(titles))
    by_title = {title: name for name, title in titles.items()}
    chosen = st.segmented_control(
        "Protocol",
        list(by_title),
        default=next(iter(by_title)),
        key="protocol",
        bind="query-params",
        persist_state="session",
        required=True,
        help="Which items are queries, and which gallery they search. Numbers under different "
        "protocols are never mixed.",
    )
    return by_title[chosen or next(iter(by_title))]


def _other_loss(ordered: list[Run], a: Run) -> int:
    """Return the position, among [none, *runs], of the best run with another loss than A's."""
    mine = (a.config.get("settings") or {}).get("loss")
    for i, run in enumerate(ordered):
        if run.name != a.name and (run.config.get("settings") or {}).get("loss") != mine:
            return i + 1
    return 0


def current_item(n_items: int) -> int | None:
    """Return the selected item's row, from the URL or the session; None if none is selected.

    Args:
        n_items: Number of items of run A; a row beyond it counts as no selection.

    Returns:
        A valid row or None.
    """
    in_url = st.query_params.get("item")
    if in_url is not None and in_url != st.session_state.get("item_in_url"):
        st.session_state["item"] = int(in_url) if in_url.isascii() and in_url.isdigit() else None
        st.session_state["item_in_url"] = in_url
    row = st.session_state.get("item")
    return row if row is not None and 0 <= row < n_items else None


def show_in_url(row: int) -> None:
    """Write the selected item to the URL, so that the address can be shared."""
    st.session_state["item"] = row
    st.session_state["item_in_url"] = str(row)
    if st.query_params.get("item") != str(row):
        st.query_params["item"] = str(row)


def go_to(row: int) -> None:
    """Select another item (for callbacks) and remember the one before, for Back."""
    before = st.session_state.get("item")
    if before is not None and before != row:
        trail = st.session_state.setdefault("trail", [])
        trail.append(before)
        del trail[:-TRAIL_LENGTH]
    st.session_state["item"] = int(row)


def go_back() -> None:
    """Select the item that was selected before (for callbacks)."""
    trail = st.session_state.get("trail") or []
    if trail:
        st.session_state["item"] = trail.pop()


def can_go_back() -> bool:
    """Tell whether there is an item to go back to."""
    return bool(st.session_state.get("trail"))


def selection() -> Selection:
    """Return the selection that the sidebar made in this run of the script."""
    return st.session_state["selection"]

"""The sidebar: data set, runs A and B, protocol and K."""

import streamlit as st

from retrieval.runs.run import Run
from workbench.analysis.tables import run_order
from workbench.data.comparable import comparable_groups, setting_apart
from workbench.data.loading import protocols_of
from workbench.session import url as address
from workbench.session.selection import Selection, first_protocol
from workbench.session.trail import forget_items

KS = (5, 10, 20, 50)
NO_RUN = "none"


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

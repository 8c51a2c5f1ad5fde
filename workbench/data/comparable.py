"""Which runs may share a table with a run: the rule is that of the report."""

import streamlit as st

from retrieval.report.sections import protocol_facts
from retrieval.runs.run import Run
from workbench.analysis.comparison import difference_of_items
from workbench.data.loading import stamp

OTHER_ITEMS = "other items"


def setting_apart(run: Run, reference: Run, protocol: str) -> str:
    """Say what a run's protocol has that the reference's has not. Cached.

    Args:
        run: Evaluated under the protocol.
        reference: The same.
        protocol: Name; two protocols of one name may still differ, e.g. in their distance.

    Returns:
        A few words such as ``euclidean distance``; empty if the numbers can be compared.
    """
    if run.path == reference.path:
        return ""
    key = (protocol, str(run.path), stamp(run.path), str(reference.path), stamp(reference.path))
    return _setting_apart(run, reference, key)


@st.cache_data(show_spinner=False, max_entries=1024)
def _setting_apart(_run: Run, _reference: Run, key: tuple) -> str:
    mine, theirs = (protocol_facts(run.result(key[0])) for run in (_run, _reference))
    differing = [name for name in mine if mine[name] != theirs[name]]
    if "distance" in differing:
        differing = [name for name in differing if name != "normalized"]  # it follows
    sizes = any(name.startswith("n_") for name in differing)
    parts = [_words(name, mine[name]) for name in differing if not name.startswith("n_")]
    if sizes or difference_of_items(_run, _reference):
        parts.append(OTHER_ITEMS)
    return ", ".join(parts)


def comparable_groups(runs: list[Run], protocol: str) -> list[list[Run]]:
    """Sort runs into groups whose numbers can be compared, the largest group first.

    Args:
        runs: Evaluated under the protocol, best first.
        protocol: Name.

    Returns:
        Groups, each in the order that was given.
    """
    groups: list[list[Run]] = []
    for run in runs:
        for group in groups:
            if not setting_apart(run, group[0], protocol):
                group.append(run)
                break
        else:
            groups.append([run])
    return sorted(groups, key=len, reverse=True)


def _words(name: str, value: str) -> str:
    if name == "distance":
        return f"{value} distance"
    if name == "normalized":
        return "normalized" if value == "True" else "not normalized"
    return f"{name.replace('_', ' ')}: {value}"

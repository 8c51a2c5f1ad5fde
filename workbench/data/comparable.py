"""Decide which runs may share a table, by the same rule as the report."""

import streamlit as st

from retrieval.evaluation.protocol import ORDER, SCORES
from retrieval.report.sections import protocol_facts
from retrieval.runs.run import Run
from workbench.analysis.comparison import difference_of_items
from workbench.data.loading import stamp

OTHER_ITEMS = "other items"
NO_LABELS = "no labels, so no figures that need to know what is relevant"
WITH_LABELS = "labels, which the other runs lack"


def protocol_difference(run: Run, reference: Run, protocol: str) -> str:
    """Describe how the protocol of a run differs from that of a reference run. Cached.

    Args:
        run: A run that was evaluated under the protocol.
        reference: Another run that was evaluated under it.
        protocol: Name of the protocol. Two protocols of one name can still differ, for example in
            their distance.

    Returns:
        A few words about the run, such as ``euclidean distance``; empty if the two runs can be
        compared.
    """
    if run.path == reference.path:
        return ""
    key = (protocol, str(run.path), stamp(run.path), str(reference.path), stamp(reference.path))
    return _protocol_difference(run, reference, key)


@st.cache_resource(show_spinner=False, max_entries=1024)
def _protocol_difference(_run: Run, _reference: Run, key: tuple) -> str:
    mine, theirs = (protocol_facts(run.result(key[0])) for run in (_run, _reference))
    differing = [name for name in mine if mine[name] != theirs[name]]
    if "distance" in differing:
        # Whether embeddings are normalized follows from the distance.
        differing = [name for name in differing if name != "normalized"]
    if _run.has_labels != _reference.has_labels:
        return WITH_LABELS if _run.has_labels else NO_LABELS
    sizes = any(name.startswith("n_") for name in differing)
    parts = [_words(name, mine[name]) for name in differing if not name.startswith("n_")]
    if sizes or difference_of_items(_run, _reference):
        parts.append(OTHER_ITEMS)
    return ", ".join(parts)


def comparable_groups(runs: list[Run], protocol: str) -> list[list[Run]]:
    """Divide runs into groups whose metrics can be compared.

    Args:
        runs: Runs that were evaluated under the protocol.
        protocol: Name of the protocol.

    Returns:
        Groups, the largest first; each keeps the order of the runs.
    """
    groups: list[list[Run]] = []
    for run in runs:
        for group in groups:
            if not protocol_difference(run, group[0], protocol):
                group.append(run)
                break
        else:
            groups.append([run])
    return sorted(groups, key=len, reverse=True)


def _words(name: str, value: str) -> str:
    if name == "distance":
        return "ranked lists" if value in (SCORES, ORDER) else f"{value} distance"
    if name == "normalized":
        return "normalized" if value == "True" else "not normalized"
    return f"{name.replace('_', ' ')}: {value}"

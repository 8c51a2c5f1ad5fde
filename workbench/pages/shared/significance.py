"""Cached comparison of Recall@1 between losses, tested on the same queries."""

import numpy as np
import streamlit as st

from retrieval.evaluation.significance import Comparison, compare
from retrieval.runs.run import Run
from workbench.analysis.comparison import difference_of_items
from workbench.analysis.tables import loss_table, results_table, run_order
from workbench.data.comparable import comparable_groups
from workbench.data.loading import stamp
from workbench.session.selection import Selection, first_protocol


def compare_groups(chosen: Selection, groups: dict[str, list[Run]]) -> Comparison | None:
    """Compare the Recall@1 of groups of runs on the same queries.

    Args:
        chosen: The choices made in the sidebar; runs with other items than run A are excluded.
        groups: Title of a group, e.g. a loss -> its runs, one per seed.

    Returns:
        The comparison, which is cached; None if no group can be compared.
    """
    with st.spinner("Comparing the losses …", show_time=False):
        return _compare_cached(chosen.a, chosen.protocol, groups)


def compare_default_views(runs: list[Run]) -> None:
    """Fill the cache with the comparisons that the Overview of each data set opens with.

    Args:
        runs: All readable runs.
    """
    for dataset in {run.dataset for run in runs}:
        of_dataset = [run for run in runs if run.dataset == dataset]
        protocol, _ = first_protocol(of_dataset)
        ordered = [run for run in run_order(of_dataset, protocol) if protocol in run.results]
        ordered = comparable_groups(ordered, protocol)[0]
        table = loss_table(results_table(ordered, protocol, among=of_dataset))
        by_name = {run.name: run for run in ordered}
        groups = {row.group: [by_name[name] for name in row.runs] for row in table.itertuples()}
        _compare_cached(ordered[0], protocol, groups)


def _compare_cached(
    reference: Run, protocol: str, groups: dict[str, list[Run]]
) -> Comparison | None:
    key = tuple(
        (name, tuple((run.name, stamp(run.path)) for run in runs)) for name, runs in groups.items()
    )
    return _compare(groups, reference, str(reference.path), protocol, key)


@st.cache_resource(show_spinner=False, max_entries=64)
def _compare(
    _groups: dict[str, list[Run]], _reference: Run, path: str, protocol: str, key: tuple
) -> Comparison | None:
    scores, classes = {}, None
    for name, runs in _groups.items():
        same = [run for run in runs if difference_of_items(_reference, run) is None]
        found = [run.neighbors(protocol) for run in same]
        if found:
            rule = same[0].result(protocol).protocol.no_positive
            scores[name] = np.stack([n.hits_at_one(rule) for n in found])
            classes = _reference.items["label"].to_numpy()[found[0].queries]
    if not scores or np.isnan(next(iter(scores.values()))).all():
        return None
    return compare(scores, classes)

"""Cached comparison of losses by any metric, tested on the same queries."""

import streamlit as st

from retrieval.evaluation.metrics import HEADLINE
from retrieval.evaluation.significance import Comparison
from retrieval.report.comparing import compare_losses
from retrieval.runs.run import Run
from workbench.analysis.tables import groups_of, loss_table, results_table, run_order
from workbench.data.comparable import comparable_groups
from workbench.data.loading import stamp
from workbench.session.selection import Selection, first_protocol


def compare_groups(chosen: Selection, groups: dict[str, list[Run]]) -> Comparison | None:
    """Compare groups of runs by the chosen metric on the same queries.

    Args:
        chosen: The choices made in the sidebar.
        groups: Title of a group, e.g. a loss -> its runs, one per seed, which are comparable with
            run A.

    Returns:
        The comparison, which is cached; None if there is nothing to compare.
    """
    with st.spinner("Comparing the losses …", show_time=False):
        return _compare_cached(chosen.protocol, chosen.metric, groups)


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
        results = results_table(ordered, protocol, among=of_dataset)
        groups = groups_of(loss_table(results, ordered, protocol), ordered)
        _compare_cached(protocol, HEADLINE, groups)


def _compare_cached(protocol: str, metric: str, groups: dict[str, list[Run]]) -> Comparison | None:
    key = tuple(
        (name, tuple((str(run.path), stamp(run.path)) for run in runs))
        for name, runs in groups.items()
    )
    return _compare(groups, protocol, metric, key)


@st.cache_resource(show_spinner=False, max_entries=64)
def _compare(
    _groups: dict[str, list[Run]], protocol: str, metric: str, key: tuple
) -> Comparison | None:
    if not _groups:
        return None
    compared = compare_losses(_groups, protocol, metric)
    return compared if compared.n_queries else None

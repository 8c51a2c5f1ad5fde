"""Is the difference real? Every pair of losses, tested on the same queries."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.evaluation.significance import Comparison, compare
from retrieval.runs.run import Run
from workbench import figures
from workbench.analysis.comparison import difference_of_items
from workbench.analysis.naming import UNTRAINED
from workbench.analysis.significance import both_ways, rank_one_hits
from workbench.analysis.tables import loss_table, results_table, run_order
from workbench.data.comparable import comparable_groups
from workbench.data.loading import load_neighbors, protocols_of, stamp
from workbench.figures.style import CONFIG
from workbench.layout.theme import ink, plain
from workbench.session.cache import make_once
from workbench.session.selection import Selection, first_protocol

TEXT_WIDTH = 310  # pixels


def compare_groups(chosen: Selection, groups: dict[str, list[Run]]) -> Comparison | None:
    """Compare losses on the same queries, seeds together. Cached.

    Args:
        chosen: What is being looked at; runs whose items are not run A's are left out.
        groups: Loss -> its runs, one per seed.

    Returns:
        The comparison of Recall@1, or None if nothing can be compared.
    """
    with st.spinner("Testing every pair of losses …", show_time=False):
        return _compare_cached(chosen.a, chosen.protocol, groups)


def _compare_cached(
    reference: Run, protocol: str, groups: dict[str, list[Run]]
) -> Comparison | None:
    key = tuple(
        (name, tuple((run.name, stamp(run.path)) for run in runs)) for name, runs in groups.items()
    )
    return _compare(groups, reference, str(reference.path), protocol, key)


@st.cache_data(show_spinner=False, max_entries=64)
def _compare(
    _groups: dict[str, list[Run]], _reference: Run, path: str, protocol: str, key: tuple
) -> Comparison | None:
    scores, classes = {}, None
    for name, runs in _groups.items():
        same = [run for run in runs if difference_of_items(_reference, run) is None]
        found = [load_neighbors(run, protocol) for run in same]
        if found:
            rule = same[0].result(protocol).protocol.no_positive
            scores[name] = np.stack([rank_one_hits(n, rule) for n in found])
            classes = _reference.items["label"].to_numpy()[found[0].queries]
    if not scores or np.isnan(next(iter(scores.values()))).all():
        return None
    return compare(scores, classes)


def compare_early(runs: list[Run]) -> None:
    """Compare the losses of every data set as the first page does, so that it need not wait."""
    for dataset in {run.dataset for run in runs}:
        mine = [run for run in runs if run.dataset == dataset]
        protocol, _ = first_protocol(mine)
        ordered = [run for run in run_order(mine, protocol) if protocol in protocols_of(run)]
        ordered = comparable_groups(ordered, protocol)[0]
        table = loss_table(results_table(ordered, protocol, among=mine))
        by_name = {run.name: run for run in ordered}
        groups = {row.group: [by_name[name] for name in row.runs] for row in table.itertuples()}
        _compare_cached(ordered[0], protocol, groups)


def compare_table(chosen: Selection, table: pd.DataFrame) -> Comparison | None:
    """Compare the losses of a table of them (``group`` and ``runs``); see above."""
    by_name = {run.name: run for run in chosen.comparable}
    groups = {row.group: [by_name[name] for name in row.runs] for row in table.itertuples()}
    return compare_groups(chosen, groups)


def tested(found: Comparison | None) -> bool:
    """Tell whether a comparison holds any pair of losses."""
    return found is not None and len(found.pairs) > 0


def matrix(found: Comparison, **style: str) -> go.Figure:
    """Draw the difference of every pair of losses, see :func:`figures.difference_matrix`."""
    names = found.summary["name"].tolist()
    return figures.difference_matrix(both_ways(found.pairs), names, **style)


def one_seed(counts: list[int]) -> str:
    """Say how far a verdict reaches where losses were trained once: another seed was not tried.

    Args:
        counts: Seeds of each loss compared.

    Returns:
        Words to follow a verdict, from a blank on; empty if every loss has several seeds.
    """
    if min(counts, default=2) > 1:
        return ""
    return f" for these trainings; {'one seed each' if max(counts) == 1 else 'some with one seed'}"


def evidence(
    chosen: Selection, table: pd.DataFrame, found: Comparison | None, pairs: pd.DataFrame
) -> None:
    """Draw the matrix of paired tests and say it in one sentence.

    Args:
        chosen: What is being looked at.
        table: The losses, see :func:`workbench.analysis.tables.loss_table`.
        found: The comparison of the losses.
        pairs: Its pairs, see :func:`workbench.analysis.significance.both_ways`.
    """
    if not tested(found):
        return
    st.subheader("Is the difference real?", anchor=False)
    names, color = found.summary["name"].tolist(), ink()
    with st.container(horizontal=True, gap="medium"):  # the text goes below where it is narrow
        st.plotly_chart(
            make_once(chosen, "Differences", lambda: matrix(found, ink=color), color),
            width="content",
            config=CONFIG,
            key="matrix",
            alt="Difference in Recall@1 of every pair of losses",
        )
        text = st.container(width=TEXT_WIDTH)
    with text:
        st.markdown(_sentence(names[0], pairs[pairs["a"] == names[0]]))
        trained = ~found.summary["name"].isin(table["group"][table["loss"] == UNTRAINED])
        reach = one_seed(found.summary["seeds"][trained].tolist())
        if reach:
            st.markdown(f"This holds{reach}.")
        st.caption(
            f"Each cell: R@1 of the row minus R@1 of the column, in points, over the same "
            f"{found.n_queries:,} queries of {found.n_classes:,} classes. ▲ better, ▼ worse: "
            "significant at 5 % after Holm's correction for the number of pairs (paired bootstrap "
            "over classes, and over seeds where there are several). ≈: it may be chance. Rest the "
            "pointer on a cell for its interval, p-value, wins, ties and losses."
        )


def _sentence(best: str, pairs: pd.DataFrame) -> str:
    beaten = [plain(name) for name in pairs[pairs["verdict"] == "win"]["b"]]
    tied = [plain(name) for name in pairs[pairs["verdict"] == "tie"]["b"]]
    if not beaten:
        return f"**{plain(best)}** leads, but cannot be told apart from {_join(tied)}."
    text = f"**{plain(best)}** is significantly better than {_join(beaten)}."
    return text + (f" It cannot be told apart from {_join(tied)} on this data." if tied else "")


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]

"""Is the difference real? Every pair of losses, tested on the same queries."""

import numpy as np
import pandas as pd
import streamlit as st

from retrieval.runs import Run
from workbench import figures
from workbench.comparison import difference_of_items
from workbench.figures.style import CONFIG
from workbench.loading import load_neighbours, stamp
from workbench.significance import paired_differences
from workbench.state import Selection
from workbench.theme import ink, plain


def pairs_of_losses(chosen: Selection, table: pd.DataFrame) -> pd.DataFrame:
    """Compare every pair of losses whose runs have the same items. Cached.

    Args:
        chosen: What is being looked at.
        table: One row per loss with its ``runs``, best first.

    Returns:
        See :func:`workbench.significance.paired_differences`.
    """
    by_name = {run.name: run for run in chosen.comparable}
    groups = {row.group: [by_name[name] for name in row.runs] for row in table.itertuples()}
    stamps = tuple((run.name, stamp(run.path)) for runs in groups.values() for run in runs)
    return _pairs(groups, chosen.a, chosen.protocol, chosen.dataset, stamps)


@st.cache_data(show_spinner="Testing every pair of losses …", max_entries=32)
def _pairs(
    _groups: dict[str, list[Run]], _reference: Run, protocol: str, dataset: str, stamps: tuple
) -> pd.DataFrame:
    correct, labels = {}, None
    for name, runs in _groups.items():
        same = [run for run in runs if difference_of_items(_reference, run) is None]
        if not same:
            continue
        found = [load_neighbours(run, protocol) for run in same]
        keep = found[0].first_hit > 0
        correct[name] = np.mean([(n.first_hit == 1)[keep] for n in found], axis=0)
        labels = _reference.items["label"].to_numpy()[found[0].queries][keep]
    return paired_differences(correct, labels)


def evidence(chosen: Selection, table: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """Draw the matrix of paired tests and say it in one sentence.

    Args:
        chosen: What is being looked at.
        table: One row per loss, best first.
        pairs: See :func:`pairs_of_losses`.
    """
    if pairs.empty:
        return
    st.subheader("Is the difference real?", anchor=False)
    left, right = st.columns([6, 5], gap="large")
    names = [name for name in table["group"] if name in set(pairs["a"])]
    with left:
        st.plotly_chart(
            figures.difference_matrix(pairs, names, ink=ink()),
            config=CONFIG,
            key="matrix",
            alt="Difference in Recall@1 of every pair of losses",
        )
    with right:
        best = pairs[pairs["a"] == names[0]]
        st.markdown(_sentence(names[0], best))
        n = chosen.a.result(chosen.protocol)["n_queries"]
        st.caption(
            f"Each cell: R@1 of the row minus R@1 of the column, in points, over the same {n:,} "
            "queries. ▲ or ▼: the 95% interval of the paired difference leaves out zero "
            "(bootstrap over classes, seeds averaged); ≈: it does not, so the order of the two "
            "may be chance."
        )


def _sentence(best: str, pairs: pd.DataFrame) -> str:
    beaten = [plain(name) for name in pairs[pairs["verdict"] == "win"]["b"]]
    tied = [plain(name) for name in pairs[pairs["verdict"] == "tie"]["b"]]
    parts = []
    if beaten:
        parts.append(f"**{plain(best)}** is better than {_join(beaten)} beyond chance.")
    if tied:
        parts.append(f"It cannot be told apart from {_join(tied)} on this data.")
    if not beaten:
        parts = [f"**{plain(best)}** leads, but cannot be told apart from {_join(tied)}."]
    return " ".join(parts)


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]

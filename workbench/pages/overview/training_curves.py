"""Curves of training: the loss of every run and, where it was measured, R@1 during training."""

import functools

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.runs.run import Run
from retrieval.validation import LEAVE_ONE_OUT
from workbench import figures
from workbench.analysis.naming import group_titles
from workbench.figures.style import CONFIG
from workbench.layout.run_colors import group_colors
from workbench.layout.theme import plain
from workbench.session.cache import make_once
from workbench.session.selection import Selection

LOSS, RECALL = "Training loss", "R@1 during training"
SCALES = (
    "Losses have different scales, so each curve is divided by its first value and starts at 1. "
    "Each point is a mean over one fiftieth of the steps."
)
NO_RECALL = (
    "There is no curve of R@1 because none of these runs was evaluated during training. Use "
    "`retrieval train --eval-split validation` (some training classes are held out) or "
    "`--eval-split test`; `--eval-every` sets the number of steps between two evaluations and must "
    "be smaller than the number of steps of the run."
)


def training_figures(chosen: Selection, names: list[str]) -> dict[str, go.Figure]:
    """Draw the curves of training that the runs recorded.

    Args:
        chosen: The choices made in the sidebar.
        names: Names of the runs to draw.

    Returns:
        Title -> figure, without the figures that no run has data for.
    """
    histories = {run.name: run.history for run in chosen.comparable if run.name in names}
    groups, colors = group_titles(chosen.runs), group_colors(chosen.runs)
    found: dict[str, go.Figure] = {}
    for title, column in ((LOSS, "loss"), (RECALL, "recall@1")):
        known = {n: h for n, h in histories.items() if _has(h, column)}
        if known:
            draw = functools.partial(
                figures.training_curves,
                known,
                column,
                measured_on=measured_on([r for r in chosen.comparable if r.name in known]),
                groups=groups,
                colors=colors,
            )
            found[title] = make_once(chosen, title, draw)
    return found


def measured_on(runs: list[Run], *, sizes: bool = False) -> str:
    """Say under which protocol and on which split runs were evaluated during training.

    Args:
        runs: Runs with R@1 in their history.
        sizes: Whether to name the number of items of the test split. Defaults to False.

    Returns:
        A phrase such as ``leave-one-out, test split``.
    """
    splits = []
    for run in runs:
        split, n_test = _evaluation_split(run), run.dataset_config.n_test
        words = "split not recorded" if split is None else f"{split} split"
        if sizes and split == "test" and n_test:
            words += f", {n_test:,} items"
        splits.append(words)
    return f"leave-one-out, {' or '.join(dict.fromkeys(splits))}"


def _evaluation_split(run: Run) -> str | None:
    """Return the split that a run was evaluated on during training, or None if unknown."""
    if run.settings is None or run.settings.eval_split == "none":
        return None
    return run.settings.eval_split


def _measured_otherwise(chosen: Selection, runs: list[Run]) -> bool:
    """Tell whether R@1 during training is not comparable with the R@1 of the tables."""
    on_test_split = all(_evaluation_split(run) == "test" for run in runs)
    return chosen.protocol != LEAVE_ONE_OUT or not on_test_split


def _has(history: pd.DataFrame, column: str) -> bool:
    return column in history and bool(history[column].notna().any())


def training_panel(chosen: Selection, names: list[str], curves: dict[str, go.Figure]) -> None:
    """Draw the curves side by side, and say how to get the one that is missing.

    Args:
        chosen: The choices made in the sidebar.
        names: Names of the runs in the table of losses.
        curves: Their curves, see :func:`training_figures`.
    """
    if not curves:
        return
    runs = [r for r in chosen.comparable if r.name in names and _has(r.history, "recall@1")]
    st.subheader("Training", anchor=False)
    columns = st.container(key="training").columns(len(curves), gap="large")
    for column, (title, figure) in zip(columns, curves.items(), strict=True):
        how = f" ({measured_on(runs, sizes=True)})" if title == RECALL else ""
        column.markdown(f"**{title}**{how}")
        alt = f"{title}{how} of {len(figure.data)} runs, by step"
        column.plotly_chart(figure, config=CONFIG, key=title, alt=alt)
    if LOSS in curves:
        st.caption(SCALES)
    if RECALL not in curves:
        st.caption(NO_RECALL)
    elif _measured_otherwise(chosen, runs):
        above = f"{plain(chosen.protocol_title)}, test split"
        st.caption(f"{RECALL} is measured {measured_on(runs)}; the values above: {above}.")

"""How training went: the loss of every run and, where it was measured, R@1 on the way."""

import functools

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.runs.run import Run
from workbench import figures
from workbench.analysis.naming import group_titles
from workbench.figures.style import CONFIG
from workbench.layout.run_colors import group_colors
from workbench.layout.theme import plain
from workbench.session.cache import make_once
from workbench.session.selection import Selection

LOSS, RECALL = "Training loss", "R@1 during training"
SCALES = (
    "Losses live on different scales: each is a mean over a fiftieth of its steps, relative to the "
    "first such mean, so that every curve starts at 1."
)
NO_RECALL = (
    "No curve of R@1 during training: none of these runs was evaluated while it trained. "
    "`retrieval train` does so with `--eval-split validation` (some training classes held out) or "
    "`--eval-split test`, every `--eval-every` steps; choose a number below the run's steps."
)


def training_figures(chosen: Selection, names: list[str]) -> dict[str, go.Figure]:
    """Draw the curves of training that any run has a history of.

    Args:
        chosen: What is being looked at.
        names: The runs to draw.

    Returns:
        Title -> figure.
    """
    histories = {run.name: run.history for run in chosen.comparable if run.name in names}
    groups, colors = group_titles(chosen.runs), group_colors(chosen.runs)
    found = {}
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
    """Say under which protocol and on what runs were evaluated while they trained.

    Args:
        runs: Runs with R@1 in their history.
        sizes: Say how many items the test split has.

    Returns:
        A few words such as ``leave-one-out, test split``.
    """
    found = {}
    for run in runs:
        split = run.settings and run.settings.eval_split
        n_test = run.dataset_config.n_test
        words = "split not recorded" if split in (None, "none") else f"{split} split"
        if sizes and split == "test" and n_test:
            words += f", {n_test:,} items"
        found[words] = None
    return f"leave-one-out, {' or '.join(found)}"


def _another_figure(chosen: Selection, runs: list[Run]) -> bool:
    """Tell whether R@1 in training is measured otherwise than that of the tables."""
    tests = all(run.settings and run.settings.eval_split == "test" for run in runs)
    return chosen.protocol != "leave_one_out" or not tests


def _has(history: pd.DataFrame, column: str) -> bool:
    return column in history and bool(history[column].notna().any())


def training_panel(chosen: Selection, names: list[str], curves: dict[str, go.Figure]) -> None:
    """Draw the curves side by side, and say which is missing and how to get it.

    Args:
        chosen: What is being looked at.
        names: The runs of the table above.
        curves: Of the same, see :func:`training_figures`.
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
    elif _another_figure(chosen, runs):
        above = f"{plain(chosen.protocol_title)}, test split"
        st.caption(f"{RECALL} is {measured_on(runs)}; the figures above are {above}.")

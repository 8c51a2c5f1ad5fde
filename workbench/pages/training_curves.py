"""How training went: the loss of every run and, where it was measured, R@1 on the way."""

import functools

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench import figures
from workbench.figures.style import CONFIG
from workbench.kept import kept_figure
from workbench.naming import group_titles
from workbench.run_colours import group_colours
from workbench.state import Selection

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
    groups, colours = group_titles(chosen.runs), group_colours(chosen.runs)
    found = {}
    for title, column in ((LOSS, "loss"), (RECALL, "recall@1")):
        known = {n: h for n, h in histories.items() if _has(h, column)}
        if known:
            draw = functools.partial(
                figures.training_curves, known, column, groups=groups, colours=colours
            )
            found[title] = kept_figure(chosen, title, draw)
    return found


def _has(history: pd.DataFrame, column: str) -> bool:
    return column in history and bool(history[column].notna().any())


def training_panel(curves: dict[str, go.Figure]) -> None:
    """Draw the curves side by side, and say which is missing and how to get it.

    Args:
        curves: See :func:`training_figures`.
    """
    if not curves:
        return
    st.subheader("Training", anchor=False)
    columns = st.container(key="training").columns(len(curves), gap="large")
    for column, (title, figure) in zip(columns, curves.items(), strict=True):
        column.markdown(f"**{title}**")
        alt = f"{title} of {len(figure.data)} runs, by step"
        column.plotly_chart(figure, config=CONFIG, key=title, alt=alt)
    if LOSS in curves:
        st.caption(SCALES)
    if RECALL not in curves:
        st.caption(NO_RECALL)

"""Curves of training: the loss of every run and, where it was measured, a metric by step."""

import functools

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from retrieval.evaluation.metrics import HEADLINE, metric
from retrieval.runs.run import Run
from retrieval.validation import LEAVE_ONE_OUT
from workbench import figures
from workbench.analysis.naming import group_titles
from workbench.figures.style import CONFIG
from workbench.layout.run_colors import group_colors
from workbench.layout.theme import plain
from workbench.session.cache import make_once
from workbench.session.selection import Selection

LOSS = "Training loss"
SCALES = (
    "Losses have different scales, so each curve is divided by its first value and starts at 1. "
    "Each point is a mean over one fiftieth of the steps."
)
NO_METRIC = (
    "There is no curve of {} because none of these runs was evaluated during training. Use "
    "`retrieval train --eval-split validation` (some training classes are held out) or "
    "`--eval-split test`; `--eval-every` sets the number of steps between two evaluations and must "
    "be smaller than the number of steps of the run."
)


def metric_by_step(chosen: Selection) -> str:
    """Return the metric whose curve is drawn: the chosen one, or R@1 if no run measured that."""
    measured = any(_has(run.history, chosen.metric) for run in chosen.comparable)
    return chosen.metric if measured else HEADLINE


def metric_title(chosen: Selection) -> str:
    """Return the title of the curve of :func:`metric_by_step`, which also names its file."""
    return f"{metric(metric_by_step(chosen)).title} during training"


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
    for title, column in ((LOSS, "loss"), (metric_title(chosen), metric_by_step(chosen))):
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
        runs: Runs with a metric in their history.
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
    """Tell whether metrics during training are not comparable with those of the tables."""
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
    title_of_metric, column = metric_title(chosen), metric_by_step(chosen)
    runs = [r for r in chosen.comparable if r.name in names and _has(r.history, column)]
    st.subheader("Training", anchor=False)
    columns = st.container(key="training").columns(len(curves), gap="large")
    for place, (title, figure) in zip(columns, curves.items(), strict=True):
        how = f" ({measured_on(runs, sizes=True)})" if title == title_of_metric else ""
        place.markdown(f"**{title}**{how}")
        alt = f"{title}{how} of {len(figure.data)} runs, by step"
        place.plotly_chart(figure, config=CONFIG, key=title, alt=alt)
    if LOSS in curves:
        st.caption(SCALES)
    if title_of_metric not in curves:
        st.caption(NO_METRIC.format(metric(column).title))
    elif _measured_otherwise(chosen, runs):
        above = f"{plain(chosen.protocol_title)}, test split"
        st.caption(f"{title_of_metric} is measured {measured_on(runs)}; the values above: {above}.")

"""Fair tuning: what every loss had found after how many steps, and validation against test."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from retrieval.evaluation.metrics import Metric
from retrieval.evaluation.metrics import metric as metric_of
from retrieval.report.tuning import TunedLosses, point_text
from retrieval.runs.tuning import COMPLETE, RECOMMENDED, TUNED, Trial, Tuning
from workbench.figures.colors import NEUTRAL, colors_of
from workbench.figures.style import as_text, styled

SYMBOLS = {TUNED: "circle", RECOMMENDED: "circle-open"}


def best_so_far(
    tuning: Tuning, *, colors: Mapping[str, str] | None = None, height: int = 420
) -> go.Figure:
    """Draw the best validation of every loss against the training steps that it had taken.

    Args:
        tuning: The record, perhaps of a tuning under way.
        colors: Loss -> color. By default, see :func:`workbench.figures.colors.colors_of`.
        height: Height in pixels. Defaults to 420.

    Returns:
        A figure with a line per loss, which begins at the recommended settings, and a point for
        each trial that became the best.
    """
    found, colors = metric_of(tuning.metric), colors or colors_of(tuning.losses)
    figure = go.Figure()
    for loss in tuning.losses:
        trials = tuning.trials.get(loss, ())
        steps = np.cumsum([trial.result.steps for trial in trials])
        values = np.array([trial.result.value for trial in trials], float)
        best = np.fmax.accumulate(values) if len(values) else values
        is_new = np.diff(best, prepend=-np.inf) > 0
        figure.add_scatter(
            x=steps,
            y=found.scale * best,
            mode="lines+markers",
            line={"shape": "hv", "color": colors[loss], "width": 2},
            marker={"size": np.where(is_new, 8, 0), "color": colors[loss]},
            name=as_text(loss),
            hovertext=[_trial_hover(found, loss, trial) for trial in trials],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    figure.update_xaxes(title="Training steps taken by the trials of a loss", rangemode="tozero")
    figure.update_yaxes(title=f"Best {found.title} on the folds{', %' if found.unit else ''}")
    return styled(figure, height=height)


def validation_and_test(
    tuned: TunedLosses, *, colors: Mapping[str, str] | None = None, height: int = 460
) -> go.Figure:
    """Draw the test of every loss against the validation that its settings were chosen by.

    Args:
        tuned: The tuned losses and the recommended ones.
        colors: Loss -> color. By default, see :func:`workbench.figures.colors.colors_of`.
        height: Height in pixels. Defaults to 460.

    Returns:
        A figure with a filled point per tuned loss, an open one with the recommended settings, and
        a line from the one to the other. Vertical bars: the 95% interval of the test.
    """
    tuning = tuned.tuning
    chosen, tested = metric_of(tuning.metric), metric_of(tuned.metric)
    colors = colors or colors_of(tuning.losses)
    sides = {RECOMMENDED: tuned.recommended, TUNED: tuned.tuned}
    tables = {kind: side.summary.set_index("name") for kind, side in sides.items()}
    figure = go.Figure()
    for loss in tuning.losses:
        trials = {RECOMMENDED: tuning.trials[loss][0], TUNED: tuning.best(loss)}
        made = {
            kind: (trial, tables[kind].loc[loss])
            for kind, trial in trials.items()
            if trial is not None and (kind == TUNED or tuned.effect(loss) is not None)
        }
        xs = [chosen.scale * trial.result.value for trial, _ in made.values()]
        rows = [row for _, row in made.values()]
        ys = np.array([tested.scale * row["mean"] for row in rows], float)
        lows = np.array([tested.scale * row["low"] for row in rows], float)
        highs = np.array([tested.scale * row["high"] for row in rows], float)
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines+markers",
            line={"color": colors[loss], "width": 1.2, "dash": "dot"},
            marker={
                "symbol": [SYMBOLS[kind] for kind in made],
                "size": 11,
                "color": colors[loss],
                "line": {"color": colors[loss], "width": 2},
            },
            error_y={
                "array": np.nan_to_num(highs - ys),
                "arrayminus": np.nan_to_num(ys - lows),
                "color": colors[loss],
                "thickness": 1.1,
                "width": 3,
            },
            showlegend=False,
            hovertext=[
                f"<b>{as_text(loss)}</b>, {kind}<br>validation {chosen.title}: "
                f"{chosen.format(trial.result.value)}<br>test {tested.title}: "
                f"{tested.format(row['mean'], row['low'], row['high'])}<br>"
                f"{as_text(point_text(trial.point), 200)}"
                for kind, (trial, row) in made.items()
            ],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    for loss in tuning.losses:
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines",
            line={"color": colors[loss], "width": 4},
            name=as_text(loss),
        )
    for kind, symbol in SYMBOLS.items():
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            marker={
                "symbol": symbol,
                "size": 10,
                "color": NEUTRAL,
                "line": {"color": NEUTRAL, "width": 2},
            },
            name=kind,
            legend="legend2",
        )
    unit = {True: ", %", False: ""}
    figure.update_xaxes(title=f"Validation: {chosen.title} on the folds{unit[chosen.is_percent]}")
    figure.update_yaxes(title=f"Test: {tested.title}{unit[tested.is_percent]}")
    styled(figure, height=height)
    figure.update_layout(
        legend2={
            "orientation": "h", "x": 1, "xanchor": "right", "y": 0.02, "yanchor": "bottom",
            "title": "", "itemclick": False, "itemdoubleclick": False,
        }
    )  # fmt: skip
    return figure


def _trial_hover(found: Metric, loss: str, trial: Trial) -> str:
    """Describe a trial."""
    which = "recommended settings" if trial.number == 0 else f"trial {trial.number}"
    result = trial.result
    reached = found.format(result.value) if result.state == COMPLETE else result.state
    return (
        f"<b>{as_text(loss)}</b>, {which}<br>{found.title}: {reached}<br>"
        f"{as_text(point_text(trial.point), 200)}<br>{result.steps:,} steps"
    )

"""Fair tuning in notebooks: the search, and the test of what it chose."""

from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from retrieval.evaluation.metrics import HEADLINE
from retrieval.report.tuning import (
    SEARCH_HEAD,
    TunedLosses,
    budget_line,
    conclusions,
    effects_family,
    folds_line,
    outcome_head,
    outcome_rows,
    search_rows,
    tuned_losses,
)
from retrieval.runs.store import open_run
from retrieval.runs.tuning import Tuning
from workbench import figures


def search_table(tuning: Tuning) -> pd.DataFrame:
    """Tabulate what each loss was given and what it found; prints budget and folds.

    Args:
        tuning: What :func:`retrieval.tune` returns.

    Returns:
        One row per loss.
    """
    print(f"{_capital(budget_line(tuning))}.\n{_capital(folds_line(tuning))}.")
    return pd.DataFrame(search_rows(tuning), columns=list(SEARCH_HEAD)).set_index("Loss")


def search_curves(tuning: Tuning) -> go.Figure:
    """Draw the best validation of every loss against the training steps it had taken."""
    return figures.best_so_far(tuning)


def tuned_table(
    tuning: Tuning,
    runs: str | Path = "runs",
    protocol: str | None = None,
    metric: str = HEADLINE,
) -> pd.DataFrame:
    """Tabulate tuned and recommended settings on the test split; prints what they come to.

    Args:
        tuning: What :func:`retrieval.tune` returns.
        runs: Folder of runs. Defaults to ``runs``.
        protocol: Name of the protocol. By default, the primary one.
        metric: Name of the metric. Defaults to ``recall@1``.

    Returns:
        One row per loss, the best tuned one first.
    """
    tuned = _tuned(tuning, runs, protocol, metric)
    print(*conclusions(tuned), f"Differences are {effects_family(tuned)}.", sep="\n")
    rows = pd.DataFrame(outcome_rows(tuned), columns=outcome_head(metric))
    return rows.set_index("Loss")


def validation_and_test(
    tuning: Tuning,
    runs: str | Path = "runs",
    protocol: str | None = None,
    metric: str = HEADLINE,
) -> go.Figure:
    """Draw the test of every loss against its validation; arguments of :func:`tuned_table`."""
    return figures.validation_and_test(_tuned(tuning, runs, protocol, metric))


def _tuned(tuning: Tuning, runs: str | Path, protocol: str | None, metric: str) -> TunedLosses:
    made = {name: open_run(Path(runs) / tuning.dataset / name) for name in tuning.run_names}
    return tuned_losses(tuning, made, protocol, metric)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

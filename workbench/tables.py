"""Numbers of runs as DataFrames: every row says under which protocol, on how much, which seeds."""

import numpy as np
import pandas as pd

from retrieval.runs import Neighbours, Run
from workbench.palette import UNTRAINED

RECALLS = ("recall@1", "recall@2", "recall@4", "recall@8")
METRICS = (*RECALLS, "map@r", "r_precision", "nmi")
TITLES = {
    "recall@1": "R@1",
    "recall@2": "R@2",
    "recall@4": "R@4",
    "recall@8": "R@8",
    "map@r": "MAP@R",
    "r_precision": "R-Precision",
    "nmi": "NMI",
}


def metric(run: Run, protocol: str, name: str) -> float:
    """Return one metric's value in 0..1, NaN if the run lacks it."""
    for entry in run.metrics["results"]:
        if entry["protocol"]["name"] == protocol:
            return _number((entry["metrics"].get(name) or {}).get("value"))
    return np.nan


def _number(value: float | None) -> float:
    """Return a value of ``metrics.json``, where a mean over nothing is null."""
    return np.nan if value is None else float(value)


def run_order(runs: list[Run], protocol: str) -> list[Run]:
    """Sort runs by Recall@1 under a protocol, best first; those without it last."""
    return sorted(
        runs, key=lambda run: (-np.nan_to_num(metric(run, protocol, "recall@1")), run.name)
    )


def loss_of(run: Run) -> str:
    """Return the run's loss, ``untrained`` for the baseline, or the name of an imported run."""
    settings = run.config.get("settings") or {}
    if settings.get("loss") == "none":
        return UNTRAINED
    return str(settings.get("loss") or run.name)


def is_trained(run: Run) -> bool:
    """Tell whether a loss trained the run, so that it can win."""
    return loss_of(run) != UNTRAINED


def seed_of(run: Run) -> int | None:
    """Return the run's seed, or None if it has none."""
    settings = run.config.get("settings") or {}
    return settings.get("seed", (run.config.get("provenance") or {}).get("seed"))


def group_titles(runs: list[Run]) -> dict[str, str]:
    """Name every run by what distinguishes it, seed apart: its loss, and settings that differ.

    Args:
        runs: Runs of one data set.

    Returns:
        Run name -> title; runs that differ only in their seed share one.
    """
    settings = {
        run.name: {
            k: v
            for k, v in (run.config.get("settings") or {}).items()
            if k not in ("seed", "data", "dataset") and v not in (None, {}, [])
        }
        for run in runs
    }
    titles: dict[str, str] = {}
    for run in runs:
        mine = settings[run.name]
        if not mine.get("loss"):
            titles[run.name] = run.name
            continue
        same = [s for s in settings.values() if s.get("loss") == mine["loss"]]
        differing = [
            key
            for key in mine
            if key != "loss" and any(str(s.get(key)) != str(mine[key]) for s in same)
        ]
        extra = ", ".join(f"{key.replace('_', ' ')} {_short(mine[key])}" for key in differing)
        titles[run.name] = loss_of(run) + (f" ({extra})" if extra else "")
    return titles


def _short(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{k}={v}" for k, v in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def results_table(runs: list[Run], protocol: str) -> pd.DataFrame:
    """Collect the metrics of every run, one row per run.

    Args:
        runs: Runs of one data set.
        protocol: Runs without it are left out.

    Returns:
        Columns ``run``, ``group`` (see :func:`group_titles`), ``loss``, ``seed``, ``n_queries``,
        ``n_gallery``, ``n_classes`` and, per metric, ``<metric>``, ``<metric>/low``, ``/high``.
    """
    titles = group_titles(runs)
    rows = []
    for run in runs:
        entry = next((e for e in run.metrics["results"] if e["protocol"]["name"] == protocol), None)
        if entry is None:
            continue
        row = {
            "run": run.name,
            "group": titles[run.name],
            "loss": loss_of(run),
            "seed": seed_of(run),
            **{key: entry.get(key) for key in ("n_queries", "n_gallery", "n_classes")},
        }
        for name in METRICS:
            value = entry["metrics"].get(name) or {}
            row[name] = _number(value.get("value"))
            row[f"{name}/low"] = _number(value.get("low"))
            row[f"{name}/high"] = _number(value.get("high"))
        rows.append(row)
    return pd.DataFrame(rows)


def loss_table(results: pd.DataFrame) -> pd.DataFrame:
    """Aggregate seeds: one row per group, best Recall@1 first.

    Args:
        results: See :func:`results_table`.

    Returns:
        Columns ``group``, ``loss``, ``runs`` (names), ``seeds`` (list), ``n_queries`` and, per
        metric, its mean, ``<metric>/low`` and ``/high`` (means of the runs' 95% intervals) and
        ``<metric>/sd`` (standard deviation over seeds; NaN for one seed).
    """
    rows = []
    for group, part in results.groupby("group", sort=False):
        row = {
            "group": group,
            "loss": part["loss"].iloc[0],
            "runs": list(part["run"]),
            "seeds": sorted(int(s) for s in part["seed"].dropna()),
            "n_queries": int(part["n_queries"].iloc[0]),
        }
        for name in METRICS:
            for suffix in ("", "/low", "/high"):
                row[name + suffix] = part[name + suffix].mean()
            row[f"{name}/sd"] = part[name].std(ddof=1) if len(part) > 1 else np.nan
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.sort_values("recall@1", ascending=False, kind="stable", ignore_index=True)


def recall_curve(neighbours: Neighbours, no_positive: str = "exclude") -> pd.DataFrame:
    """Compute Recall@K for every K from the ranks of the first hits.

    Args:
        neighbours: Of q queries.
        no_positive: The protocol's rule for a query whose class is absent from the gallery:
            ``exclude`` leaves it out, ``zero`` counts it as a miss.

    Returns:
        Columns ``k`` (1..stored neighbours) and ``recall``.
    """
    k = np.arange(1, neighbours.ids.shape[1] + 1)
    ranks = np.sort(neighbours.first_hit[neighbours.first_hit > 0])
    n = len(neighbours.first_hit) if no_positive == "zero" else len(ranks)
    return pd.DataFrame({"k": k, "recall": np.searchsorted(ranks, k, side="right") / max(1, n)})


def percent(value: float, digits: int = 1) -> str:
    """Format a share as a percentage, or a dash."""
    return "–" if value is None or np.isnan(value) else f"{100 * value:.{digits}f}"

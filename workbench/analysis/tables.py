"""Numbers of runs as DataFrames: every row says under which protocol, on how much, which seeds."""

import numpy as np
import pandas as pd

from retrieval.evaluation.significance import Comparison
from retrieval.report.published import published_table
from retrieval.report.sections import reported_metrics
from retrieval.runs.records import ProtocolResult
from retrieval.runs.run import Neighbors, Run
from workbench.analysis.naming import group_titles, loss_of, seed_of
from workbench.analysis.repeats import repeated

__all__ = [
    "loss_table", "metric_value", "metrics_of",
    "published_table", "recall_curve",
    "results_table", "run_order", "with_intervals",
]  # fmt: skip


def metric_value(run: Run, protocol: str, name: str) -> float:
    """Return one metric's value in 0..1, NaN if the run lacks it."""
    result = run.results.get(protocol)
    return np.nan if result is None else result.metric(name).value


def run_order(runs: list[Run], protocol: str) -> list[Run]:
    """Sort runs by Recall@1 under a protocol, best first; those without it last."""
    return sorted(
        runs, key=lambda run: (-np.nan_to_num(metric_value(run, protocol, "recall@1")), run.name)
    )


def results_table(
    runs: list[Run], protocol: str, *, among: list[Run] | None = None
) -> pd.DataFrame:
    """Collect the metrics of every run, one row per run.

    Args:
        runs: Runs of one data set.
        protocol: Runs without it are left out.
        among: The runs to tell them from by their group's title; default: themselves.

    Returns:
        Columns ``run``, ``group`` (see :func:`workbench.analysis.naming.group_titles`), ``loss``, ``seed``,
        ``repeats`` (see :func:`workbench.analysis.repeats.repeated`), ``distance``, ``n_queries`` (those
        that count), ``n_left_out``, ``n_gallery``, ``n_classes`` and, per metric that the field
        reports on the data set, ``<metric>``, ``<metric>/low``, ``<metric>/high``.
    """
    titles = group_titles(among or runs)
    rows = []
    for run in runs:
        if protocol in run.results:
            rows.append(_row(run, run.results[protocol]) | {"group": titles[run.name]})
    table = pd.DataFrame(rows)
    return table.assign(repeats=repeated(table, runs)) if rows else table


def _row(run: Run, result: ProtocolResult) -> dict:
    row = {
        "run": run.name,
        "group": "",
        "loss": loss_of(run),
        "seed": seed_of(run),
        "repeats": "",
        "distance": result.protocol.distance,
        "n_queries": result.n_scored,
        "n_left_out": result.n_excluded,
        "n_gallery": result.protocol.n_gallery,
        "n_classes": result.protocol.n_classes,
    }
    for name in reported_metrics(run.dataset):
        estimate = result.metric(name)
        row |= {name: estimate.value, f"{name}/low": estimate.low, f"{name}/high": estimate.high}
    return row


def metrics_of(table: pd.DataFrame) -> list[str]:
    """Return the metrics that a table of results or losses has values of."""
    names = [name for name in table if f"{name}/low" in table]
    return [name for name in names if table[name].notna().any()]


def loss_table(results: pd.DataFrame) -> pd.DataFrame:
    """Aggregate seeds: one row per group, best Recall@1 first.

    Args:
        results: See :func:`results_table`; runs that repeat a seed do not count.

    Returns:
        Columns ``group``, ``loss``, ``runs`` (names), ``seeds`` (list), ``n_queries`` and, per
        metric, its mean, ``<metric>/low`` and ``/high`` (means of the runs' 95% intervals) and
        ``<metric>/sd`` (standard deviation over seeds; NaN for one seed).
    """
    rows = []
    results = results[results["repeats"] == ""]
    for group, part in results.groupby("group", sort=False):
        row = {
            "group": group,
            "loss": part["loss"].iloc[0],
            "runs": list(part["run"]),
            "seeds": sorted(int(s) for s in part["seed"].dropna()),
            "n_queries": int(part["n_queries"].iloc[0]),
        }
        for name in metrics_of(results):
            for suffix in ("", "/low", "/high"):
                row[name + suffix] = part[name + suffix].mean()
            row[f"{name}/sd"] = part[name].std(ddof=1) if len(part) > 1 else np.nan
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.sort_values("recall@1", ascending=False, kind="stable", ignore_index=True)


def recall_curve(neighbors: Neighbors, no_positive: str = "exclude") -> pd.DataFrame:
    """Compute Recall@K for every K from the ranks of the first hits.

    Args:
        neighbors: Of q queries.
        no_positive: The protocol's rule for a query whose class is absent from the gallery:
            ``exclude`` leaves it out, ``zero`` counts it as a miss.

    Returns:
        Columns ``k`` (1..stored neighbors) and ``recall``.
    """
    k = np.arange(1, neighbors.ids.shape[1] + 1)
    ranks = np.sort(neighbors.first_relevant_rank[neighbors.first_relevant_rank > 0])
    n = len(neighbors.first_relevant_rank) if no_positive == "zero" else len(ranks)
    return pd.DataFrame({"k": k, "recall": np.searchsorted(ranks, k, side="right") / max(1, n)})


def with_intervals(table: pd.DataFrame, compared: Comparison | None) -> pd.DataFrame:
    """Give Recall@1 the intervals of a comparison, which count the spread over seeds too.

    Args:
        table: See :func:`loss_table`.
        compared: Of the same losses, or None.

    Returns:
        A table with other ``recall@1/low`` and ``recall@1/high`` where the comparison has them.
    """
    if compared is None:
        return table
    summary = compared.summary.set_index("name")
    table = table.copy()
    for side in ("low", "high"):
        known = table["group"].map(summary[side])
        table[f"recall@1/{side}"] = known.fillna(table[f"recall@1/{side}"])
    return table

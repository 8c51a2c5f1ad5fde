"""Metrics of runs as tables. Every row states its protocol, number of queries and seeds."""

import numpy as np
import pandas as pd

from retrieval.evaluation.metrics import bounds_of
from retrieval.evaluation.ranking import BEYOND
from retrieval.evaluation.significance import Comparison
from retrieval.evaluation.statistics import combined_interval
from retrieval.report.sections import reported_metrics
from retrieval.runs.records import ProtocolResult
from retrieval.runs.run import Neighbors, Run
from retrieval.validation import DEFAULT_NO_POSITIVE
from workbench.analysis.naming import group_titles, loss_of, seed_of
from workbench.analysis.repeats import repeated


def metric_value(run: Run, protocol: str, name: str) -> float:
    """Return the value of a metric as stored; NaN if the run was not evaluated for it.

    Args:
        run: An evaluated run.
        protocol: Name of the protocol.
        name: Name of the metric, e.g. ``recall@1``.
    """
    result = run.results.get(protocol)
    return np.nan if result is None else result.metric(name).value


def run_order(runs: list[Run], protocol: str) -> list[Run]:
    """Sort runs by Recall@1 under a protocol, best first and runs without it last."""
    return sorted(
        runs, key=lambda run: (-np.nan_to_num(metric_value(run, protocol, "recall@1")), run.name)
    )


def results_table(
    runs: list[Run], protocol: str, *, among: list[Run] | None = None
) -> pd.DataFrame:
    """Collect the metrics of every run, one row per run.

    Args:
        runs: Runs of one data set.
        protocol: Name of the protocol. Runs without it are not in the table.
        among: Runs from which the titles of the groups must distinguish them. Defaults to the runs
            themselves.

    Returns:
        Columns ``run``, ``group`` (its title, see :func:`.naming.group_titles`), ``loss``,
        ``seed``, ``repeats`` (see :func:`.repeats.repeated`), ``distance``, ``n_queries`` (the
        scored ones), ``n_excluded``, ``n_gallery``, ``n_classes`` and, for each metric that is
        reported on the data set, ``<metric>``, ``<metric>/low`` and ``<metric>/high``.
    """
    titles = group_titles(among or runs)
    rows = []
    for run in runs:
        if protocol in run.results:
            rows.append(_row(run, run.results[protocol]) | {"group": titles[run.name]})
    table = pd.DataFrame(rows)
    return table.assign(repeats=repeated(table, runs)) if rows else table


def _row(run: Run, result: ProtocolResult) -> dict[str, object]:
    row: dict[str, object] = {
        "run": run.name,
        "group": "",
        "loss": loss_of(run),
        "seed": seed_of(run),
        "repeats": "",
        "distance": result.protocol.distance,
        "n_queries": result.n_scored,
        "n_excluded": result.n_excluded,
        "n_gallery": result.protocol.n_gallery,
        "n_classes": result.protocol.n_classes,
    }
    for name in reported_metrics(run.dataset):
        estimate = result.metric(name)
        row |= {name: estimate.value, f"{name}/low": estimate.low, f"{name}/high": estimate.high}
    return row


def metrics_of(table: pd.DataFrame) -> list[str]:
    """Return the names of the metrics of which a table of results or losses has values."""
    names = [name for name in table if f"{name}/low" in table]
    return [name for name in names if table[name].notna().any()]


def loss_table(results: pd.DataFrame) -> pd.DataFrame:
    """Aggregate seeds: one row per group, best Recall@1 first.

    Args:
        results: See :func:`results_table`. Runs that repeat a seed are ignored.

    Returns:
        Columns ``group``, ``loss``, ``runs`` (names), ``seeds`` (list), ``n_queries`` and, for each
        metric of which a run has a value, ``<metric>`` (mean over seeds), ``<metric>/low`` and
        ``<metric>/high`` (its 95% interval, see
        :func:`retrieval.evaluation.statistics.combined_interval`) and ``<metric>/sd`` (standard
        deviation over seeds; NaN for one seed).
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
            row[name] = part[name].mean()
            row[f"{name}/low"], row[f"{name}/high"] = combined_interval(
                part[name], part[f"{name}/low"], part[f"{name}/high"], bounds_of(name)
            )
            row[f"{name}/sd"] = part[name].std(ddof=1) if len(part) > 1 else np.nan
        rows.append(row)
    table = pd.DataFrame(rows)
    if "recall@1" not in table:  # no query has a positive
        return table
    return table.sort_values("recall@1", ascending=False, kind="stable", ignore_index=True)


def recall_curve(
    neighbors: Neighbors, no_positive: str = DEFAULT_NO_POSITIVE, deepest: int = BEYOND
) -> pd.DataFrame:
    """Compute Recall@K for every K from the ranks of the first relevant items.

    Args:
        neighbors: The neighbors of q queries.
        no_positive: The protocol's rule for queries without a relevant item in the gallery:
            ``exclude`` them, or score them ``zero``. Defaults to ``exclude``.
        deepest: Greatest K that the ranks tell about, see
            :attr:`retrieval.evaluation.protocol.Protocol.deepest`. Defaults to any.

    Returns:
        Columns ``k`` (from 1 to the number of stored neighbors) and ``recall``.
    """
    k = np.arange(1, min(neighbors.ids.shape[1], deepest) + 1)
    ranks = np.sort(neighbors.first_relevant_rank[neighbors.first_relevant_rank > 0])
    n = len(neighbors.first_relevant_rank) if no_positive == "zero" else len(ranks)
    return pd.DataFrame({"k": k, "recall": np.searchsorted(ranks, k, side="right") / max(1, n)})


def with_intervals(table: pd.DataFrame, compared: Comparison | None) -> pd.DataFrame:
    """Replace the intervals of Recall@1 by those of a comparison, which include seed variance.

    Args:
        table: See :func:`loss_table`.
        compared: Comparison of the same losses, or None.

    Returns:
        The table, with the ``recall@1/low`` and ``recall@1/high`` of the comparison for every loss
        of several seeds. That of a single run is the one that the run itself records.
    """
    if compared is None:
        return table
    summary = compared.summary.set_index("name")
    table = table.copy()
    repeated = table["runs"].map(len) > 1
    for side in ("low", "high"):
        known = table["group"].map(summary[side]).where(repeated)
        table[f"recall@1/{side}"] = known.fillna(table[f"recall@1/{side}"])
    return table

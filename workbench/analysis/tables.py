"""Metrics of runs as tables. Every row states its protocol, number of queries and seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from retrieval.evaluation.metrics import HEADLINE, metric
from retrieval.evaluation.ranking import BEYOND
from retrieval.report.comparing import estimates
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


def run_order(runs: list[Run], protocol: str, name: str = HEADLINE) -> list[Run]:
    """Sort runs by a metric under a protocol, best first and runs without it last.

    Args:
        runs: Evaluated runs.
        protocol: Name of the protocol.
        name: Name of the metric. Defaults to ``recall@1``.
    """
    sign = -1 if metric(name).higher_is_better else 1

    def place(run: Run) -> tuple[float, str]:
        value = sign * metric_value(run, protocol, name)
        return np.inf if np.isnan(value) else value, run.name

    return sorted(runs, key=place)


def results_table(
    runs: list[Run],
    protocol: str,
    *,
    among: list[Run] | None = None,
    ranked_by: str = HEADLINE,
) -> pd.DataFrame:
    """Collect the metrics of every run, one row per run.

    Args:
        runs: Runs of one data set.
        protocol: Name of the protocol. Runs without it are not in the table.
        among: Runs from which the titles of the groups must distinguish them. Defaults to the runs
            themselves.
        ranked_by: Metric that is a column even if it is not reported on the data set. Defaults to
            ``recall@1``.

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
            row = _row(run, protocol, run.results[protocol], ranked_by)
            rows.append(row | {"group": titles[run.name]})
    table = pd.DataFrame(rows)
    return table.assign(repeats=repeated(table, runs)) if rows else table


def _row(run: Run, protocol: str, result: ProtocolResult, ranked_by: str) -> dict[str, object]:
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
    reported = reported_metrics(run.dataset)
    names = reported if ranked_by in reported else (ranked_by, *reported)
    found = estimates([run], protocol, names)
    for name in names:
        estimate = found[name]
        row |= {name: estimate.value, f"{name}/low": estimate.low, f"{name}/high": estimate.high}
    return row


def metrics_of(table: pd.DataFrame) -> list[str]:
    """Return the names of the metrics of which a table of results or losses has values."""
    names = [name for name in table if f"{name}/low" in table]
    return [name for name in names if table[name].notna().any()]


def has_intervals(table: pd.DataFrame, names: Sequence[str]) -> bool:
    """Tell whether any figure of some metrics in a table of losses has an interval."""
    return bool(table[[f"{name}/low" for name in names]].notna().any(axis=None))


def loss_table(
    results: pd.DataFrame, runs: list[Run], protocol: str, ranked_by: str = HEADLINE
) -> pd.DataFrame:
    """Aggregate seeds: one row per group, the best first.

    Args:
        results: See :func:`results_table`. Runs that repeat a seed are ignored.
        runs: The runs of the table; it may hold others too.
        protocol: Name of the protocol.
        ranked_by: Metric that the rows are sorted by. Defaults to ``recall@1``.

    Returns:
        Columns ``group``, ``loss``, ``runs`` (names), ``seeds`` (list), ``n_queries`` and, for each
        metric of which a run has a value, ``<metric>`` (mean over seeds), ``<metric>/low`` and
        ``<metric>/high`` (its 95% interval, see :func:`retrieval.report.comparing.estimates`) and
        ``<metric>/sd`` (standard deviation over seeds; NaN for one seed).
    """
    rows = []
    results, by_name = results[results["repeats"] == ""], {run.name: run for run in runs}
    names = metrics_of(results)
    for group, part in results.groupby("group", sort=False):
        row = {
            "group": group,
            "loss": part["loss"].iloc[0],
            "runs": list(part["run"]),
            "seeds": sorted(int(s) for s in part["seed"].dropna()),
            "n_queries": int(part["n_queries"].iloc[0]),
        }
        found = estimates([by_name[name] for name in part["run"]], protocol, names)
        for name in names:
            row[name] = found[name].value
            row[f"{name}/low"], row[f"{name}/high"] = found[name].low, found[name].high
            row[f"{name}/sd"] = part[name].std(ddof=1) if len(part) > 1 else np.nan
        rows.append(row)
    table = pd.DataFrame(rows)
    if ranked_by not in table:  # no query has a positive
        return table
    lowest_first = not metric(ranked_by).higher_is_better
    return table.sort_values(ranked_by, ascending=lowest_first, kind="stable", ignore_index=True)


def groups_of(table: pd.DataFrame, runs: list[Run]) -> dict[str, list[Run]]:
    """Return the runs of every loss: title -> one run per seed, in the order of the table.

    Args:
        table: See :func:`loss_table`.
        runs: The runs of the table; it may hold others too.
    """
    by_name = {run.name: run for run in runs}
    rows = zip(table["group"], table["runs"], strict=True)
    return {group: [by_name[name] for name in names] for group, names in rows}


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

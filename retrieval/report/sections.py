"""Compare runs on paper: one table per protocol, and which differences are real.

Runs share a table only if their numbers are comparable: same data set, same items, same protocol.
Runs that differ in nothing but their seed share a row.
"""

import hashlib
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrieval.datasets import DATASETS
from retrieval.datasets.base import Dataset
from retrieval.errors import UserError, unknown_option
from retrieval.evaluation.geometry import is_collapsed
from retrieval.evaluation.metrics import metric, reported
from retrieval.evaluation.protocol import Protocol
from retrieval.evaluation.significance import Comparison, compare
from retrieval.evaluation.statistics import mean_interval
from retrieval.report.published import published_notes, published_table
from retrieval.runs.records import ProtocolResult
from retrieval.runs.run import Run
from retrieval.settings.identity import experiment_key

SAME = (
    "name", "distance", "normalized", "no_positive", "ties", "kmeans",
    "n_items", "n_queries", "n_gallery", "n_classes", "n_without_positive",
)  # fmt: skip


def reported_metrics(dataset: str) -> tuple[str, ...]:
    """Return the metrics reported on a data set: Recall@K at its usual K, then the others.

    Args:
        dataset: Name in ``DATASETS``; any other name has the default K.

    Returns:
        Names as in ``metrics.json``.
    """
    return reported(DATASETS[dataset].ks if dataset in DATASETS else Dataset.ks)


@dataclass(frozen=True)
class Section:
    """Comparable runs.

    Attributes:
        dataset: Data set.
        title: The protocol's title, e.g. ``leave-one-out`` or ``cross-store``.
        protocol: How the numbers were made.
        line: The same in one sentence.
        groups: Row name -> its runs (seeds), best Recall@1 first.
        table: One row per group: ``name``, ``seeds``, ``dimension`` and per metric ``<metric>``,
            ``<metric>/low``, ``<metric>/high``: the run's 95% interval (bootstrap over classes), or
            for several seeds the t interval of their mean.
        comparison: Recall@1 of all groups on the same queries.
        published: Figures published for the runs' recipes: see
            :func:`retrieval.report.published.published_table`.
        notes: Recipe -> what to know about its figures.
    """

    dataset: str
    title: str
    protocol: Protocol
    line: str
    groups: dict[str, list[Run]]
    table: pd.DataFrame
    comparison: Comparison
    published: pd.DataFrame
    notes: dict[str, str]


def make_report(runs: Sequence[Run], metrics: Sequence[str] = ()) -> list[Section]:
    """Sort runs into comparable sections and tabulate each.

    Args:
        runs: Evaluated runs, of any data sets.
        metrics: The columns, where a run has them; default: :func:`reported_metrics`.

    Returns:
        Sections, by data set and protocol.

    Raises:
        UserError: There are no runs, or none has a metric.
    """
    if not runs:
        raise UserError("no runs to report on: name run folders, or train one first")
    known = {name for run in runs for result in run.results.values() for name in result.metrics}
    for name in metrics:
        if name not in known:
            raise unknown_option("metric of these runs", name, known)
    buckets: dict[tuple, list[tuple[Run, ProtocolResult]]] = {}
    for run in runs:
        items = _fingerprint(run)
        for result in run.results.values():
            key = (run.dataset, *protocol_facts(result).values(), items)
            buckets.setdefault(key, []).append((run, result))
    return [_section(members, metrics) for _, members in sorted(buckets.items())]


def protocol_facts(result: ProtocolResult) -> dict[str, str]:
    """Return what two results on the same items must share for their numbers to be compared.

    Args:
        result: The results of a run under one protocol.

    Returns:
        Fact -> value as text, for each of ``SAME``.
    """
    return {name: str(getattr(result.protocol, name)) for name in SAME}


def _fingerprint(run: Run) -> str:
    """Identify the items, in order, by path, label and role."""
    columns = run.items[["path", "label", "role"]].astype(str)
    return hashlib.sha1(pd.util.hash_pandas_object(columns, index=False).to_numpy()).hexdigest()


def group_runs(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Put runs together that are repetitions of one experiment with other seeds.

    Args:
        runs: Runs of one data set.

    Returns:
        Row name -> runs. The name is the runs' own, without a seed suffix such as ``-seed1`` or
        ``-s1`` if they are several; imported runs and those that repeat a seed stay alone.
    """
    groups: dict[Hashable, list[Run]] = {}
    seeds: set[Hashable] = set()
    for run in runs:
        key: Hashable = id(run)
        if run.settings is not None:
            experiment = experiment_key(run.settings)
            if (experiment, run.settings.seed) not in seeds:
                seeds.add((experiment, run.settings.seed))
                key = experiment
        groups.setdefault(key, []).append(run)
    named: dict[str, list[Run]] = {}
    for members in groups.values():
        base = re.sub(r"-s(eed)?\d+$", "", members[0].name)
        name = base if len(members) > 1 and base not in named else members[0].name
        while name in named:  # the same name in two folders
            name += "'"
        named[name] = members
    return named


def rank_one(run: Run, protocol: Protocol) -> np.ndarray:
    """Return 1 or 0 per query, right or wrong at rank 1; NaN for queries that do not count."""
    first = run.neighbors(protocol.name).first_relevant_rank
    lone = 0.0 if protocol.no_positive == "zero" else np.nan
    return np.where(first == 0, lone, (first == 1).astype(np.float64))


def _section(members: list[tuple[Run, ProtocolResult]], metrics: Sequence[str]) -> Section:
    results = {run.path: result for run, result in members}
    first = members[0][1]
    protocol = first.protocol
    groups = group_runs([run for run, _ in members])
    run = members[0][0]
    labels = run.items["label"].to_numpy()[run.neighbors(protocol.name).queries]
    scores = {
        name: np.stack([rank_one(run, protocol) for run in group]) for name, group in groups.items()
    }
    comparison = compare(scores, labels)
    order = list(comparison.summary["name"])
    columns = metrics or reported_metrics(run.dataset)
    rows = [_row(name, [results[run.path] for run in groups[name]], columns) for name in order]
    published = published_table([run for run, _ in members], protocol.name)
    collapsed = [
        name
        for name in order
        if any(is_collapsed(results[run.path].geometry) for run in groups[name])
    ]
    return Section(
        run.dataset,
        first.title,
        protocol,
        _sentence(
            protocol,
            placeholder=run.dataset_config.is_placeholder,
            collapsed=collapsed,
        ),
        {name: groups[name] for name in order},
        pd.DataFrame(rows).dropna(axis=1, how="all"),
        comparison,
        published,
        published_notes(published),
    )


def _row(name: str, results: list[ProtocolResult], metrics: Sequence[str]) -> dict:
    row = {
        "name": name,
        "seeds": len(results),
        "dimension": results[0].protocol.dimension,
    }
    for name in metrics:
        found = [result.metric(name) for result in results]
        values = np.array([estimate.value for estimate in found])
        if len(found) == 1:
            low, high = found[0].low, found[0].high
        else:
            low, high = mean_interval(values, metric(name).bounds)
        row |= {name: values.mean(), f"{name}/low": low, f"{name}/high": high}
    return row


def _sentence(protocol: Protocol, *, placeholder: bool, collapsed: Sequence[str]) -> str:
    """Say how the numbers were made; the dimension is a column, since runs may differ in it."""
    lone = {"exclude": "excluded", "zero": "scored 0"}[protocol.no_positive]
    parts = ["synthetic placeholder, not the published data set"] if placeholder else []
    if collapsed:
        parts.append(f"collapsed (all embeddings nearly equal): {', '.join(collapsed)}")
    parts += [
        f"{protocol.rule}, {protocol.distance} distance",
        f"{protocol.n_queries:,} queries of {protocol.n_classes:,} classes, "
        f"{protocol.n_gallery:,} gallery items",
        f"{protocol.n_without_positive:,} queries without a possible hit {lone}",
    ]
    if protocol.kmeans != "none":
        parts.append(f"NMI by k-means ({protocol.kmeans})")
    return "; ".join(part.strip() for part in parts)

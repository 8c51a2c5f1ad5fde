"""Compare losses by any metric: the one place where runs become estimates and comparisons.

The reports, the app and the notebooks take every value, interval and test of a loss from here, so
that one quantity is one number on every page and in every file. A loss is all of its training
seeds; a single run is a loss of one seed.
"""

import dataclasses
import shlex
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from retrieval.evaluation.bootstrap import ClassScores, level_intervals
from retrieval.evaluation.metrics import (
    HEADLINE,
    RECALL,
    bounds_of,
    has_scores,
    in_order,
    metric,
    ranks_runs,
)
from retrieval.evaluation.significance import (
    Comparison,
    any_counts,
    compare,
    nothing_compared,
    untested,
)
from retrieval.evaluation.statistics import combined_interval
from retrieval.runs.records import Estimate, ProtocolResult
from retrieval.runs.run import Run

EQUAL = 1e-9  # values closer than this are a tie


def scores_of(runs: Sequence[Run], protocol: str | None, name: str = HEADLINE) -> np.ndarray | None:
    """Return the scores of every query under a metric.

    Args:
        runs: The runs of one loss, on the same items.
        protocol: Name of the protocol; None for the primary one of each run.
        name: Name of the metric. Defaults to ``recall@1``.

    Returns:
        float64, (runs, q), where NaN marks queries that do not count; None if a run does not hold
        them, or its ranked lists are too short to tell.
    """
    rows = []
    for run in runs:
        result = run.result(protocol)
        if _is_too_short(result, name):
            return None
        found = run.neighbors(protocol).scores_of(name, result.protocol.no_positive)
        if found is None:
            return None
        rows.append(found)
    return np.stack(rows)


def _is_too_short(result: ProtocolResult, name: str) -> bool:
    """Return whether ranked lists end before a metric is known, and what they lack is unknown."""
    if result.protocol.unlisted != "unknown" or name in result.metrics:
        return False
    found = RECALL.fullmatch(name)
    return found is None or int(found[1]) > result.protocol.deepest


def estimates(
    runs: Sequence[Run], protocol: str | None, names: Iterable[str]
) -> dict[str, Estimate]:
    """Return the value and the 95% interval of metrics of one loss.

    Those of a single run are the ones that it records. The mean over several seeds has an interval
    over classes and seeds, see :func:`retrieval.evaluation.bootstrap.level_intervals`; where the
    runs do not hold the scores of every query, as for NMI, the intervals of the single runs are
    combined, see :func:`retrieval.evaluation.statistics.combined_interval`.

    Args:
        runs: The runs of one loss, one per seed, on the same items.
        protocol: Name of the protocol; None for the primary one of each run.
        names: Names of the metrics. A Recall@K that the runs do not record is computed.

    Returns:
        Name -> estimate; all NaN where a run has no value.
    """
    found: dict[str, Estimate] = {}
    resampled: dict[str, np.ndarray] = {}
    for name in names:
        stored = [run.result(protocol).metric(name) for run in runs]
        values = [one.value for one in stored]
        known = bool(np.isfinite(values).all())
        if known and len(runs) == 1:
            found[name] = stored[0]
            continue
        lows, highs = [one.low for one in stored], [one.high for one in stored]
        ends = combined_interval(values, lows, highs, bounds_of(name))
        found[name] = Estimate(float(np.mean(values)), *ends)
        scores = None
        if (known and has_scores(name)) or RECALL.fullmatch(name):
            scores = scores_of(runs, protocol, name)
        if scores is not None and any_counts({name: scores}):
            resampled[name] = scores
    return found | _resampled(runs, protocol, resampled)


def _resampled(
    runs: Sequence[Run], protocol: str | None, scores: Mapping[str, np.ndarray]
) -> dict[str, Estimate]:
    """Return estimates over classes and seeds from the scores of every query."""
    if not scores:
        return {}
    labels = runs[0].items["label"].to_numpy()[runs[0].neighbors(protocol).queries]
    keep = np.all([np.isfinite(each).all(axis=0) for each in scores.values()], axis=0)
    summed = ClassScores.of([each[:, keep] for each in scores.values()], labels[keep])
    bounds = np.array([bounds_of(name) for name in scores]).T
    low, high = level_intervals(summed, (bounds[0], bounds[1]))
    columns = zip(summed.means.tolist(), low.tolist(), high.tolist(), strict=True)
    return dict(zip(scores, (Estimate(*column) for column in columns), strict=True))


def compare_losses(
    groups: Mapping[str, Sequence[Run]], protocol: str | None = None, name: str = HEADLINE
) -> Comparison:
    """Compare losses by a metric on the same queries, each by all of its seeds.

    Args:
        groups: Title of a loss -> its runs, one per seed; all comparable with each other.
        protocol: Name of the protocol. Defaults to the primary one of each run.
        name: Name of the metric. Defaults to ``recall@1``.

    Returns:
        The comparison. Without tests, and with the reason, if the metric has no score per query or
        a run does not hold them; without values if no query counts for every run.
    """
    groups = dict(sorted(groups.items(), key=_place))
    found = {title: estimates(runs, protocol, [name])[name] for title, runs in groups.items()}
    reason = _untestable(groups, protocol, name)
    first = next(iter(groups.values()))[0].result(protocol)
    if reason:
        if not np.isfinite([one.value for one in found.values()]).any():
            return nothing_compared(groups, name)
        values = {
            title: (one.value, one.low, one.high, len(groups[title]))
            for title, one in found.items()
        }
        sizes = {"n_queries": first.n_scored, "n_classes": first.protocol.n_classes}
        return dataclasses.replace(
            untested(values, name, reason, **sizes), unit=first.protocol.unit
        )
    scores = {title: scores_of(runs, protocol, name) for title, runs in groups.items()}
    held = {title: each for title, each in scores.items() if each is not None}
    if not any_counts(held):
        return nothing_compared(groups, name)
    run = next(iter(groups.values()))[0]
    labels = run.items["label"].to_numpy()[run.neighbors(protocol).queries]
    compared = compare(held, labels, name)
    summary = compared.summary.copy()
    for side in ("low", "high"):
        summary[side] = [getattr(found[title], side) for title in summary["name"]]
    return dataclasses.replace(compared, summary=summary, unit=first.protocol.unit)


def _place(group: tuple[str, Sequence[Run]]) -> list[tuple[str, str]]:
    """Return a place that does not depend on titles and order, as the draws of a test do."""
    return sorted((run.name, str(run.path.resolve())) for run in group[1])


def _untestable(groups: Mapping[str, Sequence[Run]], protocol: str | None, name: str) -> str:
    """Say why runs cannot be tested by a metric, without a full stop; empty if they can."""
    lack = lack_of_scores(groups, protocol, name)
    return f"no test for {metric(name).title}, since {lack}" if lack else ""


def lack_of_scores(groups: Mapping[str, Sequence[Run]], protocol: str | None, name: str) -> str:
    """Say why there is no score of every query under a metric, and the fix if there is one.

    Args:
        groups: Title of a loss -> its runs.
        protocol: Name of the protocol; None for the primary one of each run.
        name: Name of the metric.

    Returns:
        A clause without a full stop; empty if every run holds the scores.
    """
    if not has_scores(name):
        return "it has no score per query"
    without = [
        run for runs in groups.values() for run in runs if scores_of([run], protocol, name) is None
    ]
    if not without:
        return ""
    short = [run.name for run in without if _is_too_short(run.result(protocol), name)]
    if short:
        return f"the ranked lists of {short[0]} are too short"
    lists = [run.name for run in without if run.result(protocol).protocol.of_lists]
    if lists:
        return f"{lists[0]} does not hold it: import its lists again"
    command = f"`retrieval evaluate {shlex.quote(str(without[0].path))}`"
    if len(without) == 1:
        return f"{without[0].name} does not hold it for every query: {command} adds it"
    return f"{len(without)} runs do not hold it for every query: {command} adds it to the first"


def metrics_to_choose(runs: Iterable[Run], protocol: str | None = None) -> list[str]:
    """Return the metrics by which runs may be ranked and compared, in their usual order.

    Args:
        runs: Evaluated runs; those without results under the protocol are ignored.
        protocol: Name of the protocol. Defaults to the primary one of each run.

    Returns:
        Names; Recall@1 is always among them.
    """
    found = {HEADLINE}
    for run in runs:
        result = run.results.get(protocol or run.primary)
        found |= {name for name in (result.metrics if result else ()) if ranks_runs(name)}
    return in_order(found)


def leaders(
    groups: Mapping[str, Sequence[Run]],
    protocol: str | None,
    names: Sequence[str],
    chosen: str = HEADLINE,
) -> dict[str, str]:
    """Say which loss has the best value of each metric.

    Args:
        groups: Title of a loss -> its runs.
        protocol: Name of the protocol; None for the primary one of each run.
        names: Names of metrics; one that a run has no value of is left out.
        chosen: The metric that losses are ranked by. Where losses tie in another one, its leader
            counts. Defaults to ``recall@1``.

    Returns:
        Metric -> title of the loss, the chosen metric first.
    """
    found: dict[str, str] = {}
    for name in dict.fromkeys([chosen, *names]):
        sign = 1 if metric(name).higher_is_better else -1
        values = {
            title: sign * float(np.mean([run.result(protocol).metric(name).value for run in runs]))
            for title, runs in groups.items()
        }
        if not np.isfinite(list(values.values())).all():
            continue
        tied = [title for title in values if values[title] >= max(values.values()) - EQUAL]
        found[name] = found[chosen] if found.get(chosen) in tied else tied[0]
    return found

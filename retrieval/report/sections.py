"""Sort runs into comparable sections, each with a table of metrics and paired tests.

Runs are in one table only if their metrics are comparable: same data set, same items, same
protocol. Runs that differ only in their seed share a row.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from retrieval.datasets import DATASETS
from retrieval.datasets.base import Dataset
from retrieval.datasets.official import PLACEHOLDER_WARNING
from retrieval.errors import UserError, counted, unknown_option
from retrieval.evaluation.metrics import (
    DASH,
    HEADLINE,
    RECALL,
    in_order,
    is_metric,
    ranks_runs,
    reported,
    that_rank_runs,
)
from retrieval.evaluation.noninferiority import check_margin
from retrieval.evaluation.protocol import Protocol
from retrieval.evaluation.significance import Comparison
from retrieval.evaluation.slices import Sliced
from retrieval.report.comparing import compare_losses, estimates, leaders
from retrieval.report.compression import LossForms, Nested, forms_of_groups
from retrieval.report.published import published_notes, published_table
from retrieval.report.slices import check_sliceable, slice_losses
from retrieval.report.tuning import TunedLosses, tuned_losses, tunings_among
from retrieval.runs.checks import check_neighbors
from retrieval.runs.columns import column_groups
from retrieval.runs.records import ProtocolResult
from retrieval.runs.run import Run
from retrieval.settings.identity import experiment_key
from retrieval.settings.schema import UNTRAINED

SAME = (
    "name", "distance", "normalized", "no_positive", "ties", "kmeans", "n_init",
    "n_items", "n_queries", "n_gallery", "n_classes", "n_without_positive",
    "exclusion", "n_excluded", "relevance", "unlisted",
)  # fmt: skip


def reported_metrics(dataset: str) -> tuple[str, ...]:
    """Return the metrics reported on a data set.

    Args:
        dataset: Name in ``DATASETS``; any other name has the default K.

    Returns:
        Names as in ``metrics.json``: Recall@K at its usual K, then the others, and those that its
        official evaluation has besides.
    """
    entry = DATASETS.get(dataset)
    return (*reported(entry.ks), *entry.metrics) if entry else reported(Dataset.ks)


def ranking_metrics(dataset: str) -> tuple[str, ...]:
    """Return the metrics by which runs on a data set may be ranked and compared.

    Args:
        dataset: Name in ``DATASETS``; any other name has the default K.
    """
    entry = DATASETS.get(dataset)
    return (*that_rank_runs(entry.ks), *entry.metrics) if entry else that_rank_runs(Dataset.ks)


@dataclass(frozen=True)
class Section:
    """Comparable runs.

    Attributes:
        dataset: Name of the data set.
        title: Title of the protocol, such as ``leave-one-out`` or ``cross-store``; followed by what
            differs if the report has several sections of this title and data set.
        protocol: The evaluation protocol.
        line: The protocol in one sentence.
        groups: Row name -> its runs, one per seed; the best first.
        table: One row per group. ``name``, ``seeds``, ``dimension`` and, per metric, ``<metric>``,
            ``<metric>/low`` and ``<metric>/high``: the value and its 95% interval, over classes
            and, for several seeds, over seeds.
        comparison: Comparison of all groups by one metric on the same queries; without values if
            no query counts for every run.
        published: Published results of the runs' recipes, see
            :func:`retrieval.report.published.published_table`.
        notes: Recipe -> note on its published results.
        leaders: Metric -> row with its best value, the metric of the comparison first.
        baseline: Row that every other one is compared with besides the best; empty for none.
        margin: Margin of non-inferiority to the baseline, as stored; None if none was given.
        all_pairs: Whether all pairs of rows are tested too.
        slices: Slices of every row on its own, in the order of the rows; none unless asked for.
        sliced_pair: Slices of the best row and of the baseline, or of the second best; None for one
            row, or unless asked for.
        unsliced: Why there are no slices though they were asked for; empty otherwise.
        forms: The smaller forms of the embeddings of rows that have them.
        nested: Rows that were trained at several widths, each beside the plain loss.
        without_forms: Why rows have no smaller forms though some of their runs do.
        tunings: The fair tunings all of whose runs are in this section.
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
    leaders: dict[str, str] = field(default_factory=dict)
    baseline: str = ""
    margin: float | None = None
    all_pairs: bool = False
    slices: tuple[Sliced, ...] = ()
    sliced_pair: Sliced | None = None
    unsliced: str = ""
    forms: tuple[LossForms, ...] = ()
    nested: tuple[Nested, ...] = ()
    without_forms: tuple[str, ...] = ()
    tunings: tuple[TunedLosses, ...] = ()

    @property
    def n_seeds(self) -> list[int]:
        """Number of training seeds of every row; 0 for imports and for untrained networks."""
        return [sum(_is_trained(run) for run in runs) for runs in self.groups.values()]


@dataclass(frozen=True)
class Tests:
    """Which tests a report holds besides the comparisons with the best, and of what metric.

    Attributes:
        baseline: Name of the row that every other one is compared with. Defaults to the untrained
            network, if there is one.
        margin: Margin of non-inferiority to the baseline, above 0, as stored. Defaults to none.
        all_pairs: Whether to test all pairs of rows. Defaults to False.
        metric: Metric that rows are ranked and tested by. Defaults to the first one to tabulate by
            which runs may be ranked, or Recall@1.
        by: Column of the items that the queries are sliced by, see
            :func:`retrieval.runs.columns.column_groups`. Defaults to none.
    """

    baseline: str = ""
    margin: float | None = None
    all_pairs: bool = False
    metric: str = ""
    by: str = ""


NO_MORE = Tests()


def _is_trained(run: Run) -> bool:
    return run.settings is not None and run.settings.loss != UNTRAINED


def make_report(
    runs: Sequence[Run], metrics: Sequence[str] = (), tests: Tests = NO_MORE
) -> list[Section]:
    """Sort runs into comparable sections and tabulate each.

    Args:
        runs: Evaluated runs, of any data sets.
        metrics: Names of the metrics to tabulate. Defaults to :func:`reported_metrics` of each
            data set.
        tests: The tests besides the comparisons with the best. Defaults to those with the untrained
            network, if there is one.

    Returns:
        Sections, sorted by data set and protocol, see :func:`titles_of_protocols`.

    Raises:
        UserError: There are no runs, a run's neighbors are damaged, no run has one of the metrics,
            no row is named as the baseline, the margin is not above 0 or has no baseline, or
            nothing can be sliced by the column.
    """
    if tests.margin is not None:
        check_margin(tests.margin)
    if not runs:
        raise UserError("no runs to report on: give run folders, or train a run first")
    known = {name for run in runs for result in run.results.values() for name in result.metrics}
    # Where there is no positive, a metric is known but has no value: its column is left out.
    absent = any(r.protocol.has_no_positives for run in runs for r in run.results.values())
    for name in metrics:
        if name not in known and not (absent and is_metric(name)) and not RECALL.fullmatch(name):
            raise unknown_option("metric of these runs", name, in_order(known))
    tests = replace(tests, metric=ranked_by(metrics, tests.metric))
    for run in runs:
        check_neighbors(run)
    buckets: dict[tuple, list[tuple[Run, ProtocolResult]]] = {}
    for run in runs:
        items = _fingerprint(run)
        for result in run.results.values():
            key = (run.dataset, *protocol_facts(result).values(), items)
            buckets.setdefault(key, []).append((run, result))
    order = list(titles_of_protocols(runs))

    def place(bucket: tuple[tuple, list[tuple[Run, ProtocolResult]]]) -> tuple:
        key, members = bucket
        return key[0], order.index(members[0][1].protocol.name), key

    sections = [
        _section(members, metrics, tests) for _, members in sorted(buckets.items(), key=place)
    ]
    if tests.baseline and not any(section.baseline for section in sections):
        rows = list(dict.fromkeys(name for section in sections for name in section.groups))
        raise unknown_option("row of this report for the baseline", tests.baseline, rows)
    if tests.margin is not None and not any(section.baseline for section in sections):
        raise UserError(
            "a margin needs a baseline, and no untrained network is there: name a row as baseline"
        )
    if tests.by and not any(section.slices for section in sections):
        raise UserError(sections[0].unsliced)
    return _told_apart(sections)


def _told_apart(sections: list[Section]) -> list[Section]:
    """Add to equal titles of one data set what differs between their sections."""
    alike: dict[tuple[str, str], list[Section]] = {}
    for section in sections:
        alike.setdefault((section.dataset, section.title), []).append(section)
    told, seen = [], Counter[tuple[str, str]]()
    for section in sections:
        others = alike[section.dataset, section.title]
        facts = [_facts_in_words(one.protocol) for one in others]
        own = _facts_in_words(section.protocol)
        differing = [own[name] for name in own if len({one[name] for one in facts}) > 1]
        title = ", ".join([section.title, *differing])
        seen[section.dataset, title] += 1
        if (number := seen[section.dataset, title]) > 1:
            title += f", other items ({number})"
        told.append(replace(section, title=title))
    return told


def _facts_in_words(protocol: Protocol) -> dict[str, str]:
    """Return what makes sections differ, as it stands in their titles: name -> words."""
    return {
        "distance": protocol.measure,
        "normalized": "normalized" if protocol.normalized else "not normalized",
        "no_positive": protocol.without_positives,
        "ties": f"ties: {protocol.ties}",
        "kmeans": f"k-means: {protocol.kmeans}",
        "n_init": counted(protocol.n_init, "start of k-means", "starts of k-means"),
        "n_queries": counted(protocol.n_queries, "query", "queries"),
        "n_gallery": counted(protocol.n_gallery, "gallery item"),
        "n_classes": counted(protocol.n_classes, "class", "classes")
        if protocol.unit == "class"
        else "no classes",
    }


def ranked_by(metrics: Sequence[str], wanted: str = "") -> str:
    """Return the metric that a report ranks and tests its rows by.

    Args:
        metrics: Names of the metrics to tabulate.
        wanted: The metric that was asked for. Defaults to the first one to tabulate by which runs
            may be ranked, or Recall@1 if there is none.

    Raises:
        UserError: Runs cannot be ranked by the metric that was asked for.
    """
    if wanted and not ranks_runs(wanted):
        raise unknown_option("metric to rank runs by", wanted, that_rank_runs())
    return wanted or next(filter(ranks_runs, metrics), HEADLINE)


def titles_of_protocols(runs: Sequence[Run]) -> dict[str, str]:
    """Return the protocols of runs in the order in which they are shown everywhere.

    Args:
        runs: Evaluated runs.

    Returns:
        Name -> title: first the primary protocol of the first run, then its others, then those that
        only later runs have.
    """
    titles: dict[str, str] = {}
    for run in runs:
        for name, title in run.protocol_titles.items():
            titles.setdefault(name, title)
    return titles


def protocol_facts(result: ProtocolResult) -> dict[str, str]:
    """Return what two results on the same items must share for their metrics to be comparable.

    Args:
        result: The results of a run under one protocol.

    Returns:
        Field of the protocol -> value as text, for each of ``SAME``.
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


def _baseline(groups: Mapping[str, Sequence[Run]], wanted: str) -> str:
    """Return the row to compare with: the one that is wanted, or the untrained network."""
    if wanted:
        return wanted if wanted in groups else ""
    untrained = [
        name
        for name, runs in groups.items()
        if all(run.settings is not None and run.settings.loss == UNTRAINED for run in runs)
    ]
    return untrained[0] if len(untrained) == 1 else ""


def _section(
    members: list[tuple[Run, ProtocolResult]], metrics: Sequence[str], tests: Tests
) -> Section:
    first = members[0][1]
    protocol = first.protocol
    groups = group_runs([run for run, _ in members])
    run = members[0][0]
    comparison = compare_losses(groups, protocol.name, tests.metric)
    order = list(comparison.summary["name"])
    columns = tuple(metrics or reported_metrics(run.dataset))
    if not metrics and tests.metric not in columns:
        columns = (tests.metric, *columns)
    rows = [_row(name, groups[name], protocol, columns) for name in order]
    table = pd.DataFrame(rows)
    # A metric without a value is left out; one without an interval has none, as NaN.
    absent = [name for name in columns if table[name].isna().all()]
    table = table.drop(columns=[each + end for each in absent for end in ("", "/low", "/high")])
    published = published_table([run for run, _ in members], protocol.name)
    warnings = named_caveats({name: groups[name] for name in order}, protocol.name)
    placeholder = run.dataset_config.is_placeholder
    skipped = {one.dataset_config.skipped_note: None for one, _ in members}
    baseline = _baseline(groups, tests.baseline) if comparison.n_queries else ""
    slices, sliced_pair, unsliced = _slices(groups, order, baseline, protocol.name, tests)
    ordered = {name: groups[name] for name in order}
    forms, nested, without = forms_of_groups(ordered, protocol.name, tests.metric)
    return Section(
        dataset=run.dataset,
        title=first.title,
        protocol=protocol,
        line="; ".join(
            [
                *([PLACEHOLDER_WARNING] if placeholder else []),
                *filter(None, skipped),
                *warnings,
                _sentence(protocol, clustered="nmi" in table),
            ]
        ),
        groups=ordered,
        table=table,
        comparison=comparison,
        published=published,
        notes=published_notes(published),
        leaders=leaders(groups, protocol.name, ranking_metrics(run.dataset), tests.metric),
        baseline=baseline,
        margin=tests.margin,
        all_pairs=tests.all_pairs,
        slices=slices,
        sliced_pair=sliced_pair,
        unsliced=unsliced,
        forms=forms,
        nested=nested,
        without_forms=without,
        tunings=tuple(
            tuned_losses(tuning, {one.name: one for one, _ in members}, protocol.name, tests.metric)
            for tuning in tunings_among([one for one, _ in members])
        ),
    )


def _slices(
    groups: Mapping[str, Sequence[Run]],
    order: Sequence[str],
    baseline: str,
    protocol: str,
    tests: Tests,
) -> tuple[tuple[Sliced, ...], Sliced | None, str]:
    """Slice every row, and the best one against the baseline or the second best.

    A column may have a single value under one protocol only, so a section says why it has no
    slices; :func:`make_report` refuses a report without any.
    """
    if not tests.by:
        return (), None, ""
    first = groups[order[0]][0]
    others = [name for name in (baseline, *order) if name and name != order[0]]
    try:
        check_sliceable(groups, protocol, tests.metric)
        cut = column_groups(first, tests.by, protocol)
        alone = [slice_losses({name: groups[name]}, cut, protocol, tests.metric) for name in order]
        if not others:
            return tuple(alone), None, ""
        pair = {name: groups[name] for name in (order[0], others[0])}
        return tuple(alone), slice_losses(pair, cut, protocol, tests.metric), ""
    except UserError as error:
        return (), None, str(error)


def _row(
    group: str, runs: Sequence[Run], protocol: Protocol, metrics: Sequence[str]
) -> dict[str, str | float]:
    dimension = runs[0].result(protocol.name).protocol.dimension or DASH
    row: dict[str, str | float] = {"name": group, "seeds": len(runs), "dimension": dimension}
    found_of = estimates(runs, protocol.name, metrics)
    for name in metrics:
        found = found_of[name]
        row |= {name: found.value, f"{name}/low": found.low, f"{name}/high": found.high}
    return row


def named_caveats(groups: Mapping[str, Sequence[Run]], protocol: str | None) -> list[str]:
    """Return what makes figures meaningless, with the names of the rows if it is not all of them.

    Args:
        groups: Row name -> its runs.
        protocol: Name of the protocol; None for the primary one of each run.

    Returns:
        One line per caveat, see :meth:`retrieval.runs.run.Run.caveats`.
    """
    rows: dict[str, list[str]] = {}
    for name, runs in groups.items():
        for line in dict.fromkeys(line for run in runs for line in run.caveats(protocol)):
            rows.setdefault(line, []).append(name)
    return [
        line if len(names) == len(groups) else f"{', '.join(names)}: {line}"
        for line, names in rows.items()
    ]


def _sentence(protocol: Protocol, *, clustered: bool) -> str:
    """State the protocol. The dimension is a column of the table, since runs may differ in it."""
    parts = [
        f"{protocol.rule}, {protocol.measure}",
        f"{protocol.queries}, {counted(protocol.n_gallery, 'gallery item')}",
        protocol.without_positives,
        *filter(None, (protocol.rules, protocol.lists)),
    ]
    if clustered:
        starts = f", best of {protocol.n_init} starts" if protocol.n_init > 1 else ""
        parts.append(f"NMI by k-means ({protocol.kmeans}{starts})")
    return "; ".join(parts)

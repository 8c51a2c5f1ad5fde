"""Slices of runs: which columns there are, the figures of every slice, and what they say in words.

The command line, the reports, the app and the notebooks take slices from here.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from retrieval.errors import UserError, counted
from retrieval.evaluation.binning import Groups
from retrieval.evaluation.metrics import HEADLINE, Metric, metric
from retrieval.evaluation.slices import Sliced, slice_scores, too_few_note
from retrieval.evaluation.statistics import too_few_classes
from retrieval.report.comparing import lack_of_scores, scores_of
from retrieval.report.verdicts import format_p, points
from retrieval.runs.columns import column_groups
from retrieval.runs.run import Run

NO_VERDICT = "no verdict"
CHANCE = "may be chance"


def slice_losses(
    groups: Mapping[str, Sequence[Run]],
    by: str | Groups,
    protocol: str | None = None,
    name: str = HEADLINE,
    bins: int | None = None,
) -> Sliced:
    """Judge one loss, or two, on slices of the queries, each by all of its seeds.

    Args:
        groups: Title of a loss -> its runs, one per seed; one or two losses, comparable with each
            other.
        by: Column of the items, see :func:`retrieval.runs.columns.column_groups`, or the slices.
        protocol: Name of the protocol. Defaults to the primary one of each run.
        name: Name of the metric. Defaults to ``recall@1``.
        bins: Number of quantile bins, see :func:`retrieval.evaluation.binning.group_values`.
            Defaults to 4 or fewer.

    Returns:
        See :func:`retrieval.evaluation.slices.slice_scores`.

    Raises:
        UserError: The metric has no score per query, a run does not hold them, the runs differ in
            their items, or the column cannot be cut.
    """
    check_sliceable(groups, protocol, name)
    first = next(iter(groups.values()))[0]
    for runs in groups.values():
        for run in runs:
            _check_same(run, first, protocol)
    cut = column_groups(first, by, protocol, bins) if isinstance(by, str) else by
    scores = {title: scores_of(runs, protocol, name) for title, runs in groups.items()}
    held = {title: each for title, each in scores.items() if each is not None}
    labels = first.items["label"].to_numpy()[first.neighbors(protocol).queries]
    return slice_scores(held, labels, cut, name)


def check_sliceable(groups: Mapping[str, Sequence[Run]], protocol: str | None, name: str) -> None:
    """Check that every run holds the score of every query.

    Raises:
        UserError: The metric has none, such as NMI, a run does not hold them, or its items have no
            labels.
    """
    for run in (run for runs in groups.values() for run in runs):
        if not run.knows_relevant(protocol):
            raise UserError(
                f"{run.path}: no slices, since the items have no labels: nothing is right"
            )
    if lack := lack_of_scores(groups, protocol, name):
        raise UserError(f"no slices by {metric(name).title}, since {lack}")


def _check_same(run: Run, first: Run, protocol: str | None) -> None:
    """Refuse a run with other items, queries or rules than the first one."""
    if run is first:
        return
    own, other = run.result(protocol).protocol, first.result(protocol).protocol
    for fact in ("name", "distance", "no_positive", "exclusion", "relevance"):
        mine, theirs = getattr(own, fact), getattr(other, fact)
        if mine != theirs:
            raise UserError(
                f"{run.path}: {fact.replace('_', ' ')} is {mine!r}, but {theirs!r} in {first.path}:"
                " compare runs under one protocol"
            )
    same = all(
        np.array_equal(run.items[column].to_numpy(), first.items[column].to_numpy())
        for column in ("path", "label", "role")
    )
    queries = run.neighbors(protocol).queries
    if not same or not np.array_equal(queries, first.neighbors(protocol).queries):
        raise UserError(f"{run.path}: its items are others than those of {first.path}")


def slice_head(sliced: Sliced, *, with_p: bool = True) -> list[str]:
    """Return the heading of :func:`slice_rows`, whose columns have different titles."""
    found = metric(sliced.metric)
    unit = f" ({points(found).strip()})" if points(found) else ""
    titles = sliced.names if sliced.is_pair else (found.title,)
    head = [sliced.column, "Queries", "Classes (effective)", *(f"{each} [95%]" for each in titles)]
    families = [(f"Slice minus rest{unit} [95%]", "p, adjusted", "Verdict")]
    if sliced.is_pair:
        families = [
            (f"Difference{unit} [95%]", "p, adjusted", "Ahead"),
            ("Slice minus rest [95%]", "p of that, adjusted", "Than elsewhere"),
        ]
    for title, p, verdict in families:
        head += [title, p, verdict] if with_p else [title, verdict]
    return head


def slice_rows(
    sliced: Sliced, table: pd.DataFrame | None = None, *, with_p: bool = True
) -> list[list[str]]:
    """Return a row of cells for every slice.

    Args:
        sliced: The slices.
        table: Their table in another order, such as :meth:`Sliced.by_difference`. Defaults to the
            order of the values.
        with_p: Whether to return p-values. Defaults to True.
    """
    found, rows = metric(sliced.metric), []
    for row in (sliced.table if table is None else table).to_dict("records"):
        cells = [
            str(row["slice"]),
            f"{row['queries']:,}",
            f"{row['classes']:,} ({row['effective']:.1f})",
        ]
        for letter in "ab"[: len(sliced.names)]:
            cells.append(found.format(*(row[f"{letter}{end}"] for end in ("", "_low", "_high"))))
        families = [("gap", gap_verdict(sliced, row))]
        if sliced.is_pair:
            families.insert(0, ("difference", difference_verdict(sliced, row)))
        for name, verdict in families:
            ends = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
            cells.append(found.format_difference(*ends))
            cells += [format_p(row[f"{name}_p"])] * with_p
            cells.append(verdict)
        rows.append(cells)
    return rows


def difference_verdict(sliced: Sliced, row: Mapping) -> str:
    """Say which of two runs is ahead in a slice.

    Args:
        sliced: Slices of two runs.
        row: A row of their table.
    """
    if np.isnan(row["difference_low"]):
        return NO_VERDICT
    if not row["difference_significant"]:
        return f"≈ {CHANCE}"
    return f"▲ {sliced.names[0]}" if row["difference"] > 0 else f"▼ {sliced.names[1]}"


def gap_verdict(sliced: Sliced, row: Mapping) -> str:
    """Say whether a slice differs from all other queries.

    Args:
        sliced: Slices of one run or two.
        row: A row of their table.
    """
    if np.isnan(row["gap_low"]):
        return NO_VERDICT
    if not row["gap_significant"]:
        return f"≈ {CHANCE}"
    if sliced.is_pair:
        return f"{'▲ more' if row['gap'] > 0 else '▼ less'} for {sliced.names[0]}"
    return "▲ above the rest" if row["gap"] > 0 else "▼ below the rest"


def family_line(sliced: Sliced) -> str:
    """Say what the intervals and verdicts of slices hold for, without a full stop."""
    parts = []
    if sliced.n_differences:
        parts.append(f"differences: adjusted over {counted(sliced.n_differences, 'slice')}")
    if sliced.n_gaps:
        what = "differences, slice minus rest" if sliced.is_pair else "slice minus rest"
        parts.append(f"{what}: adjusted over {counted(sliced.n_gaps, 'slice')}")
    if note := too_few_note(sliced.table):
        parts.append(note)
    return "; ".join(parts)


def slices_headline(sliced: Sliced) -> str:
    """Say which slices stand out, without a full stop.

    Args:
        sliced: Slices of one run or two.

    Returns:
        The sentence.
    """
    found, table = metric(sliced.metric), sliced.by_difference()
    claimed = table[[not too_few_classes(value) for value in table["effective"]]]
    if claimed.empty:
        return too_few_note(table)
    if not sliced.is_pair:
        return _own_headline(sliced, found, claimed)
    a, b = sliced.names
    significant = claimed[claimed["difference_significant"]]
    if significant.empty:
        said = (
            f"the difference in {found.title} between {a} and {b} may be chance in "
            f"{'the slice' if len(claimed) == 1 else 'every slice'} with a verdict"
        )
    else:
        row = significant.iloc[0]
        ahead, behind = (a, b) if row["difference"] > 0 else (b, a)
        said = (
            f"{ahead} is furthest ahead of {behind} in {_named(sliced, row)}, by "
            f"{_span(found, row, 'difference')}; the difference is significant in "
            f"{len(significant)} of {counted(len(claimed), 'slice')} with a verdict"
        )
    apart = claimed[claimed["gap_significant"].astype(bool)]
    if apart.empty:
        return f"{said}; that it is larger in some slices than in others may be chance"
    row = apart.iloc[apart["gap"].abs().to_numpy().argmax()]
    size = "larger" if row["gap"] > 0 else "smaller"
    return (
        f"{said}; {a} minus {b} is {size} in {_named(sliced, row)} than in all other queries, by "
        f"{_span(found, row, 'gap')}"
    )


def _own_headline(sliced: Sliced, found: Metric, claimed: pd.DataFrame) -> str:
    apart = claimed[claimed["gap_significant"].astype(bool)]
    if apart.empty:
        return f"that slices differ from all other queries in {found.title} may be chance"
    row = apart.iloc[apart["gap"].abs().to_numpy().argmax()]
    where, value = _named(sliced, row), found.format_with_unit(row["a"])
    side = "above" if row["gap"] > 0 else "below"
    return (
        f"in {where}, {found.title} is {value}, {side} all other queries by "
        f"{_span(found, row, 'gap')}"
    )


def _named(sliced: Sliced, row: Mapping | pd.Series) -> str:
    return f"{sliced.column} {row['slice']}"


def _span(found: Metric, row: Mapping | pd.Series, name: str) -> str:
    """Return the amount of a difference or gap without its sign, with its interval."""
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value < 0:
        value, low, high = -value, -high, -low
    low_text, high_text = (found.format_difference(end) for end in (low, high))
    amount = found.format_difference(value).lstrip("+")
    return f"{amount}{points(found)} (95% {low_text} to {high_text})"


def slices_table(sliced: Sliced) -> pd.DataFrame:
    """Return the slices as a table for machines, in the scale of :func:`slice_losses`.

    Args:
        sliced: The slices.

    Returns:
        ``column``, ``slice``, ``metric``, ``run_a`` and ``run_b``, and the columns of
        :class:`retrieval.evaluation.slices.Sliced`, as stored (0.01 is one point).
    """
    table = sliced.table.copy()
    table.insert(0, "column", sliced.column)
    table.insert(2, "metric", sliced.metric)
    for letter, name in zip("ab", sliced.names, strict=False):
        table[f"run_{letter}"] = name
    return table


def slices_json(sliced: Sliced) -> dict:
    """Return the slices as a mapping for JSON; None where there is no value."""
    rows = sliced.table.astype(object).where(sliced.table.notna(), None).to_dict("records")
    return {
        "column": sliced.column,
        "cut": sliced.how,
        "metric": sliced.metric,
        "runs": list(sliced.names),
        "n_queries": sliced.n_queries,
        "n_classes": sliced.n_classes,
        "family": family_line(sliced),
        "slices": [
            {key: value.item() if hasattr(value, "item") else value for key, value in row.items()}
            for row in rows
        ],
    }

"""Results of runs in a notebook: metrics with intervals, Recall@K curves and paired tests."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from retrieval.evaluation.metrics import HEADLINE, in_order, scale_note, summarized
from retrieval.evaluation.metrics import metric as metric_of
from retrieval.evaluation.significance import Comparison
from retrieval.report.comparing import compare_losses, estimates, leaders
from retrieval.report.compression import family_line as costs_family
from retrieval.report.compression import (
    fit_notes,
    forms_of,
    nested_line,
    nested_of,
    nested_pairs,
    table_head,
    table_rows,
)
from retrieval.report.compression import headline as compression_headline
from retrieval.report.sections import named_caveats, ranking_metrics, reported_metrics
from retrieval.report.slices import (
    family_line,
    slice_head,
    slice_losses,
    slice_rows,
    slices_headline,
)
from retrieval.report.verdicts import (
    DIFFERENCE_HEAD,
    against_rows,
    baseline_family,
    best_family,
    best_rows,
    disagreement,
    format_p,
    headline,
    margin_head,
    pairs_family,
    plan_line,
)
from retrieval.runs.records import Estimate
from retrieval.runs.run import Run
from workbench import figures
from workbench.analysis.significance import both_ways
from workbench.analysis.tables import recall_curve


def results_table(
    runs: dict[str, Run], protocol: str | None = None, metric: str = HEADLINE
) -> pd.DataFrame:
    """Tabulate the main metrics, each with its 95% interval (bootstrap over classes).

    Prints the protocol, the number of queries, classes and gallery items, and the scale.

    Args:
        runs: The runs to show, each under the title it has in the output.
        protocol: Name of the evaluation protocol. By default, the primary one of each run.
        metric: Name of the metric that runs are sorted by, which is a column too. Defaults to
            ``recall@1``.

    Returns:
        One row per run, the best first.
    """
    found = {title: run.result(protocol) for title, run in runs.items()}
    names = in_order({*summarized(), metric})
    rows = {}
    for title, run in runs.items():
        values = estimates([run], protocol, names)
        rows[title] = {metric_of(m).title: _text(m, values[m]) for m in names}
    order = _best_first({title: [run] for title, run in runs.items()}, protocol, metric)
    first = next(iter(found.values()))
    measures = sorted({result.protocol.measure for result in found.values()})
    print(
        f"{first.title}, {' and '.join(measures)}: "
        f"{first.protocol.queries}, "
        f"{first.protocol.n_gallery:,} gallery items.\n"
        f"Scale: {scale_note(names)}. In brackets: 95% intervals."
    )
    for line in named_caveats({title: [run] for title, run in runs.items()}, protocol):
        print(f"Caution: {line}.")
    return pd.DataFrame(rows).T.loc[order].rename_axis("run")


def _text(name: str, found: Estimate) -> str:
    return metric_of(name).format(found.value, found.low, found.high)


def _best_first(groups: dict[str, list[Run]], protocol: str | None, name: str) -> list[str]:
    """Sort titles by a metric, those without a value last."""
    sign = -1 if metric_of(name).higher_is_better else 1

    def place(title: str) -> float:
        value = sign * estimates(groups[title], protocol, [name])[name].value
        return np.inf if np.isnan(value) else value

    return sorted(groups, key=place)


def best_run(runs: dict[str, Run], protocol: str | None = None, metric: str = HEADLINE) -> str:
    """Return the title of the run with the best value of a metric.

    Args:
        runs: The runs to show, each under the title it has in the output.
        protocol: Name of the evaluation protocol. By default, the primary one of each run.
        metric: Name of the metric. Defaults to ``recall@1``.
    """
    return _best_first({title: [run] for title, run in runs.items()}, protocol, metric)[0]


def recall_curves(runs: dict[str, Run], protocol: str | None = None) -> go.Figure:
    """Draw Recall@K against K, one line per run.

    Args:
        runs: The runs to show, each under the title it has in the output.
        protocol: Name of the evaluation protocol. By default, the primary one of each run.
    """
    curves = {
        title: recall_curve(
            run.neighbors(protocol), _rule(run, protocol), run.result(protocol).protocol.deepest
        )
        for title, run in runs.items()
    }
    return figures.recall_curves(curves)


def _rule(run: Run, protocol: str | None) -> str:
    """Return how the protocol scores queries without a relevant item in the gallery."""
    return run.result(protocol).protocol.no_positive


def recall_at(runs: dict[str, Run], ks: tuple[int, ...]) -> pd.DataFrame:
    """Compute Recall@K in percent for any K, without searching again.

    A run stores the rank of the first relevant item of every query, however high, so K is not
    limited to the number of neighbors stored, but to the length of ranked lists that were imported.

    Args:
        runs: The runs to show, each under the title it has in the output.
        ks: Values of K for which to show Recall@K.

    Returns:
        One row per run, one column per K.
    """
    rows = {}
    for title, run in runs.items():
        ranks = run.neighbors().first_relevant_rank
        n_scored, deepest = run.result().n_scored, run.result().protocol.deepest
        hits = {k: ((ranks > 0) & (ranks <= k)).sum() for k in ks}
        rows[title] = {
            (recall := metric_of(f"recall@{k}")).title: recall.format(
                hits[k] / n_scored if n_scored and k <= deepest else np.nan
            )
            for k in ks
        }
    return pd.DataFrame(rows).T


def compare_runs(
    runs: dict[str, Run | list[Run]], protocol: str | None = None, metric: str = HEADLINE
) -> Comparison:
    """Compare runs by a metric on the same queries, by a paired bootstrap over classes.

    Args:
        runs: Title -> run, or several runs that differ only in their seed; all with the same items.
        protocol: Name of the evaluation protocol. By default, the primary one of each run.
        metric: Name of the metric, e.g. ``map@r``. Under NMI, which has no score per query, nothing
            is tested. Defaults to ``recall@1``.

    Returns:
        The comparison of every two titles. Prints where the metrics disagree about the best.
    """
    groups = _groups(runs)
    dataset = next(iter(groups.values()))[0].dataset
    found = leaders(groups, protocol, ranking_metrics(dataset), metric)
    if said := disagreement(found):
        print(f"The metrics disagree about the best: {said}.")
    return compare_losses(groups, protocol, metric)


def _groups(runs: dict[str, Run | list[Run]]) -> dict[str, list[Run]]:
    return {title: run if isinstance(run, list) else [run] for title, run in runs.items()}


def comparison_summary(comparison: Comparison) -> pd.DataFrame:
    """Rank the compared runs, and say of each whether it is the best or may be.

    Prints the conclusion, with the family of comparisons that the intervals of the leads hold for.

    Args:
        comparison: See :func:`compare_runs`.

    Returns:
        One row per title, best first: the metric with its interval over classes and seeds, the lead
        over the best of the others with its simultaneous interval, and the verdict of that
        interval.
    """
    summary, shown = comparison.summary, metric_of(comparison.metric)
    if said := headline(comparison):
        print(f"{said}.")
    table = pd.DataFrame(
        {
            "run": summary["name"],
            f"{shown.title}{', %' if shown.unit else ''}": [
                shown.format(*values)
                for values in zip(summary["mean"], summary["low"], summary["high"], strict=True)
            ],
            "seeds": summary["seeds"],
        }
    ).set_index("run")
    rows = best_rows(comparison)
    if rows:
        table["lead over the best other"] = [row[1] for row in rows]
        table[f"verdict ({best_family(comparison)})"] = [row[2] for row in rows]
    return table


def against_baseline(
    comparison: Comparison, baseline: str, margin: float | None = None
) -> pd.DataFrame:
    """Compare every run with a baseline, such as the untrained network.

    Prints the family of comparisons that the intervals and adjusted p-values hold for.

    Args:
        comparison: See :func:`compare_runs`.
        baseline: Title of the baseline.
        margin: Also say whether a run is not worse than the baseline by more than this many points.
            Defaults to none.

    Returns:
        One row per other run, best first; differences in percentage points.
    """
    shown = metric_of(comparison.metric)
    stored = None if margin is None else margin / shown.scale
    print(f"Intervals and adjusted p-values: {baseline_family(comparison, baseline)}.")
    head = ["run", *(title.lower() for title in DIFFERENCE_HEAD)]
    if stored is not None:
        head.append(margin_head(stored, shown).lower())
    return pd.DataFrame(against_rows(comparison, baseline, stored), columns=head).set_index("run")


def seeds_table(
    runs: dict[str, Run | list[Run]], protocol: str | None = None, metric: str = HEADLINE
) -> pd.DataFrame:
    """Tabulate the metrics of a data set, averaged over seeds.

    Args:
        runs: Title -> run, or several runs that differ only in their seed.
        protocol: Name of the evaluation protocol. By default, the primary one of each run.
        metric: Name of the metric that titles are sorted by. Defaults to ``recall@1``.

    Returns:
        One row per title, the best first: Recall@K for the usual K of the data set, then NMI and
        the other reported metrics, each as mean ± standard deviation over seeds.
    """
    groups = _groups(runs)
    names = reported_metrics(next(iter(groups.values()))[0].dataset)
    values = {
        title: np.array([[run.result(protocol).metric(n).value for n in names] for run in group])
        for title, group in groups.items()
    }
    rows = {
        title: {"seeds": len(found)}
        | {metric_of(n).title: _mean_and_sd(n, found[:, i]) for i, n in enumerate(names)}
        for title, found in values.items()
    }
    order = _best_first(groups, protocol, metric)
    print(f"Scale: {scale_note(names)}. ±: standard deviation over seeds.")
    return pd.DataFrame(rows).T.loc[order].rename_axis("run")


def _mean_and_sd(name: str, values: np.ndarray) -> str:
    mean = metric_of(name).format(float(values.mean()))
    if len(values) < 2:
        return mean
    return f"{mean} ± {metric_of(name).format(float(values.std(ddof=1)))}"


def paired_tests(comparison: Comparison) -> pd.DataFrame:
    """List for every two runs which one is better, and whether that is significant.

    Intervals and adjusted p-values are simultaneous over all pairs, which the headings say. Where
    only the best run or a baseline is of interest, :func:`comparison_summary` and
    :func:`against_baseline` find more.

    Args:
        comparison: See :func:`compare_runs`.

    Returns:
        One row per pair, differences as they are printed: percentage points, or those of NMI.
    """
    pairs, shown = comparison.pairs, metric_of(comparison.metric)
    at_one = comparison.metric == HEADLINE and bool(pairs["p_mcnemar"].notna().all())
    columns = ("only better right", "only worse right") if at_one else ("won", "lost")
    significant = pairs["significant"].map({True: "yes", False: "no"})
    return pd.DataFrame(
        {
            "better": pairs["a"],
            "worse": pairs["b"],
            f"{shown.title} difference": [
                shown.format_difference(*values)
                for values in zip(pairs["difference"], pairs["low"], pairs["high"], strict=True)
            ],
            "p (not adjusted)": [format_p(p) for p in pairs["p"]],
            f"p ({pairs_family(comparison)})": [format_p(p) for p in pairs["p_adjusted"]],
            "significant": significant.where(pairs["low"].notna(), "no verdict"),
            columns[0]: pairs["wins"],
            columns[1]: pairs["losses"],
        }
    )


def resolution(comparison: Comparison, a: str, b: str, difference: float = 1.0) -> str:
    """Say how many classes or seeds would resolve a difference between two runs like these.

    Args:
        comparison: See :func:`compare_runs`.
        a: Title of a run.
        b: Title of another run.
        difference: The difference to resolve, in points. Defaults to 1.0.

    Returns:
        One sentence.
    """
    found = metric_of(comparison.metric)
    line = plan_line(comparison.plan(a, b, difference / found.scale), found, comparison.unit)
    return f"{line[0].upper()}{line[1:]}."


def difference_matrix(comparison: Comparison) -> go.Figure:
    """Draw the difference of every two runs as a grid of squares.

    Args:
        comparison: See :func:`compare_runs`.
    """
    names = list(comparison.summary["name"])
    return figures.difference_matrix(both_ways(comparison.pairs), names, comparison.metric)


def slices(
    runs: dict[str, Run | list[Run]],
    by: str,
    protocol: str | None = None,
    metric: str = HEADLINE,
    bins: int | None = None,
) -> pd.DataFrame:
    """Compare slices of the queries, of one run or of two.

    Prints what stands out, and what its intervals are adjusted over.

    Args:
        runs: Title -> run, or several runs that differ only in their seed; one or two titles.
        by: Column of the items, see :func:`retrieval.runs.columns.column_groups`.
        protocol: Name of the evaluation protocol. By default, the primary one of each run.
        metric: Name of the metric. Defaults to ``recall@1``.
        bins: Number of quantile bins of numbers and dates. Defaults to 4 or fewer.

    Returns:
        One row per slice; of two runs, those in which they differ most first.
    """
    sliced = slice_losses(_groups(runs), by, protocol, metric, bins)
    print(f"{slices_headline(sliced)}.")
    if sliced.n_gaps + sliced.n_differences:
        print(f"95% intervals: of the figures each alone; {family_line(sliced)}.")
    table = sliced.by_difference() if sliced.is_pair else sliced.table
    head = slice_head(sliced)
    return pd.DataFrame(slice_rows(sliced, table), columns=head).set_index(head[0])


def slice_forest(
    runs: dict[str, Run | list[Run]],
    by: str,
    protocol: str | None = None,
    metric: str = HEADLINE,
    bins: int | None = None,
) -> go.Figure:
    """Draw the figures of slices with their intervals; arguments as for :func:`slices`."""
    sliced = slice_losses(_groups(runs), by, protocol, metric, bins)
    return figures.slice_forest(sliced, sliced.by_difference() if sliced.is_pair else None)


def bytes_table(
    runs: dict[str, Run | list[Run]], protocol: str | None = None, metric: str = HEADLINE
) -> pd.DataFrame:
    """Tabulate what smaller forms of the embeddings of runs cost.

    Prints what int8 costs and which form is the smallest that costs little, and of a loss that was
    also trained at several widths, what that gains.

    Args:
        runs: Title -> run, or several runs that differ only in their seed. Each was evaluated with
            ``retrieval evaluate RUN --compress``.
        protocol: Name of the evaluation protocol. By default, the primary one of each run.
        metric: Name of the metric. Defaults to ``recall@1``.

    Returns:
        One row per title and form, the largest forms first.
    """
    groups, parts = _groups(runs), []
    for title, members in groups.items():
        forms = forms_of(title, members, protocol, metric)
        print(f"{title}: {compression_headline(forms)}.")
        head = table_head(metric, intervals=forms.has_intervals)
        table = pd.DataFrame(table_rows(forms), columns=head)
        parts.append(table.assign(run=title).set_index(["run", "Form"]))
        notes = [costs_family(forms), *fit_notes(forms)]
    for plain, nested in nested_pairs(groups):
        print(f"{nested_line(nested_of(groups, plain, nested, protocol, metric))}.")
    print(*(f"{note[:1].upper()}{note[1:]}." for note in notes))
    return pd.concat(parts)


def bytes_chart(
    runs: dict[str, Run | list[Run]], protocol: str | None = None, metric: str = HEADLINE
) -> go.Figure:
    """Draw a metric against bytes per vector; arguments as for :func:`bytes_table`."""
    groups = _groups(runs)
    return figures.bytes_chart(
        [forms_of(title, members, protocol, metric) for title, members in groups.items()]
    )

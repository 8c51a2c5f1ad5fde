"""Results of runs in a notebook: metrics with intervals, Recall@K curves and paired tests."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from retrieval.evaluation.metrics import metric, scale_note, summarized
from retrieval.evaluation.significance import Comparison, any_counts, compare, nothing_compared
from retrieval.report.sections import named_caveats, reported_metrics
from retrieval.report.verdicts import (
    DIFFERENCE_HEAD,
    against_rows,
    baseline_family,
    best_family,
    best_rows,
    format_p,
    headline,
    margin_head,
    pairs_family,
    plan_line,
)
from retrieval.runs.records import ProtocolResult
from retrieval.runs.run import Run
from workbench import figures
from workbench.analysis.significance import both_ways
from workbench.analysis.tables import recall_curve


def results_table(runs: dict[str, Run], protocol: str | None = None) -> pd.DataFrame:
    """Tabulate the main metrics, each with its 95% interval (bootstrap over classes).

    Prints the protocol, the number of queries, classes and gallery items, and the scale.

    Args:
        runs: The runs to show, each under the title it has in the output.
        protocol: Name of the evaluation protocol. By default, the primary one of each run.

    Returns:
        One row per run, best R@1 first.
    """
    found = {title: run.result(protocol) for title, run in runs.items()}
    rows = {}
    for title, result in found.items():
        rows[title] = {metric(m).title: _text(result, m) for m in summarized()}
    order = sorted(found, key=lambda t: -np.nan_to_num(found[t].metric("recall@1").value))
    first = next(iter(found.values()))
    distances = sorted({result.protocol.distance for result in found.values()})
    print(
        f"{first.title}, {' and '.join(distances)} distance: "
        f"{first.protocol.n_queries:,} queries of {first.protocol.n_classes:,} classes, "
        f"{first.protocol.n_gallery:,} gallery items.\n"
        f"Scale: {scale_note(summarized())}. In brackets: 95% intervals."
    )
    for line in named_caveats({title: [run] for title, run in runs.items()}, protocol):
        print(f"Caution: {line}.")
    return pd.DataFrame(rows).T.loc[order].rename_axis("run")


def _text(result: ProtocolResult, name: str) -> str:
    found = result.metric(name)
    return metric(name).format(found.value, found.low, found.high)


def best_run(runs: dict[str, Run], protocol: str | None = None) -> str:
    """Return the title of the run with the highest Recall@1.

    Args:
        runs: The runs to show, each under the title it has in the output.
        protocol: Name of the evaluation protocol. By default, the primary one of each run.
    """
    return max(
        runs,
        key=lambda title: np.nan_to_num(runs[title].result(protocol).metric("recall@1").value),
    )


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
            (recall := metric(f"recall@{k}")).title: recall.format(
                hits[k] / n_scored if n_scored and k <= deepest else np.nan
            )
            for k in ks
        }
    return pd.DataFrame(rows).T


def compare_runs(runs: dict[str, Run | list[Run]], protocol: str | None = None) -> Comparison:
    """Compare Recall@1 of runs on the same queries, by a paired bootstrap over classes.

    Args:
        runs: Title -> run, or several runs that differ only in their seed; all with the same items.
        protocol: Name of the evaluation protocol. By default, the primary one of each run.

    Returns:
        The comparison of every two titles.
    """
    groups = {title: run if isinstance(run, list) else [run] for title, run in runs.items()}
    first = next(iter(groups.values()))[0]
    labels = first.items["label"].to_numpy()[first.neighbors(protocol).queries]
    hits = {
        title: np.stack(
            [run.neighbors(protocol).hits_at_one(_rule(run, protocol)) for run in group]
        )
        for title, group in groups.items()
    }
    return compare(hits, labels) if any_counts(hits) else nothing_compared(hits)


def comparison_summary(comparison: Comparison) -> pd.DataFrame:
    """Rank the compared runs by Recall@1, and say of each whether it is the best or may be.

    Prints the conclusion, with the family of comparisons that the intervals of the leads hold for.

    Args:
        comparison: See :func:`compare_runs`.

    Returns:
        One row per title, best first: R@1 with its interval over classes and seeds, the lead over
        the best of the others with its simultaneous interval, and the verdict of that interval.
    """
    summary, recall = comparison.summary, metric(comparison.metric)
    if said := headline(comparison):
        print(f"{said}.")
    table = pd.DataFrame(
        {
            "run": summary["name"],
            f"{recall.title}{', %' if recall.unit else ''}": [
                recall.format(*values)
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
    stored = None if margin is None else margin / metric(comparison.metric).scale
    print(f"Intervals and adjusted p-values: {baseline_family(comparison, baseline)}.")
    head = ["run", *(title.lower() for title in DIFFERENCE_HEAD)]
    if stored is not None:
        head.append(margin_head(stored, metric(comparison.metric)).lower())
    return pd.DataFrame(against_rows(comparison, baseline, stored), columns=head).set_index("run")


def seeds_table(runs: dict[str, Run | list[Run]], protocol: str | None = None) -> pd.DataFrame:
    """Tabulate the metrics of a data set, averaged over seeds.

    Args:
        runs: Title -> run, or several runs that differ only in their seed.
        protocol: Name of the evaluation protocol. By default, the primary one of each run.

    Returns:
        One row per title, best R@1 first: Recall@K for the usual K of the data set, then NMI and
        the other reported metrics, each as mean ± standard deviation over seeds.
    """
    groups = {title: run if isinstance(run, list) else [run] for title, run in runs.items()}
    names = reported_metrics(next(iter(groups.values()))[0].dataset)
    values = {
        title: np.array([[run.result(protocol).metric(n).value for n in names] for run in group])
        for title, group in groups.items()
    }
    rows = {
        title: {"seeds": len(found)}
        | {metric(n).title: _mean_and_sd(n, found[:, i]) for i, n in enumerate(names)}
        for title, found in values.items()
    }
    first = names.index("recall@1")
    order = sorted(values, key=lambda title: -np.nan_to_num(values[title][:, first].mean()))
    print(f"Scale: {scale_note(names)}. ±: standard deviation over seeds.")
    return pd.DataFrame(rows).T.loc[order].rename_axis("run")


def _mean_and_sd(name: str, values: np.ndarray) -> str:
    mean = metric(name).format(float(values.mean()))
    if len(values) < 2:
        return mean
    return f"{mean} ± {metric(name).format(float(values.std(ddof=1)))}"


def paired_tests(comparison: Comparison) -> pd.DataFrame:
    """List for every two runs which one is better at rank 1, and whether that is significant.

    Intervals and adjusted p-values are simultaneous over all pairs, which the headings say. Where
    only the best run or a baseline is of interest, :func:`comparison_summary` and
    :func:`against_baseline` find more.

    Args:
        comparison: See :func:`compare_runs`.

    Returns:
        One row per pair, differences in percentage points.
    """
    pairs = comparison.pairs
    significant = pairs["significant"].map({True: "yes", False: "no"})
    return pd.DataFrame(
        {
            "better": pairs["a"],
            "worse": pairs["b"],
            "R@1 difference": [
                metric("recall@1").format_difference(*values)
                for values in zip(pairs["difference"], pairs["low"], pairs["high"], strict=True)
            ],
            "p (not adjusted)": [format_p(p) for p in pairs["p"]],
            f"p ({pairs_family(comparison)})": [format_p(p) for p in pairs["p_adjusted"]],
            "significant": significant.where(pairs["low"].notna(), "no verdict"),
            "only better right": pairs["wins"],
            "only worse right": pairs["losses"],
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
    found = metric(comparison.metric)
    line = plan_line(comparison.plan(a, b, difference / found.scale), found)
    return f"{line[0].upper()}{line[1:]}."


def difference_matrix(comparison: Comparison) -> go.Figure:
    """Draw the Recall@1 difference of every two runs as a grid of squares.

    Args:
        comparison: See :func:`compare_runs`.
    """
    return figures.difference_matrix(both_ways(comparison.pairs), list(comparison.summary["name"]))

"""Compare runs: intervals, paired tests, their correction, and the variation over seeds.

Runs are compared on the same queries. A difference is judged by a bootstrap over classes in which
every run sees the same resamples (paired), and at rank 1 also by McNemar's test. Among many pairs
some differences would look significant by chance, so the p-values are corrected by Holm's method.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retrieval.errors import UserError
from retrieval.evaluation.metrics import is_metric
from retrieval.evaluation.metrics import metric as metric_of
from retrieval.evaluation.results import Result
from retrieval.evaluation.statistics import (
    ALPHA,
    class_sums,
    class_weights,
    holm,
    mcnemar,
    mean_interval,
    paired_p,
    percentile_interval,
    resamples,
)
from retrieval.validation import check_integer, check_seed


@dataclass(frozen=True)
class Resampled:
    """The mean score of every run in every resample, by source of variation.

    Attributes:
        classes: float64, (n_samples, names), means over the resampled classes.
        seeds: float64, (n_samples, names), random deviations of the mean over training seeds.
        errors: float64, (names,), standard error of the mean over seeds; 0 for one seed.
        n_seeds: int64, (names,), number of seeds.
        n_classes: Number of classes.
    """

    classes: NDArray[np.float64]
    seeds: NDArray[np.float64]
    errors: np.ndarray
    n_seeds: np.ndarray
    n_classes: int

    @classmethod
    def of(
        cls, table: Mapping[str, np.ndarray], classes: np.ndarray, n_classes: int, seed: int
    ) -> Self:
        """Draw the deviations over seeds from Student's t: few seeds say little about their spread.

        Args:
            table: Name -> scores, float64 (seeds, q).
            classes: float64, (n_samples, names), means over the resampled classes.
            n_classes: Number of classes.
            seed: Seed of the draws.

        Returns:
            The resamples; the deviations are 0 for runs with one seed.
        """
        rng = np.random.default_rng([seed, 1])
        noise, errors = np.zeros(classes.shape), np.zeros(len(table))
        n_seeds = np.array([len(value) for value in table.values()])
        for column, value in enumerate(table.values()):
            if len(value) > 1:
                errors[column] = value.mean(axis=1).std(ddof=1) / np.sqrt(len(value))
                noise[:, column] = errors[column] * rng.standard_t(len(value) - 1, len(classes))
        return cls(classes, noise, errors, n_seeds, n_classes)

    @property
    def means(self) -> NDArray[np.float64]:
        """Means with both sources of variation, float64 (n_samples, names)."""
        return self.classes + self.seeds

    def p_value(self, a: int, b: int, difference: float) -> float:
        """Return the p-value of the difference between columns ``a`` and ``b``.

        See :func:`retrieval.evaluation.statistics.paired_p`.
        """
        over_classes = self.classes[:, a] - self.classes[:, b]
        both = over_classes + self.seeds[:, a] - self.seeds[:, b]
        errors = np.array([over_classes.std(), self.errors[a], self.errors[b]])
        freedom = np.array([self.n_classes, self.n_seeds[a], self.n_seeds[b]]) - 1
        return paired_p(both, difference, errors, freedom, self.n_classes)


def pair_table(
    table: Mapping[str, np.ndarray],
    means: np.ndarray,
    resampled: Resampled,
    order: list[str],
    bounds: tuple[float, float],
) -> pd.DataFrame:
    """Compare every two runs, the better one first.

    Args:
        table: Name -> scores, float64 (seeds, q).
        means: float64, (q, names), means over seeds, in the order of ``table``.
        resampled: Resamples of the same runs.
        order: Names, best first.
        bounds: Least and greatest possible score.

    Returns:
        See :attr:`Comparison.pairs`; without columns where there is no pair.
    """
    column = {name: i for i, name in enumerate(table)}
    widest = bounds[1] - bounds[0]
    draws, binary = resampled.means, np.isin(means, (0, 1)).all()
    rows = []
    for a, b in combinations(order, 2):
        x, y = means[:, column[a]], means[:, column[b]]
        low, high = percentile_interval(draws[:, column[a]] - draws[:, column[b]])
        low, high = np.clip((low, high), -widest, widest)
        wins, losses = int((x > y).sum()), int((x < y).sum())
        paired_coins = binary and len(table[a]) == len(table[b]) == 1
        difference = x.mean() - y.mean()
        rows.append(
            {
                "a": a,
                "b": b,
                "difference": difference,
                "low": low,
                "high": high,
                "p": resampled.p_value(column[a], column[b], difference),
                "wins": wins,
                "ties": len(x) - wins - losses,
                "losses": losses,
                "p_mcnemar": mcnemar(wins, losses) if paired_coins else np.nan,
            }
        )
    frame = pd.DataFrame(rows)
    if len(frame):
        frame.insert(6, "p_holm", holm(frame["p"].to_numpy()))
        frame.insert(7, "significant", frame["p_holm"] < ALPHA)
        frame["p_mcnemar_holm"] = holm(frame["p_mcnemar"].to_numpy())
    return frame


Scores = Result | list[Result] | np.ndarray

# What must agree for per-query scores to be comparable. K-means and its seed do not affect them.
PROTOCOL = ("name", "rule", "distance", "no_positive", "ties", "n_items", "n_gallery")


@dataclass(frozen=True)
class Comparison:
    """Which run is better, and whether the difference is significant. Prints as two tables.

    Attributes:
        metric: Name of the metric compared.
        summary: One row per name, best first. ``name``, ``mean``; ``low`` and ``high``, the 95%
            interval over classes and, with several seeds, over seeds; ``seeds``, their number;
            ``seed_low`` and ``seed_high``, the 95% t interval of the mean over seeds (NaN for one
            seed); ``best_group``, whether the run is not significantly worse than the best.
            Intervals stay within the bounds of the metric.
        pairs: One row per pair, the better run first. ``a``, ``b``, ``difference``; ``low`` and
            ``high``, its 95% interval (paired bootstrap); ``p``, see
            :func:`retrieval.evaluation.statistics.paired_p`; ``p_holm`` and ``significant``;
            ``wins``, ``ties`` and ``losses``, the queries that ``a`` scores higher, equal and
            lower; ``p_mcnemar`` and ``p_mcnemar_holm``, NaN unless all scores are 0 or 1.
        n_queries: Number of queries compared.
        n_classes: Number of classes they belong to.
    """

    metric: str
    summary: pd.DataFrame
    pairs: pd.DataFrame
    n_queries: int
    n_classes: int

    def __str__(self) -> str:
        head = f"{self.metric}: {self.n_queries:,} queries of {self.n_classes:,} classes"
        tables = [self.summary.round(4).to_string(index=False)]
        if len(self.pairs):
            tables.append(self.pairs.round(4).to_string(index=False))
        return "\n\n".join([head, *tables])


def compare(
    results: Mapping[str, Scores],
    classes: np.ndarray | None = None,
    metric: str = "recall@1",
    *,
    n_samples: int | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare runs on the same queries.

    Args:
        results: Name (of a loss, for example) -> a result, a list of results (one per training
            seed), or per-query scores, float (q,) or (seeds, q), where NaN marks queries that do
            not count.
        classes: (q,), class of each query; only needed with per-query scores.
        metric: Name of the metric that the scores are of, and that is taken from results. Defaults
            to ``recall@1``.
        n_samples: Number of bootstrap resamples, at least 1. Defaults to what the number of pairs
            needs, see :func:`retrieval.evaluation.statistics.resamples`.
        seed: Seed of the resamples. Defaults to 0.

    Returns:
        The comparison.

    Raises:
        UserError: There is nothing to compare, a result lacks the metric, queries or protocols
            differ, or an option is invalid.
    """
    seed = check_seed("seed", seed)
    scores, labels = _scores_of(results, classes, metric)
    table, labels = _common(scores, labels)
    means = np.stack([table[name].mean(axis=0) for name in scores], axis=1)  # (q, names)
    sums, size = class_sums(means, labels)
    totals = np.column_stack([sums, size])
    if n_samples is None:
        n_samples = resamples(len(scores) * (len(scores) - 1) // 2, len(size))
    n_samples = check_integer("n_samples", n_samples, least=1)
    draws = np.concatenate([w @ totals for w in class_weights(len(size), n_samples, seed)])
    resampled = Resampled.of(table, draws[:, :-1] / draws[:, -1:], len(size), seed)
    bounds = metric_of(metric).bounds if is_metric(metric) else (-np.inf, np.inf)
    summary = _summary(table, means, resampled.means, bounds)
    pairs = pair_table(table, means, resampled, list(summary["name"]), bounds)
    if len(pairs):
        best = summary["name"].iloc[0]
        worse = set(pairs.loc[pairs["significant"] & (pairs["a"] == best), "b"])
        summary["best_group"] = ~summary["name"].isin(worse)
    else:
        summary["best_group"] = True
    return Comparison(metric, summary, pairs, len(labels), len(size))


def nothing_compared(names: Iterable[str], metric: str = "recall@1") -> Comparison:
    """Return the comparison of runs none of whose queries counts, because none has a positive.

    Args:
        names: Names of the runs.
        metric: Name of the metric. Defaults to ``recall@1``.

    Returns:
        A comparison without a value, a best run or a pair.
    """
    numbers = ("mean", "low", "high", "seed_low", "seed_high")
    summary = pd.DataFrame({"name": sorted(names)})
    summary = summary.assign(**dict.fromkeys(numbers, np.nan), seeds=1, best_group=False)
    columns = ["a", "b", "difference", "low", "high", "p", "p_holm", "significant", "wins", "ties"]
    pairs = pd.DataFrame(columns=[*columns, "losses", "p_mcnemar", "p_mcnemar_holm"])
    return Comparison(metric, summary, pairs, 0, 0)


def any_counts(scores: Mapping[str, np.ndarray]) -> bool:
    """Return whether a query counts for every run, so that :func:`compare` can compare them.

    Args:
        scores: Name -> per-query scores, float (seeds, q), where NaN marks queries that do not
            count.
    """
    kept = [np.isfinite(value).all(axis=0) for value in scores.values()]
    return bool(np.all(kept, axis=0).any())


def _scores_of(
    results: Mapping[str, Scores], classes: np.ndarray | None, metric: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return each name's scores, float64 (seeds, q), and the class of each query."""
    if not results:
        raise UserError("nothing to compare: give at least one run")
    scores: dict[str, np.ndarray] = {}
    first: Result | None = None
    for name, value in results.items():
        group = list(value) if isinstance(value, list | tuple) else [value]
        members = [result for result in group if isinstance(result, Result)]
        if members and len(members) < len(group):
            raise UserError(f"{name}: results and scores are mixed: give either for all seeds")
        for result in members:
            first = first or result
            classes = first.labels if classes is None else classes
            _check_comparable(name, result, first)
            if not np.array_equal(result.labels, classes):
                raise UserError(f"{name}: its queries differ from the other runs'")
        found = [_column(name, result, metric) for result in members] if members else value
        scores[name] = np.atleast_2d(np.asarray(found, np.float64))
    if classes is None:
        raise UserError("classes are needed with per-query scores: give one per query")
    for name, column in scores.items():
        if column.ndim != 2 or column.shape[1] != len(classes):
            raise UserError(
                f"{name}: scores of {column.shape[-1]} queries, but classes of {len(classes)}"
            )
    return scores, np.asarray(classes)


def _check_comparable(name: str, result: Result, first: Result) -> None:
    """Refuse a result whose queries or protocol differ from those of the first result."""
    if not np.array_equal(result.queries, first.queries):
        raise UserError(f"{name}: its queries are other items than those of the first run")
    for field in PROTOCOL:
        own, other = getattr(result.protocol, field), getattr(first.protocol, field)
        if own != other:
            raise UserError(f"{name}: {field} is {own}, but {other} in the first run")


def _column(name: str, result: Result, metric: str) -> np.ndarray:
    if metric not in result.per_query:
        known = ", ".join(result.per_query)
        raise UserError(f"{name}: no per-query metric {metric!r}; valid: {known}")
    return result.per_query[metric]


def _common(
    scores: dict[str, np.ndarray], classes: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Keep the queries that count for every run."""
    keep = np.all([np.isfinite(value).all(axis=0) for value in scores.values()], axis=0)
    if not keep.any():
        raise UserError("no query counts for every run: nothing to compare")
    return {name: value[:, keep] for name, value in scores.items()}, classes[keep]


def _summary(
    table: dict[str, np.ndarray],
    means: np.ndarray,
    draws: np.ndarray,
    bounds: tuple[float, float],
) -> pd.DataFrame:
    low, high = np.clip(percentile_interval(draws), *bounds)
    rows = []
    for column, (name, value) in enumerate(table.items()):
        seed_low, seed_high = mean_interval(value.mean(axis=1), bounds)
        rows.append(
            {
                "name": name,
                "mean": means[:, column].mean(),
                "low": low[column],
                "high": high[column],
                "seeds": len(value),
                "seed_low": seed_low,
                "seed_high": seed_high,
            }
        )
    frame = pd.DataFrame(rows).sort_values("mean", ascending=False, kind="stable")
    return frame.reset_index(drop=True)

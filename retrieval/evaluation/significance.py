"""Which run wins, and is it real: intervals, paired tests, correction, seeds.

Runs are compared on the same queries. A difference is judged by a bootstrap over classes in which
every run sees the same resamples (paired), and at rank 1 also by McNemar's test. With many pairs
some would look significant by chance, so p-values are corrected by Holm's method.

Every pair of runs: its difference, interval and tests, corrected for their number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np
import pandas as pd

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


@dataclass(frozen=True)
class Resampled:
    """The mean of every run in every resample, and where its spread comes from.

    Attributes:
        classes: float64, (n_samples, names), means over resampled classes.
        seeds: float64, (n_samples, names), deviations of the mean over training seeds.
        errors: float64, (names,), standard error of the mean over seeds; 0 for one seed.
        n_seeds: int64, (names,), seeds.
        n_classes: Classes.
    """

    classes: np.ndarray
    seeds: np.ndarray
    errors: np.ndarray
    n_seeds: np.ndarray
    n_classes: int

    @classmethod
    def of(
        cls, table: Mapping[str, np.ndarray], classes: np.ndarray, n_classes: int, seed: int
    ) -> Self:
        """Add the spread over seeds, drawn from t: few seeds say little about their spread.

        Args:
            table: Name -> scores, float64 (seeds, q).
            classes: float64, (n_samples, names), means over resampled classes.
            n_classes: Classes.
            seed: Seed of the draws.

        Returns:
            Resamples; their deviations are 0 for runs with one seed.
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
    def both(self) -> np.ndarray:
        """Means over classes with the deviations of seeds, float64 (n_samples, names)."""
        return self.classes + self.seeds

    def p(self, a: int, b: int, difference: float) -> float:
        """Return the p-value of the difference of two columns, see :func:`paired_p`."""
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
    """Compare every pair, the better of the two first.

    Args:
        table: Name -> scores, float64 (seeds, q).
        means: float64, (q, names), means over seeds in the order of the table.
        resampled: Of the same names.
        order: Names, best first.
        bounds: Least and greatest possible score.

    Returns:
        ``pairs`` of :class:`significance.Comparison`; no columns where there is no pair.
    """
    column = {name: i for i, name in enumerate(table)}
    widest = bounds[1] - bounds[0]
    both, binary = resampled.both, np.isin(means, (0, 1)).all()
    rows = []
    for a, b in combinations(order, 2):
        x, y = means[:, column[a]], means[:, column[b]]
        low, high = percentile_interval(both[:, column[a]] - both[:, column[b]])
        low, high = np.clip((low, high), -widest, widest)
        wins, losses = int((x > y).sum()), int((x < y).sum())
        coins = binary and len(table[a]) == len(table[b]) == 1
        difference = x.mean() - y.mean()
        rows.append(
            {
                "a": a,
                "b": b,
                "difference": difference,
                "low": low,
                "high": high,
                "p": resampled.p(column[a], column[b], difference),
                "wins": wins,
                "ties": len(x) - wins - losses,
                "losses": losses,
                "p_mcnemar": mcnemar(wins, losses) if coins else np.nan,
            }
        )
    frame = pd.DataFrame(rows)
    if len(frame):
        frame.insert(6, "p_holm", holm(frame["p"].to_numpy()))
        frame.insert(7, "significant", frame["p_holm"] < ALPHA)
        frame["p_mcnemar_holm"] = holm(frame["p_mcnemar"].to_numpy())
    return frame


# What must agree for per-query scores to be comparable: neither k-means nor its seed make them.
PROTOCOL = ("name", "rule", "distance", "no_positive", "ties", "n_items", "n_gallery")


@dataclass(frozen=True)
class Comparison:
    """The answer to "which loss wins, and is it real". Prints as two tables.

    Attributes:
        metric: The metric compared.
        summary: One row per name, best first: ``name``, ``mean``, ``low``, ``high`` (95%, bootstrap
            over classes and, with several seeds, over seeds too), ``seeds``, ``seed_low`` and
            ``seed_high`` (95% t interval of the mean over seeds; NaN for one), ``best_group``: not
            significantly worse than the best.
        pairs: One row per pair, the better first: ``a``, ``b``, ``difference``, ``low``, ``high``
            (paired bootstrap), ``p`` (of the difference, see :func:`paired_tests.paired_p`),
            ``p_holm``, ``significant``, ``wins``, ``ties``, ``losses`` (queries that a scores
            higher, equal, lower), ``p_mcnemar`` and ``p_mcnemar_holm`` (NaN unless scores are 0 or
            1).
        n_queries: Queries compared.
        n_classes: Classes they come from.
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
    results: Mapping[str, Result | list[Result] | np.ndarray],
    classes: np.ndarray | None = None,
    metric: str = "recall@1",
    *,
    n_samples: int | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare runs on the same queries.

    Args:
        results: Name (a loss, say) -> a result, a list of results (one per training seed), or
            per-query scores, float (q,) or (seeds, q); NaN marks queries that do not count.
        classes: (q,), class of each query; needed with per-query scores.
        metric: The per-query metric to take from results.
        n_samples: Bootstrap resamples; default: as the pairs need, :func:`paired_tests.resamples`.
        seed: Seed of the resamples.

    Returns:
        The comparison.

    Raises:
        UserError: Nothing to compare, a metric that a result lacks, or different queries or
            protocols.
    """
    scores, classes = _scores_of(results, classes, metric)
    table, classes = _common(scores, classes)
    means = np.stack([table[name].mean(axis=0) for name in scores], axis=1)  # (q, names)
    sums, size = class_sums(means, classes)
    totals = np.column_stack([sums, size])
    if n_samples is None:
        n_samples = resamples(len(scores) * (len(scores) - 1) // 2, len(size))
    draws = np.concatenate([w @ totals for w in class_weights(len(size), n_samples, seed)])
    resampled = Resampled.of(table, draws[:, :-1] / draws[:, -1:], len(size), seed)
    bounds = metric_of(metric).bounds if is_metric(metric) else (-np.inf, np.inf)
    summary = _summary(table, means, resampled.both, bounds)
    pairs = pair_table(table, means, resampled, list(summary["name"]), bounds)
    if len(pairs):
        best = summary["name"].iloc[0]
        worse = set(pairs.loc[pairs["significant"] & (pairs["a"] == best), "b"])
        summary["best_group"] = ~summary["name"].isin(worse)
    else:
        summary["best_group"] = True
    return Comparison(metric, summary, pairs, len(classes), len(size))


def _scores_of(
    results: Mapping, classes: np.ndarray | None, metric: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return each name's scores, float64 (seeds, q), and the class of each query."""
    if not results:
        raise UserError("nothing to compare: give at least one run")
    scores, first = {}, None
    for name, value in results.items():
        group = value if isinstance(value, list | tuple) else [value]
        if isinstance(group[0], Result):
            classes = group[0].labels if classes is None else classes
            value = [_column(name, result, metric) for result in group]
            for result in group:
                first = first or result
                _check_comparable(name, result, first)
                if not np.array_equal(result.labels, classes):
                    raise UserError(f"{name}: its queries differ from the other runs'")
        scores[name] = np.atleast_2d(np.asarray(value, np.float64))
    if classes is None:
        raise UserError("classes are needed with per-query scores: give one per query")
    for name, value in scores.items():
        if value.ndim != 2 or value.shape[1] != len(classes):
            raise UserError(
                f"{name}: scores of {value.shape[-1]} queries, but classes of {len(classes)}"
            )
    return scores, np.asarray(classes)


def _check_comparable(name: str, result: Result, first: Result) -> None:
    """Refuse a result of other queries or another protocol than the first one's."""
    if not np.array_equal(result.queries, first.queries):
        raise UserError(f"{name}: its queries are other items than the first run's")
    for field in PROTOCOL:
        own, other = getattr(result.protocol, field), getattr(first.protocol, field)
        if own != other:
            raise UserError(f"{name}: evaluated with {field} {own}, the first run with {other}")


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

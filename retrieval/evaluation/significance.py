"""Compare runs on the same queries: which may be the best, and which differences are real.

The resamples are those of :mod:`retrieval.evaluation.bootstrap`, and the intervals of the families
in :mod:`retrieval.evaluation.families`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from retrieval.errors import UserError, unknown_option
from retrieval.evaluation.bootstrap import LEVEL_SAMPLES, ClassScores, level_intervals
from retrieval.evaluation.families import MAYBE, NO_CLAIM, WORSE, Contrasts, Members
from retrieval.evaluation.metrics import HEADLINE, bounds_of
from retrieval.evaluation.planning import Plan, plan
from retrieval.evaluation.protocol import queries_in_words
from retrieval.evaluation.results import Result
from retrieval.evaluation.statistics import mcnemar, mean_interval, too_few_classes, too_few_line
from retrieval.validation import check_integer, check_seed

Scores = Result | list[Result] | np.ndarray

# What must agree for per-query scores to be comparable. K-means and its seed do not affect them.
PROTOCOL = (
    "name", "rule", "distance", "no_positive", "ties", "n_items", "n_gallery", "exclusion",
    "n_excluded", "relevance",
)  # fmt: skip
FEWEST_SAMPLES, MOST_SAMPLES, MOST_DRAWS = 2000, 5000, 25_000_000
DIFFERENCE_COLUMNS = (
    "difference", "low", "high", "p", "p_adjusted", "significant", "wins", "ties", "losses"
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Which run is better, and whether the difference is significant. Prints as two tables.

    Every verdict is read off the interval beside it. The families of differences that are judged
    together are explained in :mod:`retrieval.evaluation.families`: with the best (``summary``),
    with a baseline (:meth:`against`), all pairs (``pairs``), or one pair alone (:meth:`pair`).

    Attributes:
        metric: Name of the metric compared.
        summary: One row per name, best first. ``name``, ``mean``; ``low`` and ``high``, the 95%
            interval of the mean over classes and, with several seeds, over seeds; ``seeds``, their
            number; ``seed_low`` and ``seed_high``, the 95% t interval of the mean over seeds (NaN
            for one seed); ``lead``, the mean minus the best of the other means; ``lead_low`` and
            ``lead_high``, its interval, simultaneous over the comparisons with the best;
            ``verdict``, ``the best`` (the interval of its lead is above 0), ``not the best`` (below
            0), ``may be the best`` or ``no verdict``; ``best_group``, whether the run is not
            excluded as the best.
        pairs: One row per pair, the better run first. ``a``, ``b``, ``difference``; ``low`` and
            ``high``, its 95% interval, simultaneous over all pairs; ``p``, not adjusted;
            ``p_adjusted``, over all pairs; ``significant``, whether the interval excludes 0;
            ``wins``, ``ties`` and ``losses``, the queries that ``a`` scores higher, equal and
            lower; ``p_mcnemar``, not adjusted, NaN unless all scores are 0 or 1.
        n_queries: Number of queries compared.
        n_classes: Number of classes they belong to.
        n_effective: Effective number of classes, see
            :func:`retrieval.evaluation.statistics.effective_classes`.
        reason: Why nothing was tested, though there are values, see :func:`untested`; empty if
            something was.
        unit: ``class``, or ``query`` where queries have no class and each is one of its own, which
            only the words depend on. Defaults to ``class``.
    """

    metric: str
    summary: pd.DataFrame
    pairs: pd.DataFrame
    n_queries: int
    n_classes: int
    n_effective: float = 0.0
    reason: str = ""
    unit: str = "class"
    _names: tuple[str, ...] = field(default=(), repr=False)
    _scores: ClassScores | None = field(default=None, repr=False, compare=False)
    _contrasts: Contrasts | None = field(default=None, repr=False, compare=False)
    _wins: np.ndarray | None = field(default=None, repr=False, compare=False)

    @property
    def no_claim(self) -> str:
        """Why there are no intervals and verdicts, without a full stop; empty if there are."""
        if self.reason:
            return self.reason
        if self.n_queries and too_few_classes(self.n_effective):
            return too_few_line(self.n_effective, self.unit)
        return ""

    @property
    def queries(self) -> str:
        """How many queries were compared, and of how many classes if they have any, in words."""
        return queries_in_words(self.n_queries, self.n_classes, self.unit)

    def against(self, baseline: str) -> pd.DataFrame:
        """Compare every other run with a chosen baseline.

        Args:
            baseline: Name of the baseline.

        Returns:
            One row per other run, best first: ``name``, ``difference`` (to the baseline), ``low``
            and ``high``, its 95% interval, simultaneous over these comparisons; ``p``, not
            adjusted; ``p_adjusted``, over these comparisons; ``significant``; ``wins``, ``ties``,
            ``losses``.

        Raises:
            UserError: No run has that name.
        """
        place = self._place(baseline)
        others = [name for name in self.summary["name"] if name != baseline]
        if not self.n_queries:
            return pd.DataFrame(columns=["name", *DIFFERENCE_COLUMNS])
        pairs = [(self._place(name), place) for name in others]
        found = self._tabulated(pairs)
        found.insert(0, "name", others)
        return found

    def pair(self, a: str, b: str) -> pd.Series:
        """Compare two runs alone: the one comparison is a family of its own.

        Args:
            a: Name of a run.
            b: Name of another run.

        Returns:
            ``difference`` (a minus b), ``low``, ``high``, ``p``, ``p_adjusted`` (the same),
            ``significant``, ``wins``, ``ties``, ``losses``, ``p_mcnemar``.

        Raises:
            UserError: No run has that name, the names are the same, or nothing was compared.
        """
        pairs = [(self._place(a), self._place(b))]
        if a == b or not self.n_queries:
            raise UserError(f"{a} and {b}: give two runs that were compared")
        found = self._tabulated(pairs).iloc[0].astype(object)
        known = self.pairs.set_index(["a", "b"])["p_mcnemar"]
        found["p_mcnemar"] = known[(a, b) if (a, b) in known.index else (b, a)]
        return found

    def among(self, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
        """Compare some pairs of runs, as one family.

        Args:
            pairs: Names of two runs each.

        Returns:
            One row per pair, in the given order: ``a``, ``b``, ``difference`` (a minus b), ``low``
            and ``high``, its 95% interval, simultaneous over these pairs; ``p``, not adjusted;
            ``p_adjusted``, over these pairs; ``significant``; ``wins``, ``ties``, ``losses``.

        Raises:
            UserError: No run has one of the names.
        """
        places = [(self._place(a), self._place(b)) for a, b in pairs]
        if not places or not self.n_queries:
            return pd.DataFrame(columns=["a", "b", *DIFFERENCE_COLUMNS])
        found = self._tabulated(places)
        found.insert(0, "a", [a for a, _ in pairs])
        found.insert(1, "b", [b for _, b in pairs])
        return found

    def plan(self, a: str, b: str, resolution: float = 0.01) -> Plan:
        """Say how many classes or seeds would resolve a difference of two runs like these.

        Args:
            a: Name of a run.
            b: Name of another run.
            resolution: The difference to resolve, as stored (0.01 is one point). Defaults to 0.01.

        Returns:
            See :func:`retrieval.evaluation.planning.plan`.

        Raises:
            UserError: No run has that name, or nothing was compared.
        """
        pair = self._place(a), self._place(b)
        if self._scores is None:
            raise UserError("nothing was compared: no query counts for every run")
        return plan(self._scores, *pair, resolution)

    def _place(self, name: str) -> int:
        if name not in self._names:
            raise unknown_option("run of this comparison", name, list(self.summary["name"]))
        return self._names.index(name)

    def _tabulated(self, pairs: list[tuple[int, int]]) -> pd.DataFrame:
        """Judge pairs of columns as one family."""
        if self._contrasts is None or self._wins is None:
            means = self.summary.set_index("name")["mean"].reindex(self._names).to_numpy()
            return _plain_differences(means, pairs)
        members = self._contrasts.members(pairs)
        return _differences(pairs, members, self._wins, self.n_queries, bounds_of(self.metric))

    def __str__(self) -> str:
        head = f"{self.metric}: {self.queries}"
        head = "; ".join(filter(None, (head, self.no_claim)))
        tables = [self.summary.round(4).to_string(index=False)]
        if len(self.pairs):
            tables.append(self.pairs.round(4).to_string(index=False))
        return "\n\n".join([head, *tables])


def compare(
    results: Mapping[str, Scores],
    classes: np.ndarray | None = None,
    metric: str = HEADLINE,
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
        n_samples: Number of bootstrap resamples of the differences, at least 1. Defaults to 5,000,
            and to fewer, but at least 2,000, above 5,000 classes.
        seed: Seed of the resamples. Defaults to 0.

    Returns:
        The comparison.

    Raises:
        UserError: There is nothing to compare, a result lacks the metric, queries or protocols
            differ, or an option is invalid.
    """
    seed = check_seed("seed", seed)
    given, labels = _scores_of(results, classes, metric)
    table, labels = _common(given, labels)
    scores = ClassScores.of(list(table.values()), labels)
    if n_samples is None:
        n_samples = default_samples(len(scores.size))
    n_samples = check_integer("n_samples", n_samples, least=1)
    contrasts = Contrasts(scores, n_samples, seed)
    summary = _summary(table, scores, contrasts, bounds_of(metric), seed)
    names = tuple(table)
    means = np.stack([value.mean(axis=0) for value in table.values()])  # (names, q)
    wins = np.array([(mean > means).sum(axis=1) for mean in means])
    order = [names.index(name) for name in summary["name"]]
    pairs, members = contrasts.all_pairs(order)
    found = _differences(pairs, members, wins, len(labels), bounds_of(metric))
    found.insert(0, "a", [names[a] for a, _ in pairs])
    found.insert(1, "b", [names[b] for _, b in pairs])
    coins = np.isin(means, (0, 1)).all() and all(len(value) == 1 for value in table.values())
    counts = zip(found["wins"], found["losses"], strict=True)
    found["p_mcnemar"] = [mcnemar(w, x) if coins else np.nan for w, x in counts]
    return Comparison(
        metric,
        summary,
        found,
        len(labels),
        len(scores.size),
        scores.effective,
        _names=names,
        _scores=scores.moderated(),
        _contrasts=contrasts,
        _wins=wins,
    )


def default_samples(n_classes: int) -> int:
    """Return the number of resamples of differences: 5,000, and fewer above 5,000 classes."""
    return max(FEWEST_SAMPLES, min(MOST_SAMPLES, MOST_DRAWS // n_classes))


def nothing_compared(names: Iterable[str], metric: str = HEADLINE) -> Comparison:
    """Return the comparison of runs none of whose queries counts, because none has a positive.

    Args:
        names: Names of the runs.
        metric: Name of the metric. Defaults to ``recall@1``.

    Returns:
        A comparison without a value, a best run or a pair.
    """
    numbers = ("mean", "low", "high", "seed_low", "seed_high", "lead", "lead_low", "lead_high")
    summary = pd.DataFrame({"name": sorted(names)})
    summary = summary.assign(
        **dict.fromkeys(numbers, np.nan), seeds=1, verdict=NO_CLAIM, best_group=False
    )
    pairs = pd.DataFrame(columns=["a", "b", *DIFFERENCE_COLUMNS, "p_mcnemar"])
    return Comparison(metric, summary, pairs, 0, 0, _names=tuple(sorted(names)))


def untested(
    values: Mapping[str, tuple[float, float, float, int]],
    metric: str,
    reason: str,
    *,
    n_queries: int,
    n_classes: int,
) -> Comparison:
    """Return the comparison of runs by a metric that they cannot be tested by.

    Args:
        values: Name -> value, lower and upper end of its interval, and number of training seeds.
        metric: Name of the metric.
        reason: Why there is no test, without a full stop.
        n_queries: Number of queries, at least 1.
        n_classes: Number of their classes.

    Returns:
        A comparison with values, their intervals and differences, but without intervals of
        differences, p-values and verdicts.
    """
    table = pd.DataFrame(values.values(), columns=["mean", "low", "high", "seeds"], dtype=object)
    table = table.astype({"mean": float, "low": float, "high": float, "seeds": int})
    table.insert(0, "name", list(values))
    table = table.sort_values("mean", ascending=False, kind="stable", ignore_index=True)
    means = table["mean"].to_numpy()
    lead = means - means[0]
    lead[0] = np.nan if len(means) < 2 else means[0] - means[1]
    nothing = dict.fromkeys(("seed_low", "seed_high", "lead_low", "lead_high"), np.nan)
    summary = table.assign(**nothing, lead=lead, verdict=NO_CLAIM, best_group=False)
    pairs = [(a, b) for a in range(len(means)) for b in range(a + 1, len(means))]
    found = _plain_differences(means, pairs)
    names = tuple(summary["name"])
    found.insert(0, "a", [names[a] for a, _ in pairs])
    found.insert(1, "b", [names[b] for _, b in pairs])
    found["p_mcnemar"] = np.nan
    return Comparison(metric, summary, found, n_queries, n_classes, reason=reason, _names=names)


def _plain_differences(means: np.ndarray, pairs: list[tuple[int, int]]) -> pd.DataFrame:
    """Tabulate differences that were not tested, in the columns of :func:`_differences`."""
    table = pd.DataFrame({"difference": [means[a] - means[b] for a, b in pairs]}, dtype=float)
    for name in DIFFERENCE_COLUMNS[1:]:
        table[name] = False if name == "significant" else np.nan
    return table


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
        try:
            scores[name] = np.atleast_2d(np.asarray(found, np.float64))
        except (ValueError, TypeError):
            raise UserError(f"{name}: give a score for every query, as numbers") from None
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
    for fact in PROTOCOL:
        own, other = getattr(result.protocol, fact), getattr(first.protocol, fact)
        if own != other:
            raise UserError(f"{name}: {fact} is {own}, but {other} in the first run")


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


def _differences(
    pairs: list[tuple[int, int]],
    members: Members,
    wins: np.ndarray,
    n_queries: int,
    bounds: tuple[float, float],
) -> pd.DataFrame:
    """Tabulate members of a family, with the queries won, tied and lost.

    Args:
        pairs: Runs a and b of each difference.
        members: The differences.
        wins: int, (k, k), number of queries that a run scores higher than another.
        n_queries: Number of queries.
        bounds: Least and greatest possible score.

    Returns:
        The columns :data:`DIFFERENCE_COLUMNS`.
    """
    width = bounds[1] - bounds[0]
    won = np.array([wins[a, b] for a, b in pairs], dtype=np.int64)
    lost = np.array([wins[b, a] for a, b in pairs], dtype=np.int64)
    columns = (
        members.difference,
        np.clip(members.low, -width, width),
        np.clip(members.high, -width, width),
        members.p,
        members.p_adjusted,
        members.significant,
        won,
        n_queries - won - lost,
        lost,
    )
    return pd.DataFrame(dict(zip(DIFFERENCE_COLUMNS, columns, strict=True)))


def _summary(
    table: dict[str, np.ndarray],
    scores: ClassScores,
    contrasts: Contrasts,
    bounds: tuple[float, float],
    seed: int,
) -> pd.DataFrame:
    low, high = level_intervals(scores, bounds, LEVEL_SAMPLES, seed)
    leads, width = contrasts.with_best(), bounds[1] - bounds[0]
    over_seeds = [mean_interval(value.mean(axis=1), bounds) for value in table.values()]
    alone = len(table) == 1 and not too_few_classes(scores.effective)
    verdict = [MAYBE] if alone else list(leads.verdict)
    frame = pd.DataFrame(
        {
            "name": list(table),
            "mean": scores.means,
            "low": low,
            "high": high,
            "seeds": scores.n_seeds,
            "seed_low": [ends[0] for ends in over_seeds],
            "seed_high": [ends[1] for ends in over_seeds],
            "lead": leads.lead,
            "lead_low": np.clip(leads.low, -width, width),
            "lead_high": np.clip(leads.high, -width, width),
            "verdict": verdict,
            "best_group": [each != WORSE for each in verdict],
        }
    )
    frame = frame.sort_values("mean", ascending=False, kind="stable")
    return frame.reset_index(drop=True)

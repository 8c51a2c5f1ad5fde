"""Families of differences that are judged together: with the best, with a baseline, all pairs.

Every difference of a family has an interval d +- c s, with one critical value c for the family:
the 95% quantile, over resamples, of the largest |t*| among its members (max-t; Westfall and Young
1993). With several training seeds there is a second such term, for the error over seeds, and the
two half widths are added as independent errors are. The intervals hold all at once in 95 of 100
cases. A difference is significant exactly when its interval excludes 0, and exactly then its
adjusted p-value is below .05: the three are one computation.

A family is as small as its question. "Which run is the best?" compares every run with the best
only (multiple comparisons with the best; Hsu 1984), so a run that is far behind costs the others
next to nothing, and training more losses does not erase what was found. All pairs are tested only
where all pairs are asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from retrieval.evaluation.bootstrap import ClassScores, seed_deviations, studentize
from retrieval.evaluation.statistics import (
    ALPHA,
    LEAST_DIFFERING,
    share_bounds,
    too_few_classes,
)

BEST, MAYBE, WORSE, NO_CLAIM = "the best", "may be the best", "not the best", "no verdict"


@dataclass(frozen=True)
class Members:
    """The differences of a family, with simultaneous 95% intervals.

    Attributes:
        difference: float64, (p,), observed differences.
        low: float64, (p,), lower ends; NaN if the classes are too few for a claim.
        high: float64, (p,), upper ends.
        p: float64, (p,), p-value of each difference alone, not adjusted.
        p_adjusted: float64, (p,), p-value adjusted over the family.
        significant: bool, (p,), whether the interval excludes 0.
    """

    difference: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p: NDArray[np.float64]
    p_adjusted: NDArray[np.float64]
    significant: NDArray[np.bool_]


@dataclass(frozen=True)
class Leads:
    """What multiple comparisons with the best say of every run.

    Attributes:
        lead: float64, (k,), mean of the run minus that of the best of the others.
        low: float64, (k,), lower ends of the simultaneous 95% intervals of the leads.
        high: float64, (k,), upper ends.
        verdict: Per run: :data:`BEST` where the interval is above 0, :data:`WORSE` where it is
            below 0, else :data:`MAYBE`; :data:`NO_CLAIM` if the classes are too few.
    """

    lead: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    verdict: tuple[str, ...]


class Maxima:
    """The largest |t*| among the members of a family in every resample, over classes and seeds.

    A p-value counts the observed data as one resample, so that it is never 0 (Davison and Hinkley
    1997, section 4.2): (1 + number of maxima at least as large) / (1 + number of resamples). The
    critical value is the order statistic that belongs to a p-value below .05, so that an interval
    excludes 0 exactly when its p-value is below .05.
    """

    def __init__(self, classes: np.ndarray, seeds: np.ndarray) -> None:
        """Sort the maxima.

        Args:
            classes: float, (n_samples,), largest |t*| over classes.
            seeds: float, (n_samples,), largest |t*| over seeds; 0 if all runs have one seed.
        """
        n = len(classes)
        self._classes = np.sort(classes)[::-1].astype(np.float64)
        self._seeds = np.sort(seeds)[::-1].astype(np.float64)
        self._critical = int(np.ceil(ALPHA * (n + 1) - 1 - 1e-9)) - 1

    def _half(
        self, place: np.ndarray | int, error: np.ndarray, seed_error: np.ndarray
    ) -> NDArray[np.float64]:
        """Return half the widths of intervals at a place in the order of the maxima."""
        with np.errstate(invalid="ignore"):  # an error of 0 gives 0, whatever the critical value
            over_classes = np.where(error == 0, 0.0, self._classes[place] * error)
            over_seeds = np.where(seed_error == 0, 0.0, self._seeds[place] * seed_error)
        half: NDArray[np.float64] = np.hypot(over_classes, over_seeds)
        return half

    def half_widths(self, error: np.ndarray, seed_error: np.ndarray) -> NDArray[np.float64]:
        """Return half the widths of the 95% intervals; infinite if there are too few resamples."""
        if self._critical < 0:
            return np.where((error == 0) & (seed_error == 0), 0.0, np.inf)
        return self._half(self._critical, error, seed_error)

    def p_values(
        self, difference: np.ndarray, error: np.ndarray, seed_error: np.ndarray
    ) -> NDArray[np.float64]:
        """Return the p-values of observed differences (p,), by bisection over the maxima."""
        n = len(self._classes)
        first, last = np.zeros(len(difference), int), np.full(len(difference), n)
        while (first < last).any():
            middle = (first + last) // 2
            half = self._half(np.minimum(middle, n - 1), error, seed_error)
            exceeds = (np.abs(difference) > half) & (first < last)
            last = np.where(exceeds, middle, last)
            first = np.where(exceeds | (first >= last), first, middle + 1)
        values: NDArray[np.float64] = (1 + first) / (n + 1)
        return values


class Contrasts:
    """All differences between runs, resampled once, from which every family takes its members.

    Attributes:
        k: Number of runs.
        effective: Effective number of classes.
    """

    def __init__(self, scores: ClassScores, n_samples: int, seed: int = 0) -> None:
        """Resample the differences of all pairs.

        Args:
            scores: The scores of k runs.
            n_samples: Number of resamples.
            seed: Seed of the draws. Defaults to 0.
        """
        self.k, self.effective = scores.sums.shape[1], scores.effective
        self._pairs = list(combinations(range(self.k), 2))
        self._place = {pair: i for i, pair in enumerate(self._pairs)}
        self._means, size = scores.means, scores.size
        found = studentize(scores.moderated(), self._pairs, n_samples, seed)
        self._estimate, self._t = found.estimate, np.abs(found.t)
        self._error, self._seed_error = found.error, found.seed_error
        self._seed_t = None
        if (found.seed_error > 0).any():
            self._seed_t = seed_deviations(scores, self._pairs, n_samples, seed)
        self._gains, self._losses, self._supported = self._carried(scores.sums, size)

    def _carried(self, sums: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the shares won and lost by every pair, and whether enough classes differ."""
        gains, losses = np.zeros(len(self._pairs)), np.zeros(len(self._pairs))
        supported = np.zeros(len(self._pairs), bool)
        n = size.sum()
        for i, (a, b) in enumerate(self._pairs):
            apart = sums[:, a] - sums[:, b]
            gains[i], losses[i] = apart.clip(0).sum() / n, (-apart).clip(0).sum() / n
            supported[i] = np.count_nonzero(np.abs(apart) > 1e-9 * size) >= LEAST_DIFFERING
        return gains, losses, supported

    def _column(self, a: int, b: int) -> tuple[int, int]:
        """Return the column of a pair, and -1 if it holds b - a."""
        return (self._place[a, b], 1) if a < b else (self._place[b, a], -1)

    def members(self, pairs: Sequence[tuple[int, int]], *, with_p: bool = True) -> Members:
        """Judge some differences a - b as one family.

        Args:
            pairs: Runs a and b of each.
            with_p: Whether to compute the p-value of each difference alone. Defaults to True.

        Returns:
            The members, in the order of the pairs.
        """
        found = [self._column(a, b) for a, b in pairs]
        columns = np.array([column for column, _ in found], dtype=np.int64)
        sign = np.array([sign for _, sign in found], dtype=np.float64)
        difference = sign * self._estimate[columns] + 0.0
        p = np.full(len(columns), np.nan)
        if too_few_classes(self.effective) or not len(columns):
            return Members(difference, p, p, p, p, np.zeros(len(columns), bool))
        supported = self._supported[columns]
        low, high = np.empty(len(columns)), np.empty(len(columns))
        if not supported.all():
            rare = ~supported
            low[rare], high[rare] = self._rare(columns[rare], sign[rare], len(columns))
        p[:], adjusted = 1, np.ones(len(columns))
        if supported.any():
            kept, shown = columns[supported], difference[supported]
            errors = self._error[kept], self._seed_error[kept]
            family = self._maxima(kept)
            half = family.half_widths(*errors)
            low[supported], high[supported] = shown - half, shown + half
            adjusted[supported] = family.p_values(shown, *errors)
            if with_p:
                each = np.arange(len(kept))
                alone = [
                    self._maxima(kept[[i]]).p_values(shown[[i]], errors[0][[i]], errors[1][[i]])
                    for i in each
                ]
                p[supported] = np.concatenate(alone)
        return Members(difference, low, high, p, adjusted, (low > 0) | (high < 0))

    def _maxima(self, columns: np.ndarray) -> Maxima:
        """Return the maxima of a family of columns."""
        classes = self._t[:, columns].max(axis=1)
        if self._seed_t is None:
            return Maxima(classes, np.zeros(len(classes)))
        return Maxima(classes, self._seed_t[:, columns].max(axis=1))

    def _rare(
        self, columns: np.ndarray, sign: np.ndarray, family: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the intervals of members of a family that too few classes carry for a claim."""
        gains, losses = self._gains[columns], self._losses[columns]
        low, high = rare_interval(gains, losses, self.effective, family)
        turned = sign < 0
        return np.where(turned, -high, low) + 0.0, np.where(turned, -low, high) + 0.0

    def all_pairs(self, order: Sequence[int]) -> tuple[list[tuple[int, int]], Members]:
        """Judge every two runs as one family.

        Args:
            order: The runs, best first.

        Returns:
            The pairs, the better run first, and their members.
        """
        pairs = list(combinations(order, 2))
        return pairs, self.members(pairs)

    def with_baseline(self, baseline: int) -> tuple[list[tuple[int, int]], Members]:
        """Judge every other run against a baseline, as one family (Dunnett 1955)."""
        pairs = [(other, baseline) for other in range(self.k) if other != baseline]
        return pairs, self.members(pairs)

    def with_best(self) -> Leads:
        """Judge every run against the best of the others (Hsu 1984).

        Whichever run k is truly the best, the intervals of the family of its differences to all
        others hold at once in 95 of 100 cases. So a run i that lies significantly behind some other
        run in its own family is not the best; the runs that are left hold the best with 95%
        confidence. The lead of a run is bounded by what it can be if the best is any of these. A
        run is called worse only if it is behind each of these, so that of several runs which are
        tied as the best none is excluded more often than promised.

        Returns:
            Lead, interval and verdict of every run.
        """
        k, means = self.k, self._means
        if k == 1 or too_few_classes(self.effective):
            nothing = np.full(k, np.nan)
            lead = nothing if k == 1 else _leads(means)
            return Leads(lead, nothing, nothing, (NO_CLAIM,) * k)
        low, high = np.full((k, k), np.inf), np.full((k, k), np.inf)  # of i - j, with i as control
        for i in range(k):
            pairs = [(i, j) for j in range(k) if j != i]
            found = self.members(pairs, with_p=False)
            others = [j for _, j in pairs]
            low[i, others], high[i, others] = found.low, found.high
        candidates = [i for i in range(k) if high[i].min() >= 0]
        if not candidates:  # cannot happen but for rounding: the highest mean is one
            candidates = [int(np.argmax(means))]
        least, most = np.empty(k), np.empty(k)
        for i in range(k):
            cases = []
            if i in candidates:  # if i is the best, its lead is not negative
                cases.append((max(0.0, low[i].min()), max(0.0, high[i].min())))
            # If g is the best, the lead of i is its distance to g.
            cases += [(-high[g, i], min(0.0, -low[g, i])) for g in candidates if g != i]
            least[i], most[i] = min(c[0] for c in cases), max(c[1] for c in cases)
        verdict = tuple(BEST if least[i] > 0 else WORSE if most[i] < 0 else MAYBE for i in range(k))
        return Leads(_leads(means), least + 0.0, most + 0.0, verdict)


def rare_interval(
    gains: np.ndarray, losses: np.ndarray, effective: float | np.ndarray, n_members: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the intervals of differences that too few classes carry for a claim.

    The shares of wins and of losses are bounded as those of coins; the interval always holds 0.
    Runs without a difference in any class are a tie, [0, 0].

    Args:
        gains: float, (p,), sum over classes of what the first run is ahead, over the queries.
        losses: float, (p,), the same of what it is behind.
        effective: Effective number of classes, of all or (p,).
        n_members: Number of differences of the family, at least 1.

    Returns:
        Low and high, float64 (p,) each.
    """
    tail = ALPHA / 4 / n_members
    gain_low, gain_high = share_bounds(gains, effective, tail)
    loss_low, loss_high = share_bounds(losses, effective, tail)
    low = np.minimum(gain_low - loss_high, 0.0)
    high = np.maximum(gain_high - loss_low, 0.0)
    same = (gains == 0) & (losses == 0)
    low[same], high[same] = 0, 0
    return low, high


def _leads(means: np.ndarray) -> NDArray[np.float64]:
    """Return every mean minus the greatest of the others."""
    best = int(np.argmax(means))
    leads: NDArray[np.float64] = means - means[best]
    leads[best] = means[best] - np.delete(means, best).max()
    return leads

"""The studentized bootstrap over classes: the spread of a mean, and of differences of means.

The queries of a class share their positives and their confusions, so they are not independent.
Classes are what a class-disjoint test set samples. Each resample therefore draws as many classes as
there are, with replacement, and takes all queries of each drawn class (cluster bootstrap; Field and
Welsh 2007).

Percentiles of the resampled means are too narrow with few classes: at 10 classes they hold the
truth in 82 to 89 of 100 cases, not in 95. So each resample is divided by its own standard error
(Hall 1992, "The bootstrap and Edgeworth expansion", chapter 3):

    t* = (m* - m) / s*

where m is the mean over queries, sum of S_c / sum of n_c over the classes c, and s the linearized
standard error of that ratio, s^2 = C / (C - 1) sum of (S_c - n_c m)^2 / N^2. Quantiles of t* take
the place of those of Student's t. The table of their coverage is in
``benchmarks/results/statistics.md``, from simulated test sets of known truth.

``scipy.stats.bootstrap`` resamples single observations and cannot give several runs the same
resamples of whole classes, so the bootstrap is our own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from retrieval.evaluation.seed_spread import draw_ratios, moderate
from retrieval.evaluation.statistics import (
    ALPHA,
    effective_classes,
    share_bounds,
    too_few_classes,
)

ROWS = 64  # resamples drawn at a time
LEVEL_SAMPLES = 1000  # of a metric's own interval, wherever it is shown
ZERO = 1e-12  # share of its terms below which a sum of squares is 0 but for rounding


def class_weights(n_classes: int, n_samples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Draw classes with replacement, and yield how often each is drawn in each resample.

    Args:
        n_classes: Number of classes, and of draws in a resample.
        n_samples: Number of bootstrap resamples.
        seed: Seed of the draws; equal seeds give equal, and so paired, resamples.

    Yields:
        float64, (at most 64, n_classes), a few resamples at a time.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, n_samples, ROWS):
        rows = min(ROWS, n_samples - start)
        drawn = rng.integers(0, n_classes, (rows, n_classes), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * np.int32(n_classes)
        counts = np.bincount(drawn.ravel(), minlength=rows * n_classes)
        yield counts.reshape(rows, n_classes).astype(np.float64)


def class_sums(values: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum per-query values by class.

    Args:
        values: float, (q, m), m values of each query.
        classes: int, (q,), class of each query, 0-based.

    Returns:
        Sums (c, m) and number of queries (c,) of the classes that occur, float64.
    """
    _, codes = np.unique(classes, return_inverse=True)
    size = np.bincount(codes).astype(np.float64)
    sums = np.stack([np.bincount(codes, column) for column in values.T], axis=1)
    return sums, size


@dataclass(frozen=True)
class ClassScores:
    """What the bootstrap needs of the scores of k runs (or of k metrics of one run).

    Attributes:
        sums: float64, (c, k), sum of the scores of each class, mean over training seeds.
        size: float64, (c,), number of queries of each class.
        n_seeds: int64, (k,), number of training seeds.
        seed_variance: float64, (k,), variance of the mean score over seeds; 0 for one seed.
        class_noise: float64, (k,), the part of it that comes from single classes, each of which
            scatters over seeds on its own. The spread over classes holds this part already.
    """

    sums: NDArray[np.float64]
    size: NDArray[np.float64]
    n_seeds: NDArray[np.int64]
    seed_variance: NDArray[np.float64]
    class_noise: NDArray[np.float64]

    @classmethod
    def of(cls, scores: Sequence[np.ndarray], classes: np.ndarray) -> Self:
        """Sum the scores of runs by class.

        Args:
            scores: Per run, float (seeds, q), finite.
            classes: (q,), class of each query.
        """
        parts = [class_sums(np.asarray(value).T, classes) for value in scores]  # (c, seeds) each
        size = parts[0][1]
        n, c = size.sum(), len(size)
        variance, noise = np.zeros(len(parts)), np.zeros(len(parts))
        for column, (sums, _) in enumerate(parts):
            seeds = sums.shape[1]
            if seeds > 1:
                means = sums.sum(axis=0) / n
                variance[column] = means.var(ddof=1)
                apart = (
                    sums - sums.mean(axis=1, keepdims=True) - size[:, None] * (means - means.mean())
                )
                noise[column] = np.square(apart).sum() / (seeds - 1) / n**2 * c / max(1, c - 1)
        return cls(
            sums=np.stack([sums.mean(axis=1) for sums, _ in parts], axis=1),
            size=size,
            n_seeds=np.array([sums.shape[1] for sums, _ in parts]),
            seed_variance=variance,
            class_noise=noise,
        )

    @classmethod
    def of_metrics(cls, values: np.ndarray, classes: np.ndarray) -> Self:
        """Sum several metrics of one run by class.

        Args:
            values: float, (q, k), per-query scores under each metric, finite.
            classes: (q,), class of each query.
        """
        sums, size = class_sums(values, classes)
        k = sums.shape[1]
        return cls(sums, size, np.ones(k, np.int64), np.zeros(k), np.zeros(k))

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean over queries and seeds, float64 (k,)."""
        means: NDArray[np.float64] = self.sums.sum(axis=0) / self.size.sum()
        return means

    @property
    def effective(self) -> float:
        """Effective number of classes, see :func:`effective_classes`."""
        return effective_classes(self.size)

    @property
    def seed_errors(self) -> NDArray[np.float64]:
        """Variance of the mean over seeds that the spread over classes does not hold, (k,)."""
        return np.maximum(self.seed_variance - self.class_noise, 0) / self.n_seeds

    @property
    def seed_spread(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Variances over seeds, 0 for one seed, and their degrees of freedom, float64 (k,) each."""
        variance = np.where(self.n_seeds > 1, self.seed_variance, 0.0)
        return variance, np.maximum(self.n_seeds - 1, 1).astype(np.float64)

    def moderated(self) -> Self:
        """Return these scores with the variances over seeds drawn towards their mean.

        It is for runs under one metric, which scatter alike, see
        :func:`retrieval.evaluation.seed_spread.moderate`.
        """
        return replace(self, seed_variance=moderate(*self.seed_spread).variances)

    def select(self, columns: Sequence[int]) -> Self:
        """Return some of the runs."""
        chosen = np.asarray(columns)
        return type(self)(
            self.sums[:, chosen],
            self.size,
            self.n_seeds[chosen],
            self.seed_variance[chosen],
            self.class_noise[chosen],
        )


@dataclass(frozen=True)
class Studentized:
    """Means or differences with their standard errors, and their studentized resamples.

    Attributes:
        estimate: float64, (p,), observed values.
        error: float64, (p,), their standard errors over classes.
        seed_error: float64, (p,), their standard errors over training seeds; 0 for one seed.
        t: float32, (n_samples, p), (resampled - observed) / resampled error over classes; infinite
            where a resample has no spread.
    """

    estimate: NDArray[np.float64]
    error: NDArray[np.float64]
    seed_error: NDArray[np.float64]
    t: NDArray[np.float32]


def studentize(
    scores: ClassScores,
    pairs: Sequence[tuple[int, int]] | None,
    n_samples: int,
    seed: int,
) -> Studentized:
    """Resample means, or differences of means, each in units of its own standard error.

    Args:
        scores: The scores of k runs.
        pairs: Columns a and b of every difference a - b; None for the k means themselves.
        n_samples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        One column per pair, or per run.
    """
    sums, size, k = scores.sums, scores.size, scores.sums.shape[1]
    sign = np.eye(k)  # (p, k), how each column is made of the runs
    if pairs is not None:
        a, b = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        sign = sign[a] - sign[b]
        columns = sums[:, a] - sums[:, b]
    else:
        columns = sums
    c, p = len(size), columns.shape[1]
    factor = c / max(1, c - 1)
    estimate = columns.sum(axis=0) / size.sum()
    apart = columns - size[:, None] * estimate
    rounding = ZERO * np.square(columns).sum(axis=0)
    squares = np.square(apart).sum(axis=0)
    squares[squares <= rounding] = 0
    error = np.sqrt(factor * squares) / size.sum()
    seed_error = np.sqrt(np.abs(sign) @ scores.seed_errors)
    if not p:
        return Studentized(estimate, error, seed_error, np.empty((n_samples, 0), np.float32))
    # Everything of a resample follows from sums over its classes: of the scores, of their squares,
    # of their products with the sizes, and of the sizes.
    table = np.column_stack([np.square(columns), sums, sums * size[:, None], size, np.square(size)])
    parts = []
    for weights in class_weights(c, n_samples, seed):
        drawn = weights @ table
        square, total, product = drawn[:, :p], drawn[:, p : p + k], drawn[:, p + k : p + 2 * k]
        n, n_squared = drawn[:, -2:-1], drawn[:, -1:]
        if pairs is None:
            mean, cross = total / n, product
        else:
            mean, cross = (total[:, a] - total[:, b]) / n, product[:, a] - product[:, b]
        spread = square - 2 * mean * cross + mean**2 * n_squared
        spread[spread <= ZERO * (square + mean**2 * n_squared)] = 0
        spread *= factor / n**2
        moved = mean - estimate
        moved[np.abs(moved) <= ZERO * (np.abs(mean) + np.abs(estimate))] = 0
        with np.errstate(divide="ignore", invalid="ignore"):
            t = moved / np.sqrt(spread)
        t[(moved == 0) & (spread == 0)] = 0
        parts.append(t.astype(np.float32))
    return Studentized(estimate, error, seed_error, np.concatenate(parts))


def seed_deviations(
    scores: ClassScores, pairs: Sequence[tuple[int, int]], n_samples: int, seed: int
) -> NDArray[np.float32]:
    """Draw what differences would deviate over seeds, in units of their own standard errors.

    It is Student's t of two samples with their own variances (Welch 1947), here drawn, since the
    differences of a family share their runs, and the variances were moderated.

    Args:
        scores: The scores of k runs.
        pairs: Columns a and b of every difference.
        n_samples: Number of draws.
        seed: Seed of the draws.

    Returns:
        float32, (n_samples, p), absolute values; 0 where neither run has a spread over seeds.
    """
    k, variance = len(scores.n_seeds), scores.moderated().seed_errors
    rng = np.random.default_rng([seed, 1])
    true, estimated = draw_ratios(*scores.seed_spread, n_samples, rng)
    noise = rng.standard_normal((n_samples, k)) * np.sqrt(variance * true)
    drawn = variance * estimated
    a, b = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    moved, spread = np.abs(noise[:, a] - noise[:, b]), drawn[:, a] + drawn[:, b]
    found: NDArray[np.float32] = np.where(
        spread > 0, moved / np.sqrt(np.where(spread > 0, spread, 1)), 0
    ).astype(np.float32)
    return found


def jackknife_errors(sums: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard error of every mean over classes, from leaving out each class in turn.

    Where one class holds many of the queries, it draws the mean towards itself, and its distance
    from the mean, which the linearized error takes, is too small. The mean without it is not so
    drawn (Tukey 1958; called CR3 in regression).

    Args:
        sums: float64, (c, k), sum of the scores, or of differences, of each class; c at least 2.
        size: float64, (c,), number of queries of each class.

    Returns:
        float64, (k,).
    """
    c, n, total = len(size), size.sum(), sums.sum(axis=0)
    without = (total - sums) / (n - size)[:, None]
    squares = np.square(without - total / n).sum(axis=0)
    errors: NDArray[np.float64] = np.sqrt((c - 1) / c * squares)
    return errors


def interval_method(n_samples: int) -> str:
    """Name the method of :func:`level_intervals` for the protocol; ``none`` without resamples."""
    if not n_samples:
        return "none"
    return f"95%, studentized bootstrap over classes, {n_samples} resamples"


def level_intervals(
    scores: ClassScores,
    bounds: tuple[ArrayLike, ArrayLike] = (0.0, 1.0),
    n_samples: int = LEVEL_SAMPLES,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the 95% interval of every mean: the one interval of a metric, wherever it is shown.

    Both tails are taken from the resamples, since a mean near 0 or 1 has a longer one towards the
    middle, and are at least as long as those of Student's t. The standard error is that of
    :func:`jackknife_errors`. Without either, intervals of means near 1 hold the truth in 92 to 93
    of 100 cases where the sizes of classes are very unequal.

    An interval is never wider than that of as many coins as there are classes, see
    :func:`retrieval.evaluation.statistics.share_bounds`, which also serves where no class differs.

    Args:
        scores: The scores of k runs, or of k metrics.
        bounds: Least and greatest possible score, of all or (k,) each. Defaults to (0, 1).
        n_samples: Number of resamples. Defaults to 1000.
        seed: Seed of the draws. Defaults to 0.

    Returns:
        Low and high, float64 (k,) each; NaN if the classes are too few for a claim.
    """
    k = scores.sums.shape[1]
    if too_few_classes(scores.effective):
        return np.full(k, np.nan), np.full(k, np.nan)
    found = studentize(scores, None, n_samples, seed)
    value, flat = found.estimate, found.error == 0
    error = jackknife_errors(scores.sums, scores.size)
    # Order statistics and no interpolation, so that an infinite value is not mixed with a finite.
    left = np.quantile(found.t, ALPHA / 2, axis=0, method="lower").astype(np.float64)
    right = np.quantile(found.t, 1 - ALPHA / 2, axis=0, method="higher").astype(np.float64)
    # Both errors are added as independent ones are (Zou and Donner 2008), each half width from its
    # own distribution: two seeds say far less of their spread than many classes do.
    over_seeds = special.stdtrit(np.maximum(scores.n_seeds - 1, 1), 1 - ALPHA / 2)
    over_seeds = np.where(scores.n_seeds > 1, over_seeds, 0) * found.seed_error
    shortest = special.stdtrit(scores.effective - 1, 1 - ALPHA / 2)
    with np.errstate(invalid="ignore"):
        down = np.where(flat, np.inf, np.maximum(right, shortest) * error)
        up = np.where(flat, np.inf, np.maximum(-left, shortest) * error)
    least, most = (np.broadcast_to(np.asarray(end, np.float64), (k,)) for end in bounds)
    width = most - least
    bounded = np.isfinite(width)
    share = np.where(bounded, (value - least) / np.where(bounded, width, 1), 0.5)
    lowest, highest = share_bounds(share, scores.effective)
    down = np.where(bounded, np.minimum(down, width * (share - lowest)), down)
    up = np.where(bounded, np.minimum(up, width * (highest - share)), up)
    low, high = value - np.hypot(down, over_seeds), value + np.hypot(up, over_seeds)
    return np.clip(low, least, most), np.clip(high, least, most)

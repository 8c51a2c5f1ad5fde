"""Tests of a difference between runs, and the correction for making many of them.

Confidence intervals by bootstrap over classes.

The queries of a class share their positives and their confusions, so they are not independent;
classes are what a class-disjoint test set samples. Every resample draws as many classes as there
are, with replacement, and takes all queries of each (cluster bootstrap; Field and Welsh 2007).
"""

from collections.abc import Iterator

import numpy as np
from scipy import special  # scipy.stats takes a third of a second to import

LEVEL = 0.95
ROWS = 64  # resamples drawn at a time


def class_weights(n_classes: int, n_samples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each class is drawn, a few resamples at a time.

    Args:
        n_classes: Classes to draw from, with replacement, as many as there are.
        n_samples: Resamples.
        seed: Seed of the draws; equal seeds give equal (so paired) resamples.

    Yields:
        float32, (at most 64, n_classes).
    """
    rng = np.random.default_rng(seed)
    for start in range(0, n_samples, ROWS):
        rows = min(ROWS, n_samples - start)
        drawn = rng.integers(0, n_classes, (rows, n_classes), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * np.int32(n_classes)
        counts = np.bincount(drawn.ravel(), minlength=rows * n_classes)
        yield counts.reshape(rows, n_classes).astype(np.float32)


def class_sums(values: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum per-query values by class.

    Args:
        values: float, (q, m).
        classes: int, (q,), 0-based.

    Returns:
        Sums (c, m) and queries per class (c,), float64; only classes that occur.
    """
    _, codes = np.unique(classes, return_inverse=True)
    size = np.bincount(codes).astype(np.float64)
    sums = np.stack([np.bincount(codes, column) for column in values.T], axis=1)
    return sums, size


def bootstrap_means(
    values: np.ndarray, classes: np.ndarray, n_samples: int = 1000, seed: int = 0
) -> np.ndarray:
    """Resample the mean over queries of some per-query values.

    Args:
        values: float, (q, m), finite.
        classes: int, (q,), class of each query.
        n_samples: Resamples.
        seed: Seed of the draws.

    Returns:
        float64, (n_samples, m): the mean of each column in each resample.
    """
    sums, size = class_sums(values, classes)
    table = np.column_stack([sums, size]).astype(np.float32)
    drawn = [weights @ table for weights in class_weights(len(size), n_samples, seed)]
    drawn = np.concatenate(drawn).astype(np.float64)
    return drawn[:, :-1] / np.maximum(drawn[:, -1:], 1)


def percentile_interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the central 95% of resampled values (n_samples, m): low and high, (m,) each."""
    tail = (1 - LEVEL) / 2
    return np.quantile(draws, tail, axis=0), np.quantile(draws, 1 - tail, axis=0)


ALPHA = 1 - LEVEL


def mean_interval(
    values: np.ndarray, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[float, float]:
    """Return the 95% t interval of the mean over seeds; NaN for fewer than two.

    The mean of a bounded metric lies within the bounds, so cutting the interval off there keeps its
    coverage.

    >>> [round(x, 3) for x in mean_interval(np.array([0.70, 0.72, 0.74]))]
    [0.67, 0.77]
    >>> [round(x, 3) for x in mean_interval(np.array([0.95, 0.99]), (0, 1))]
    [0.716, 1.0]

    Args:
        values: float, (seeds,), one value per seed.
        bounds: Least and greatest possible value. Defaults to none.

    Returns:
        Low and high.
    """
    n = len(values)
    if n < 2:
        return np.nan, np.nan
    half = special.stdtrit(n - 1, 1 - ALPHA / 2) * np.std(values, ddof=1) / np.sqrt(n)
    low, high = np.clip((np.mean(values) - half, np.mean(values) + half), *bounds)
    return float(low), float(high)


def bootstrap_p(difference: np.ndarray) -> float:
    """Two-sided p-value of a difference from its resamples (n_samples,).

    Twice the share of resamples on the far side of zero, counting the observed data as one, so
    that it is never 0 (Davison and Hinkley 1997, section 4.2).
    """
    below, above = (difference <= 0).sum(), (difference >= 0).sum()
    return float(min(1.0, 2 * (min(below, above) + 1) / (len(difference) + 1)))


def welch_p(difference: float, errors: np.ndarray, freedom: np.ndarray, n_classes: int) -> float:
    """Two-sided p-value of a difference over its standard error, for tails too thin to resample.

    The difference over its bootstrap standard error is taken for normal (Efron and Tibshirani 1993,
    chapter 12), with Student's t in place of the normal because few classes or seeds say little
    about their spread; the sources' degrees of freedom are pooled (Welch 1947). Never below
    2^(1 - classes), all that the signs of so many classes can show.

    >>> round(welch_p(0.03, np.array([0.01]), np.array([1e9]), 100), 4)  # z = 3
    0.0027

    Args:
        difference: The observed difference.
        errors: float, (sources,), independent standard errors; 0 where there is no such source.
        freedom: float, (sources,), their degrees of freedom.
        n_classes: Classes compared.

    Returns:
        The p-value, above 0.
    """
    least = 2.0 ** max(1 - n_classes, -1000)
    variance = np.square(errors, dtype=np.float64)
    if not variance.sum() > 0:
        return least
    pooled = variance.sum() ** 2 / (variance**2 / np.maximum(freedom, 1)).sum()
    t = -abs(difference) / np.sqrt(variance.sum())
    return float(max(2 * special.stdtr(pooled, t), least))


def paired_p(
    resampled: np.ndarray,
    difference: float,
    errors: np.ndarray,
    freedom: np.ndarray,
    n_classes: int,
) -> float:
    """Two-sided p-value of a difference: of the bootstrap, below its resolution of :func:`welch_p`.

    The bootstrap's p cannot be less than 2 / (n_samples + 1), which a correction for many pairs
    would lift above any level: no difference, however large, could be significant. So where no
    resample lies on the far side of zero, and only there, the tail is that of Student's t.

    Args:
        resampled: float, (n_samples,), the difference in each resample.
        difference: As observed.
        errors: See :func:`welch_p`.
        freedom: See :func:`welch_p`.
        n_classes: Classes compared.

    Returns:
        The p-value, above 0.
    """
    p = bootstrap_p(resampled)
    if p > 2 / (len(resampled) + 1):
        return p
    return min(p, welch_p(difference, errors, freedom, n_classes))


def resamples(n_pairs: int, n_classes: int) -> int:
    """Return how many bootstrap resamples to draw for a number of corrected pairs.

    Enough for 20 on each side at the corrected level; fewer where that takes long, from 500 classes
    and 10,000 resamples on (5 million drawn classes), since :func:`paired_p` resolves the rest.
    """
    wanted = min(10_000, max(2000, round(40 * n_pairs / ALPHA)))
    return max(1000, min(wanted, 5_000_000 // max(n_classes, 1)))


def mcnemar(wins: int, losses: int) -> float:
    """Exact two-sided p-value of McNemar's test (1947).

    Under the null hypothesis each query on which two runs differ is a fair coin.

    >>> round(mcnemar(8, 2), 4)  # 2 (C(10,0) + C(10,1) + C(10,2)) / 2^10 = 112 / 1024
    0.1094

    Args:
        wins: Queries right under the first run only.
        losses: Queries right under the second run only.

    Returns:
        The p-value; 1 if the runs never differ.
    """
    if wins + losses == 0:
        return 1.0
    return min(1.0, 2 * float(special.bdtr(min(wins, losses), wins + losses, 0.5)))


def holm(p: np.ndarray) -> np.ndarray:
    """Correct p-values for their number (Holm 1979); NaN stays and does not count.

    The i-th smallest of m is multiplied by m - i + 1, and none falls below a smaller one.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]

    Args:
        p: float, (m,).

    Returns:
        float64, (m,), at most 1.
    """
    p = np.asarray(p, np.float64)
    corrected = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    scaled = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(scaled)) if len(order) else scaled
    return corrected

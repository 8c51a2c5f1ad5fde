"""Intervals and tests of metrics: bootstrap over classes, Student's t over seeds, Holm, McNemar.

The queries of a class share their positives and their confusions, so they are not independent.
Classes are what a class-disjoint test set samples. Each bootstrap resample therefore draws as many
classes as there are, with replacement, and takes all queries of each drawn class (cluster
bootstrap; Field and Welsh 2007).

What SciPy or statsmodels does exactly is left to them: Student's t, McNemar's test and Holm's
correction. ``scipy.stats.bootstrap`` resamples single observations and cannot give several runs the
same resamples of whole classes, so the bootstrap is our own.
"""

from collections.abc import Iterator

import numpy as np
from scipy import special  # scipy.stats would add most of a second to every import of the package

LEVEL = 0.95
ALPHA = 1 - LEVEL
ROWS = 64  # resamples drawn at a time


def class_weights(n_classes: int, n_samples: int, seed: int) -> Iterator[np.ndarray]:
    """Draw classes with replacement, and yield how often each is drawn in each resample.

    Args:
        n_classes: Number of classes, and of draws in a resample.
        n_samples: Number of bootstrap resamples.
        seed: Seed of the draws; equal seeds give equal, and so paired, resamples.

    Yields:
        float32, (at most 64, n_classes), a few resamples at a time.
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
        values: float, (q, m), m values of each query.
        classes: int, (q,), class of each query, 0-based.

    Returns:
        Sums (c, m) and number of queries (c,) of the classes that occur, float64.
    """
    _, codes = np.unique(classes, return_inverse=True)
    size = np.bincount(codes).astype(np.float64)
    sums = np.stack([np.bincount(codes, column) for column in values.T], axis=1)
    return sums, size


def bootstrap_means(
    values: np.ndarray, classes: np.ndarray, n_samples: int = 1000, seed: int = 0
) -> np.ndarray:
    """Resample the mean over queries of per-query values.

    Args:
        values: float, (q, m), finite.
        classes: int, (q,), class of each query.
        n_samples: Number of resamples. Defaults to 1000.
        seed: Seed of the draws. Defaults to 0.

    Returns:
        float64, (n_samples, m), the mean of each column in each resample.
    """
    sums, size = class_sums(values, classes)
    table = np.column_stack([sums, size]).astype(np.float32)
    parts = [weights @ table for weights in class_weights(len(size), n_samples, seed)]
    drawn = np.concatenate(parts).astype(np.float64)
    means: np.ndarray = drawn[:, :-1] / np.maximum(drawn[:, -1:], 1)
    return means


def percentile_interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the central 95% of resampled values (n_samples, m): low and high, (m,) each."""
    tail = (1 - LEVEL) / 2
    return np.quantile(draws, tail, axis=0), np.quantile(draws, 1 - tail, axis=0)


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
    """Return the two-sided p-value of a difference from its resamples (n_samples,).

    It is twice the share of resamples on the other side of zero. The observed data count as one
    resample, so that it is never 0 (Davison and Hinkley 1997, section 4.2).
    """
    below, above = (difference <= 0).sum(), (difference >= 0).sum()
    return float(min(1.0, 2 * (min(below, above) + 1) / (len(difference) + 1)))


def welch_p(difference: float, errors: np.ndarray, freedom: np.ndarray, n_classes: int) -> float:
    """Return the two-sided p-value of a difference from its standard error.

    It serves tails that are too thin to resample. The difference over its bootstrap standard error
    is taken to be normal (Efron and Tibshirani 1993, chapter 12), with Student's t in place of the
    normal because few classes or seeds say little about their spread; the degrees of freedom of the
    sources of error are pooled (Welch 1947). It is never below 2^(1 - classes), the least that the
    signs of so many classes can show.

    >>> round(welch_p(0.03, np.array([0.01]), np.array([1e9]), 100), 4)  # z = 3
    0.0027

    Args:
        difference: Observed difference.
        errors: float, (sources,), independent standard errors; 0 for a source that does not apply.
        freedom: float, (sources,), degrees of freedom of each.
        n_classes: Number of classes compared.

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
    """Return the two-sided p-value of a difference, by bootstrap and in its tail by Student's t.

    The bootstrap's p cannot be less than 2 / (n_samples + 1), which a correction for many pairs
    would lift above any level: no difference, however large, could be significant. So where no
    resample lies on the other side of zero, and only there, :func:`welch_p` gives the tail.

    Args:
        resampled: float, (n_samples,), the difference in each resample.
        difference: Observed difference.
        errors: See :func:`welch_p`.
        freedom: See :func:`welch_p`.
        n_classes: Number of classes compared.

    Returns:
        The p-value, above 0.
    """
    p = bootstrap_p(resampled)
    if p > 2 / (len(resampled) + 1):
        return p
    return min(p, welch_p(difference, errors, freedom, n_classes))


def resamples(n_pairs: int, n_classes: int) -> int:
    """Return the number of bootstrap resamples to draw for a number of corrected pairs.

    It is enough for 20 resamples in each tail at the corrected level. Where that takes long, from
    500 classes and 10,000 resamples on (5 million drawn classes), it is fewer, since
    :func:`paired_p` resolves the rest.
    """
    wanted = min(10_000, max(2000, round(40 * n_pairs / ALPHA)))
    return max(1000, min(wanted, 5_000_000 // max(n_classes, 1)))


def mcnemar(wins: int, losses: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (1947).

    Under the null hypothesis each query on which two runs differ is a fair coin.

    >>> round(mcnemar(8, 2), 4)  # 2 (C(10,0) + C(10,1) + C(10,2)) / 2^10 = 112 / 1024
    0.1094

    Args:
        wins: Number of queries that only the first run answers correctly.
        losses: Number of queries that only the second run answers correctly.

    Returns:
        The p-value; 1 if the runs never differ.
    """
    # Imported here because it loads scipy.stats, most of a second.
    from statsmodels.stats.contingency_tables import mcnemar as exact_test

    return float(exact_test([[0, wins], [losses, 0]], exact=True).pvalue)


def holm(p: np.ndarray) -> np.ndarray:
    """Correct p-values for their number (Holm 1979); NaN stays NaN and does not count.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]

    Args:
        p: float, (m,), the uncorrected p-values.

    Returns:
        float64, (m,), at most 1.
    """
    from statsmodels.stats.multitest import multipletests  # loads scipy.stats, as above

    corrected = np.array(p, np.float64)
    known = ~np.isnan(corrected)
    if known.any():
        corrected[known] = multipletests(corrected[known], method="holm")[1]
    return corrected

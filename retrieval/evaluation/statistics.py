"""Textbook intervals and tests, and the number of classes from which claims are made.

What SciPy or statsmodels does exactly is left to them: Student's t, the Clopper-Pearson interval
and McNemar's test. The bootstrap over classes is in :mod:`retrieval.evaluation.bootstrap`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # scipy.stats would add most of a second to every import of the package

LEVEL = 0.95
ALPHA = 1 - LEVEL
# Below this effective number of classes no interval holds what it promises, see
# benchmarks/results/statistics.md, so there is no interval and no verdict.
LEAST_CLASSES = 10
# A difference that fewer classes carry cannot be significant: the signs of five classes that all
# agree have p = 2^-4 = .06, and resamples without any of them are too many.
LEAST_DIFFERING = 6


def effective_classes(size: ArrayLike) -> float:
    """Return how many classes of equal size say as much as these (Kish 1965).

    >>> effective_classes([5, 5, 5, 5]), round(effective_classes([97, 1, 1, 1]), 2)
    (4.0, 1.06)

    Args:
        size: Number of queries of each class.

    Returns:
        (sum of sizes)^2 / sum of squared sizes; 0 for no class.
    """
    n = np.asarray(size, np.float64)
    return float(n.sum() ** 2 / np.square(n).sum()) if n.any() else 0.0


def too_few_classes(effective: float) -> bool:
    """Return whether classes are too few for any interval or verdict."""
    return effective < LEAST_CLASSES - 1e-9


def too_few_line(effective: float, unit: str = "class") -> str:
    """Say that classes are too few for a claim, without a full stop.

    Args:
        effective: Effective number of classes.
        unit: What is resampled, see :attr:`retrieval.evaluation.protocol.Protocol.unit`. Defaults
            to ``class``.
    """
    if unit == "query":
        return (
            f"no intervals and no verdicts: there are {effective:.0f} queries, and claims need "
            f"{LEAST_CLASSES}"
        )
    return (
        f"no intervals and no verdicts: the queries count as {effective:.1f} classes of equal "
        f"size, and claims need {LEAST_CLASSES}"
    )


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


def combined_interval(
    values: ArrayLike,
    lows: ArrayLike,
    highs: ArrayLike,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[float, float]:
    """Return the 95% interval of the mean over seeds from the intervals of the single runs.

    The mean distance of the ends, over classes, and that of Student's t, over seeds, are added as
    independent errors are. It serves metrics whose per-query scores are not at hand.

    Args:
        values: float, (seeds,), value of every run.
        lows: float, (seeds,), lower ends of their intervals; NaN if there are none.
        highs: float, (seeds,), upper ends.
        bounds: Least and greatest possible value. Defaults to none.

    Returns:
        Low and high; those of the run if there is one; NaN if a run has no interval.
    """
    value, low, high = (np.asarray(each, np.float64) for each in (values, lows, highs))
    if len(value) == 1:
        return float(low[0]), float(high[0])
    mean = value.mean()
    over_seeds = mean - mean_interval(value)[0]
    down = mean - np.hypot((value - low).mean(), over_seeds)
    up = mean + np.hypot((high - value).mean(), over_seeds)
    return float(np.clip(down, *bounds)), float(np.clip(up, *bounds))


def share_bounds(
    share: ArrayLike, n: float | np.ndarray, tail: float = ALPHA / 2
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far a share can be from an observed one, as if n coins had been thrown.

    The interval of Clopper and Pearson (1934). No score between 0 and 1 varies more over n classes
    of equal size than a coin does, so it holds, with room to spare, where too few classes differ
    for resamples to show a spread.

    >>> low, high = share_bounds([0.0, 0.5], 40)
    >>> high.round(3).tolist()  # 1 - .025^(1 / 40), and that of 20 of 40
    [0.088, 0.662]

    Args:
        share: float, (m,), observed shares, 0 to 1.
        n: Effective number of classes, of all or (m,); it need not be whole.
        tail: Probability left out at each end. Defaults to 0.025.

    Returns:
        Low and high, (m,) each.
    """
    x = n * np.clip(np.asarray(share, np.float64), 0, 1)
    with np.errstate(all="ignore"):
        low = np.where(x > 1e-12, special.betaincinv(np.maximum(x, 1e-12), n - x + 1, tail), 0.0)
        rest = np.maximum(n - x, 1e-12)
        high = np.where(n - x > 1e-12, special.betaincinv(x + 1, rest, 1 - tail), 1.0)
    return low, high


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

"""Planning: how many classes or training seeds would resolve a difference.

A plan is made from the spread that these runs show, which is itself an estimate: a spread that came
out small by chance gives too small a number. So the two normal quantiles of the textbook (Cohen
1988, chapter 2), 1.96 + 0.84, are replaced by the quantile of the noncentral t distribution that
gives 80% power on average over such plans (Julious and Owen 2006, "Sample size calculations for
clinical studies allowing for uncertainty about the variance"). With it, and with Student's critical
value for 1.96, plans come near to 80% in ``benchmarks/results/statistics.md``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from retrieval.errors import UserError
from retrieval.evaluation.bootstrap import ZERO, ClassScores, jackknife_errors
from retrieval.evaluation.statistics import ALPHA, LEAST_CLASSES

POWER = 0.8
MOST = 10**9  # classes or seeds; a plan that needs more has no end


@dataclass(frozen=True)
class Plan:
    """What it takes to resolve a difference: 80% power at the 5% level, two-sided.

    Attributes:
        resolution: The difference to resolve, as stored.
        classes: Effective number of classes of this test set.
        seeds: Number of training seeds of the run with fewer.
        needed_classes: Effective number of classes needed with as many seeds, at least as many as
            any claim needs; infinite if no number is enough, because the seeds alone scatter too
            much; NaN if the runs do not differ in any class, so that nothing is known of the
            spread.
        needed_seeds: Number of seeds of each run needed on these classes, at least 2; infinite if
            no number is enough, because the classes alone scatter too much; NaN if a run has one
            seed only, whose spread is unknown.
        times: How many times as many classes, and as many seeds, are needed together.
    """

    resolution: float
    classes: float
    seeds: int
    needed_classes: float
    needed_seeds: float
    times: float


def plan(scores: ClassScores, a: int, b: int, resolution: float) -> Plan:
    """Plan for two runs like these, from the spread of their difference over classes and seeds.

    The errors over classes and over seeds, each times its own :func:`multiple`, must add up, as
    independent errors do, to the resolution. The variance over classes falls with the number of
    classes, that over seeds with the number of seeds.

    Args:
        scores: The scores of the runs.
        a: Column of a run.
        b: Column of another run.
        resolution: The difference to resolve, above 0, as stored.

    Returns:
        The plan.

    Raises:
        UserError: The resolution is not above 0.
    """
    if not (math.isfinite(resolution) and resolution > 0):
        raise UserError(f"resolution = {resolution:g}: give a difference above 0")
    apart, size, effective = scores.sums[:, a] - scores.sums[:, b], scores.size, scores.effective
    seeds = int(min(scores.n_seeds[[a, b]]))
    known = 2 * (seeds - 1)  # degrees of freedom of the spread over seeds, of both runs
    of_seeds = float(scores.seed_errors[[a, b]].sum())
    error = float(jackknife_errors(apart[:, None], size)[0]) if len(size) > 1 else 0.0
    if error <= ZERO * np.abs(apart).sum() / size.sum():  # but for rounding
        error = 0.0

    def over_classes(times: float) -> float:
        return multiple(effective - 1, times * effective - 1) ** 2 * error**2 / times

    def over_seeds(times: float) -> float:
        if not known:
            return 0.0
        return multiple(known, 2 * (times * seeds - 1)) ** 2 * of_seeds / times

    wanted, classes, needed_seeds = resolution**2, np.nan, np.nan
    if error:
        classes = _least(
            lambda n: over_classes(n / effective), LEAST_CLASSES, wanted - over_seeds(1)
        )
    if known:
        needed_seeds = _least(lambda m: over_seeds(m / seeds), 2, wanted - over_classes(1))
    hundredths = _least(lambda x: over_classes(x / 100) + over_seeds(x / 100), 1, wanted)
    return Plan(resolution, effective, seeds, classes, needed_seeds, hundredths / 100)


def multiple(known: float, future: float) -> float:
    """Return how many standard errors a difference must be, to be found with 80% probability.

    >>> round(multiple(10_000, 10_000), 2), round(multiple(20, 60), 2), round(multiple(4, 4), 2)
    (2.8, 2.96, 4.67)

    Args:
        known: Degrees of freedom of the standard error that is planned from.
        future: Degrees of freedom of that of the planned test.
    """
    critical = special.stdtrit(max(future, 1), 1 - ALPHA / 2)
    return float(special.nctdtrit(max(known, 1), critical, POWER))


def _least(square: Callable[[float], float], least: int, most: float) -> float:
    """Return the least whole number from some on at which a falling square is small enough."""
    if square(MOST) > most:
        return np.inf
    low, high = least - 1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if square(middle) <= most else (middle, high)
    return float(high)

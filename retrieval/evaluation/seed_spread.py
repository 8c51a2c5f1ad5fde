"""How far losses scatter over training seeds, estimated from all of them together.

Three seeds say little of the spread of a loss: with two degrees of freedom, Student's t of one
comparison is 4.3, and that of the largest of 28 comparisons is about 20. Losses trained in the same
way scatter alike, though. So each variance is drawn towards their mean, by as much as the variances
themselves agree (empirical Bayes; Smyth 2004, "Linear models and empirical Bayes methods for
assessing differential expression in microarray experiments", sections 3 and 6.2): variances that
agree are pooled, and those that do not agree remain as they are.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import special

STEPS = 20  # of Newton's method; eight are enough for 12 digits


def moderate(variances: NDArray[np.float64], freedom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw variances towards their mean.

    Args:
        variances: float64, (..., k), at least 0. Those of 0 are known to be 0 and remain so.
        freedom: float64, (k,), degrees of freedom of each, above 0.

    Returns:
        float64, (..., k), the moderated variances.

    Example:
        >>> moderate(np.array([1.0, 4.0]), np.array([2.0, 2.0])).round(2)
        array([1.75, 3.25])
    """
    known = (variances > 0).all(axis=tuple(range(variances.ndim - 1)))
    if known.sum() < 2:
        return variances
    own, freedom = variances[..., known], freedom[known]
    k, half = known.sum(), freedom / 2
    # The logarithm of a variance of d degrees of freedom has mean log(sigma^2) + digamma(d / 2)
    # - log(d / 2) and variance trigamma(d / 2). What its scatter exceeds this by is that of sigma.
    logs = np.log(own) - special.digamma(half) + np.log(half)
    apart = np.square(logs - logs.mean(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True)
    excess = apart / (k - 1) - special.polygamma(1, half).mean()
    # Together, they are not known better than if all had one variance.
    most = freedom.sum() - freedom
    prior = np.minimum(np.where(excess > 0, 2 * _inverse_trigamma(excess), np.inf), most)
    pooled = (own * freedom).sum(axis=-1, keepdims=True) / freedom.sum()
    found = variances.astype(np.float64)
    found[..., known] = (prior * pooled + freedom * own) / (prior + freedom)
    return found


def _inverse_trigamma(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve trigamma(x) = value by Newton's method on 1 / trigamma (Smyth 2004, appendix)."""
    value = np.maximum(value, 1e-6)
    x: NDArray[np.float64] = 0.5 + 1 / value
    for _ in range(STEPS):
        now = special.polygamma(1, x)
        x = x + now * (1 - now / value) / special.polygamma(2, x)
    return x

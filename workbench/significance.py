"""Is the difference real? Losses compared in pairs, query by query. Pure functions."""

import numpy as np
import pandas as pd

from retrieval.evaluation.bootstrap import bootstrap_means, percentile_interval

N_BOOTSTRAP = 1000


def paired_differences(
    correct: dict[str, np.ndarray], labels: np.ndarray, *, seed: int = 0
) -> pd.DataFrame:
    """Compare every pair of losses on the same queries.

    Args:
        correct: Loss -> float64, (q,): 1 where the query is right at rank 1, 0 where it is wrong,
            or the mean of that over seeds.
        labels: (q,), class of each query.
        seed: Seed of the bootstrap; whole classes are drawn, the same for both losses of a pair.

    Returns:
        One row per ordered pair: ``a``, ``b``, ``delta`` (Recall@1 of a minus that of b), ``low``,
        ``high`` (its 95% interval) and ``verdict``: ``win`` if the interval lies above zero,
        ``loss`` if it lies below, else ``tie``.
    """
    names = list(correct)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    if not pairs:
        return pd.DataFrame(columns=["a", "b", "delta", "low", "high", "verdict"])
    deltas = np.column_stack([correct[a] - correct[b] for a, b in pairs])
    low, high = percentile_interval(bootstrap_means(deltas, labels, N_BOOTSTRAP, seed))
    mean = deltas.mean(axis=0)
    rows = []
    for (a, b), d, lo, hi in zip(pairs, mean, low, high, strict=True):
        rows.append((a, b, d, lo, hi, _verdict(lo, hi)))
        rows.append((b, a, -d, -hi, -lo, _verdict(-hi, -lo)))
    return pd.DataFrame(rows, columns=["a", "b", "delta", "low", "high", "verdict"])


def _verdict(low: float, high: float) -> str:
    return "win" if low > 0 else "loss" if high < 0 else "tie"

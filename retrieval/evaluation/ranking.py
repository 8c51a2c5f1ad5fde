"""Ranking metrics, each a function of the ranks of a query's positives.

Let a query have ``R`` positives (gallery items of its class, itself left out), at the 1-based ranks
``r_1 < r_2 < ... < r_R`` of the gallery sorted by falling similarity.

================  ===============================================  ============================
metric            definition                                       positives at ranks 1, 3 of 2
================  ===============================================  ============================
``recall@K``      1 if r_1 <= K else 0                             recall@1 = 1
``precision@1``   1 if r_1 = 1 else 0 (equals recall@1)            1
``r_precision``   (number of r_i <= R) / R                         1/2 (only rank 1 is <= 2)
``map@r``         (1/R) sum over r_i <= R of i / r_i               (1/1) / 2 = 1/2
``map``           (1/R) sum over all i of i / r_i                  (1/1 + 2/3) / 2 = 5/6
``mrr``           1 / r_1                                          1
================  ===============================================  ============================

``recall@K`` is the retrieval field's Recall@K (Jegou 2011; Song 2016): the share of queries with at
least one positive among the K nearest, and so the cumulative match characteristic (CMC).
R-Precision and MAP@R: Musgrave, Belongie and Lim, *A Metric Learning Reality Check* (2020),
section 3.1. ``map`` is mean average precision over the whole gallery.
"""

import numbers
from collections.abc import Iterable, Sequence

import numpy as np

from retrieval.errors import UserError


def score_ranks(ranks: np.ndarray, n_positive: np.ndarray) -> dict[str, np.ndarray]:
    """Score queries from the ranks of all their positives.

    Example: one query, positives at ranks 1 and 3:

    >>> scores = score_ranks(np.array([1, 3]), np.array([2]))
    >>> [round(float(scores[name][0]), 4) for name in ("r_precision", "map@r", "map", "mrr")]
    [0.5, 0.5, 0.8333, 1.0]

    Args:
        ranks: (sum of ``n_positive``,), 1-based ranks, rising within each query.
        n_positive: int, (q,), how many of them belong to each query.

    Returns:
        ``r_precision``, ``map@r``, ``map`` and ``mrr``, float64 (q,) each; NaN where a query has no
        positive.
    """
    n_positive = np.asarray(n_positive)
    some = n_positive > 0
    starts = np.cumsum(n_positive) - n_positive
    order = np.arange(len(ranks)) - np.repeat(starts, n_positive) + 1
    within = ranks <= np.repeat(n_positive, n_positive)
    precision = order / np.maximum(ranks, 1)
    parts = {
        "r_precision": within,
        "map@r": within * precision,
        "map": precision,
        "mrr": (order == 1) / np.maximum(ranks, 1),
    }
    scores = {}
    for name, part in parts.items():
        values = np.full(len(n_positive), np.nan)
        if some.any():
            total = np.add.reduceat(part.astype(np.float64), starts[some])
            values[some] = total if name == "mrr" else total / n_positive[some]
        scores[name] = values
    return scores


def recall_at(first_hit: np.ndarray, k: int) -> np.ndarray:
    """Tell which queries have a positive among their K nearest.

    >>> recall_at(np.array([1, 3, 0]), 2)
    array([1., 0., 0.])

    Args:
        first_hit: int, (q,), 1-based rank of the nearest positive; 0 where there is none.
        k: The K; it may exceed the gallery.

    Returns:
        float64, (q,), 1 or 0.
    """
    return ((first_hit > 0) & (first_hit <= k)).astype(np.float64)


def cmc(first_hit: np.ndarray, max_rank: int, *, counted: np.ndarray | None = None) -> np.ndarray:
    """Return the cumulative match characteristic: Recall@K for K = 1 .. ``max_rank``.

    >>> cmc(np.array([1, 3, 1, 2]), 3)
    array([0.5 , 0.75, 1.  ])

    Args:
        first_hit: int, (q,), 1-based rank of the nearest positive; 0 where there is none.
        max_rank: Length of the curve.
        counted: bool, (q,), the queries to average over; default: all.

    Returns:
        float64, (max_rank,).
    """
    if counted is not None:
        first_hit = first_hit[counted]
    hits = first_hit[(first_hit > 0) & (first_hit <= max_rank)]
    return np.cumsum(np.bincount(hits, minlength=max_rank + 1))[1:] / max(1, len(first_hit))


def check_ks(ks: Sequence[int]) -> tuple[int, ...]:
    """Return the K list sorted without repeats.

    Raises:
        UserError: A K is not a whole number of at least 1.
    """
    if isinstance(ks, str) or not isinstance(ks, Iterable):
        raise UserError(f"ks = {ks!r}: give several numbers, such as ks=(1, 2, 4, 8)")
    ks = tuple(ks)
    for k in ks:
        whole = isinstance(k, numbers.Real) and not isinstance(k, bool) and k == k // 1
        if not whole or k < 1:
            raise UserError(f"ks holds {k!r}: give whole numbers of at least 1")
    return tuple(sorted({int(k) for k in ks}))

"""Ranking metrics, each a function of the ranks of a query's positives.

Let a query have ``R`` positives (gallery items of its class other than itself) at the 1-based ranks
``r_1 < r_2 < ... < r_R`` of the gallery sorted by decreasing similarity.

================  ===============================================  ============================
metric            definition                                       positives at ranks 1, 3 of 2
================  ===============================================  ============================
``recall@K``      1 if r_1 <= K else 0                             recall@1 = 1
``precision@1``   1 if r_1 = 1 else 0 (equals recall@1)            1
``r_precision``   (number of r_i <= R) / R                         1/2 (only rank 1 is <= 2)
``map@r``         (1/R) sum over r_i <= R of i / r_i               (1/1) / 2 = 1/2
``map``           (1/R) sum over all i of i / r_i                  (1/1 + 2/3) / 2 = 5/6
``mrr``           1 / r_1                                          1
``minp``          R / r_R                                          2/3
``map@K``         (1/min(R, K)) sum over r_i <= K of i / r_i       map@2 = 1/2
``ndcg@K``        DCG@K / ideal DCG@K, gain g of a positive of     ndcg@2 = 1 / (1 + 1/log2(3))
                  grade g, discount 1 / log2(1 + rank)
``ndcg_exp@K``    the same with gain 2^g - 1                       the same, as all grades are 1
``mp@K``          (number of r_i <= k) / k, k = min(r_R, K)        mp@2 = 1/2, mp@5 = 2/3
``map_trapezoid`` (1/R) sum of (i/r_i + (i - 1)/(r_i - 1)) / 2     (1 + (2/3 + 1/2) / 2) / 2
================  ===============================================  ============================

The last six are computed where they are asked for. Their sources:

* ``minp``, mean inverse negative penalty: Ye et al., *Deep Learning for Person Re-identification: A
  Survey and Outlook* (2021), section 4.1.
* ``map@K`` is the mAP@100 of Google Landmarks: Weyand et al., *Google Landmarks Dataset v2* (2020),
  equation 2. ``map_cut_K`` of trec_eval divides by R instead of min(R, K).
* ``ndcg@K`` with linear gains: Jarvelin and Kekalainen, *Cumulated gain-based evaluation of IR
  techniques* (2002), with the discount of trec_eval's ``ndcg_cut``. ``ndcg_exp@K``: Burges et al.,
  *Learning to Rank using Gradient Descent* (2005).
* ``mp@K`` and ``map_trapezoid`` are those of ROxford and RParis: Radenovic et al., *Revisiting
  Oxford and Paris* (2018), and their code. The trapezoids below the precision-recall curve, where
  (i - 1)/(r_i - 1) counts as 1 for r_i = 1, are also the mAP of the official code of Market-1501.

``recall@K`` is the retrieval field's Recall@K (Jegou 2011; Song 2016): the share of queries with at
least one positive among the K nearest, and so the cumulative match characteristic (CMC).
R-Precision and MAP@R: Musgrave, Belongie and Lim, *A Metric Learning Reality Check* (2020),
section 3.1. ``map`` is mean average precision over the whole gallery.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.validation import check_integers

BEYOND = (
    2**31 - 1
)  # rank of a first relevant item that lies somewhere below the end of a ranked list


@dataclass(frozen=True)
class PositiveRanks:
    """The ranks of all positives of some queries, each of which has at least one.

    >>> p = PositiveRanks(np.array([1, 3, 2]), np.array([2, 1]))  # ranks 1, 3 and rank 2
    >>> p.first.tolist(), p.order.tolist(), p.sum(p.ranks <= 2).tolist()
    ([1, 2], [1, 2, 1], [1.0, 1.0])

    Attributes:
        ranks: int, (p,), 1-based, rising within each query, query after query.
        counts: int, (q,), R of each query: its number of positives; p in sum.
        grades: float64, (p,), how relevant each positive is, above 0. Defaults to None: all 1.
    """

    ranks: NDArray[np.int64]
    counts: NDArray[np.int64]
    grades: NDArray[np.float64] | None = None

    @functools.cached_property
    def starts(self) -> NDArray[np.int64]:
        """Position in ``ranks`` of each query's first positive, int64 (q,)."""
        return np.cumsum(self.counts) - self.counts

    @functools.cached_property
    def order(self) -> NDArray[np.int64]:
        """The i of r_i: 1 for a query's nearest positive, 2 for the next, int64 (p,)."""
        return np.arange(len(self.ranks)) - np.repeat(self.starts, self.counts) + 1

    @functools.cached_property
    def within_r(self) -> NDArray[np.bool_]:
        """Whether r_i <= R, bool (p,)."""
        return self.ranks <= np.repeat(self.counts, self.counts)

    @property
    def first(self) -> NDArray[np.int64]:
        """Rank of each query's first relevant item, r_1, int (q,)."""
        return self.ranks[self.starts]

    @property
    def last(self) -> NDArray[np.int64]:
        """Rank of each query's last relevant item, r_R, int (q,)."""
        last: NDArray[np.int64] = self.ranks[self.starts + self.counts - 1]
        return last

    @property
    def gains(self) -> NDArray[np.float64]:
        """The grade of each positive, float64 (p,)."""
        return np.ones(len(self.ranks)) if self.grades is None else self.grades

    def sum(self, values: np.ndarray) -> NDArray[np.float64]:
        """Sum a value of every positive (p,) over each query's positives, float64 (q,)."""
        sums: NDArray[np.float64] = np.add.reduceat(np.asarray(values, np.float64), self.starts)
        return sums


def precision_at_1(p: PositiveRanks) -> NDArray[np.float64]:
    """Return 1 if r_1 = 1, else 0, float64 (q,).

    >>> precision_at_1(PositiveRanks(np.array([1, 3, 2]), np.array([2, 1])))
    array([1., 0.])
    """
    return np.asarray(p.first == 1, np.float64)


def r_precision(p: PositiveRanks) -> NDArray[np.float64]:
    """Return (number of r_i <= R) / R, float64 (q,).

    >>> r_precision(PositiveRanks(np.array([1, 3]), np.array([2])))
    array([0.5])
    """
    return p.sum(p.within_r) / p.counts


def map_at_r(p: PositiveRanks) -> NDArray[np.float64]:
    """Return (1/R) sum over r_i <= R of i / r_i, float64 (q,).

    >>> map_at_r(PositiveRanks(np.array([1, 3]), np.array([2])))
    array([0.5])
    """
    return p.sum(p.within_r * (p.order / p.ranks)) / p.counts


def average_precision(p: PositiveRanks) -> NDArray[np.float64]:
    """Return (1/R) sum over all i of i / r_i, float64 (q,); its mean is mAP.

    >>> average_precision(PositiveRanks(np.array([1, 3]), np.array([2]))).round(4)
    array([0.8333])
    """
    return p.sum(p.order / p.ranks) / p.counts


def reciprocal_rank(p: PositiveRanks) -> NDArray[np.float64]:
    """Return 1 / r_1, float64 (q,).

    >>> reciprocal_rank(PositiveRanks(np.array([1, 3, 2]), np.array([2, 1])))
    array([1. , 0.5])
    """
    return 1 / p.first


def inverse_negative_penalty(p: PositiveRanks) -> NDArray[np.float64]:
    """Return R / r_R, float64 (q,); its mean is mINP.

    >>> inverse_negative_penalty(PositiveRanks(np.array([1, 4]), np.array([2])))
    array([0.5])
    """
    return p.counts / p.last


def average_precision_trapezoid(p: PositiveRanks) -> NDArray[np.float64]:
    """Return the area of trapezoids below the precision-recall curve, float64 (q,).

    >>> average_precision_trapezoid(PositiveRanks(np.array([1, 3]), np.array([2]))).round(4)
    array([0.7917])
    """
    before = np.where(p.ranks > 1, (p.order - 1) / np.maximum(p.ranks - 1, 1), 1.0)
    return p.sum((p.order / p.ranks + before) / 2) / p.counts


def average_precision_at(p: PositiveRanks, k: int) -> NDArray[np.float64]:
    """Return (1/min(R, K)) sum over r_i <= K of i / r_i, float64 (q,); its mean is mAP@K.

    >>> average_precision_at(PositiveRanks(np.array([1, 3]), np.array([2])), 2)
    array([0.5])
    """
    return p.sum((p.ranks <= k) * (p.order / p.ranks)) / np.minimum(p.counts, k)


def precision_at(p: PositiveRanks, k: int) -> NDArray[np.float64]:
    """Return the precision among the first min(r_R, K), float64 (q,); its mean is mP@K.

    >>> precision_at(PositiveRanks(np.array([1, 3]), np.array([2])), 10).round(4)
    array([0.6667])
    """
    depth = np.minimum(p.last, k)
    return p.sum(p.ranks <= np.repeat(depth, p.counts)) / depth


def ndcg_at(p: PositiveRanks, k: int) -> NDArray[np.float64]:
    """Return DCG@K over the ideal DCG@K with the grade as gain, float64 (q,).

    >>> ndcg_at(PositiveRanks(np.array([1, 2]), np.array([2]), np.array([1.0, 3.0])), 2).round(4)
    array([0.7967])
    """
    return _normalized_gain(p, p.gains, k)


def ndcg_exponential_at(p: PositiveRanks, k: int) -> NDArray[np.float64]:
    """Return DCG@K over the ideal DCG@K with 2^grade - 1 as gain, float64 (q,).

    >>> two = PositiveRanks(np.array([1, 2]), np.array([2]), np.array([1.0, 3.0]))
    >>> ndcg_exponential_at(two, 2).round(4)
    array([0.7098])
    """
    return _normalized_gain(p, np.exp2(p.gains) - 1, k)


def _normalized_gain(p: PositiveRanks, gains: np.ndarray, k: int) -> NDArray[np.float64]:
    """Return the discounted gain of the first K, over that of the positives sorted by gain."""
    found = p.sum(np.where(p.ranks <= k, gains / np.log2(1 + p.ranks), 0))
    query = np.repeat(np.arange(len(p.counts)), p.counts)
    ideal = gains[np.lexsort((-gains, query))]
    return found / p.sum(np.where(p.order <= k, ideal / np.log2(1 + p.order), 0))


def recall_at(first_relevant_rank: np.ndarray, k: int) -> np.ndarray:
    """Return 1 for queries with a positive among their K nearest, else 0.

    >>> recall_at(np.array([1, 3, 0]), 2)
    array([1., 0., 0.])

    Args:
        first_relevant_rank: int, (q,), 1-based; 0 where no item is relevant.
        k: Length of the list; it may exceed the gallery.

    Returns:
        float64, (q,).
    """
    return ((first_relevant_rank > 0) & (first_relevant_rank <= k)).astype(np.float64)


def cmc(
    first_relevant_rank: np.ndarray, max_rank: int, *, counted: np.ndarray | None = None
) -> np.ndarray:
    """Return the cumulative match characteristic: Recall@K for K = 1 .. ``max_rank``.

    >>> cmc(np.array([1, 3, 1, 2]), 3)
    array([0.5 , 0.75, 1.  ])

    Args:
        first_relevant_rank: int, (q,), 1-based; 0 where no item is relevant.
        max_rank: Length of the curve.
        counted: bool, (q,), the queries to average over. Defaults to all.

    Returns:
        float64, (max_rank,).
    """
    if counted is not None:
        first_relevant_rank = first_relevant_rank[counted]
    hits = first_relevant_rank[(first_relevant_rank > 0) & (first_relevant_rank <= max_rank)]
    return np.cumsum(np.bincount(hits, minlength=max_rank + 1))[1:] / max(
        1, len(first_relevant_rank)
    )


def check_ks(ks: Sequence[int]) -> tuple[int, ...]:
    """Return the K of Recall@K sorted, without repeats.

    Raises:
        UserError: ``ks`` is not a series of whole numbers of at least 1.
    """
    return tuple(sorted(set(check_integers("ks", ks, least=1))))

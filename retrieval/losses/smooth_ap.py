"""Smooth-AP loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import cosines
from retrieval.losses.ops.pairs import Pairs, mean_over
from retrieval.losses.ops.soft_ranks import soft_ranks
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class SmoothAP(PairLoss):
    r"""Smooth-AP: average precision with a sigmoid in place of each comparison of two items.

    $$
    L = \frac{1}{|Q|} \sum_{q \in Q} \left( 1 - \frac{1}{|P_q|} \sum_{i \in P_q}
        \frac{1 + \sum_{j \in P_q, j \ne i} \sigma((s_{qj} - s_{qi}) / \tau)}
        {1 + \sum_{j \ne q, i} \sigma((s_{qj} - s_{qi}) / \tau)} \right)
    $$

    with cosines $s$ and the positives $P_q$ of query $q$. The query is not among its own results
    (the authors' code counts it as a first positive). The mean is over the queries $Q$ that have a
    positive and a negative. Memory is O(B^2), time O(B^2 K) for K items per class.

    Args:
        temperature: Temperature $\tau$ of the sigmoid, above 0. Defaults to 0.01.
        name: Name of the loss in Keras' logs. Defaults to "smooth_ap".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Brown, Xie, Kalogeiton, Zisserman (2020): Smooth-AP: Smoothing the Path Towards Large-Scale
        Image Retrieval, ECCV. arXiv:2007.12163.

    Example:
        The cosine is 0.8 for both positive pairs, and 0, 0.6, 0.6 and 0.96 for the negative ones.
        Queries 1 and 2 find each other first and their positive second (average precision 1/2),
        queries 0 and 3 find theirs first.

        >>> from retrieval.losses import SmoothAP
        >>> loss = SmoothAP()
        >>> embeddings = [[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]
        >>> round(float(loss([0, 0, 1, 1], embeddings)), 4)
        0.25
    """

    def __init__(self, temperature: float = 0.01, name: str = "smooth_ap") -> None:
        super().__init__(name)
        self.temperature = check_number("temperature", temperature, above=0)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        similarities = cosines(pairs.anchors, pairs.references)
        ranks, ranks_among_positives = soft_ranks(
            similarities, pairs.positives, pairs.negatives, self.temperature
        )
        queries = tf.where(pairs.positives)[:, 0]
        count = tf.math.count_nonzero(pairs.positives, axis=1, dtype=ranks.dtype)
        precision = ranks_among_positives / ranks
        total = tf.math.unsorted_segment_sum(precision, queries, tf.shape(count)[0])
        valid = (count > 0) & tf.reduce_any(pairs.negatives, axis=1)
        return mean_over(1 - total / tf.maximum(count, 1), valid)

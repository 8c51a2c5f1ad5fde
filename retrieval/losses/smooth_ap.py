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
    r"""Smooth-AP (Brown et al. 2020): average precision with a sigmoid for each comparison.

    .. math::
        L = \frac{1}{|Q|} \sum_{q \in Q} \left( 1 - \frac{1}{|P_q|} \sum_{i \in P_q}
            \frac{1 + \sum_{j \in P_q, j \ne i} \sigma((s_{qj} - s_{qi}) / \tau)}
            {1 + \sum_{j \ne q, i} \sigma((s_{qj} - s_{qi}) / \tau)} \right)

    with cosine s. The query is not among its own results (the authors' code counts it as a first
    positive). The queries Q have a positive and a negative. Memory is O(B^2), time O(B^2 K) for K
    items per class.

    Args:
        temperature: tau.
        name: Name in Keras' logs.
    """

    def __init__(self, temperature: float = 0.01, name: str = "smooth_ap") -> None:
        super().__init__(name)
        self.temperature = check_number("temperature", temperature, 0)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        similarities = cosines(pairs.anchors, pairs.references)
        ranks, own_ranks = soft_ranks(
            similarities, pairs.positives, pairs.negatives, self.temperature
        )
        queries = tf.where(pairs.positives)[:, 0]
        count = tf.math.count_nonzero(pairs.positives, axis=1, dtype=ranks.dtype)
        total = tf.math.unsorted_segment_sum(own_ranks / ranks, queries, tf.shape(count)[0])
        valid = (count > 0) & tf.reduce_any(pairs.negatives, axis=1)
        return mean_over(1 - total / tf.maximum(count, 1), valid)

"""Recall@k surrogate loss."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import cosines
from retrieval.losses.ops.pairs import Pairs, mean_over
from retrieval.losses.ops.soft_ranks import soft_ranks
from retrieval.validation import check_integer, check_number


@keras.saving.register_keras_serializable(package="retrieval")
class RecallAtK(PairLoss):
    r"""Recall@k surrogate (Patel, Tolias, Matas 2022, section 3).

    .. math::
        L = 1 - \frac{1}{|Q| |K|} \sum_{q \in Q} \sum_{k \in K} \frac{\min \left( k,
            \sum_{x \in P_q} \sigma((k - r_{qx}) / \tau_1) \right)}{\min(k, |P_q|)}, \qquad
        r_{qx} = 1 + \sum_{z \ne q, x} \sigma((s_{qz} - s_{qx}) / \tau_2)

    with cosine s; the cut at k and the normalizer min(k, |P_q|) are those of the authors' code. The
    query is not among its own results. The queries Q have a positive and a negative. Memory is
    O(B^2), time O(B^2 K) for K items per class.

    Args:
        ks: The set K.
        rank_temperature: tau_2.
        recall_temperature: tau_1.
        name: Name in Keras' logs.
    """

    def __init__(
        self,
        ks: Sequence[int] = (1, 2, 4, 8, 16),
        rank_temperature: float = 0.01,
        recall_temperature: float = 1.0,
        name: str = "recall_at_k",
    ) -> None:
        super().__init__(name)
        if isinstance(ks, str) or not isinstance(ks, Sequence | np.ndarray) or not len(ks):
            raise UserError(f"option ks = {ks!r}: give a list of whole numbers of at least 1")
        self.ks = [check_integer("ks", k, 1) for k in ks]
        self.rank_temperature = check_number("rank_temperature", rank_temperature, 0)
        self.recall_temperature = check_number("recall_temperature", recall_temperature, 0)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        similarities = cosines(pairs.anchors, pairs.references)
        ranks, _ = soft_ranks(similarities, pairs.positives, pairs.negatives, self.rank_temperature)
        queries = tf.where(pairs.positives)[:, 0]
        count = tf.math.count_nonzero(pairs.positives, axis=1, dtype=ranks.dtype)
        recalls = []
        for k in self.ks:
            hits = tf.sigmoid((k - ranks) / self.recall_temperature)
            found = tf.math.unsorted_segment_sum(hits, queries, tf.shape(count)[0])
            recalls.append(tf.minimum(found, k) / tf.maximum(tf.minimum(count, k), 1))
        recall = tf.add_n(recalls) / len(recalls)
        valid = (count > 0) & tf.reduce_any(pairs.negatives, axis=1)
        return mean_over(1 - recall, valid)

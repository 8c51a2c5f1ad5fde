"""Recall@k surrogate loss."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import cosines
from retrieval.losses.ops.pairs import Pairs, mean_over
from retrieval.losses.ops.soft_ranks import soft_ranks
from retrieval.validation import check_integers, check_number, refused


@keras.saving.register_keras_serializable(package="retrieval")
class RecallAtK(PairLoss):
    r"""Recall@k surrogate: the share of positives within the first k, made differentiable.

    $$
    L = 1 - \frac{1}{|Q| |K|} \sum_{q \in Q} \sum_{k \in K} \frac{\min \left( k,
        \sum_{x \in P_q} \sigma((k - r_{qx}) / \tau_1) \right)}{\min(k, |P_q|)}, \qquad
    r_{qx} = 1 + \sum_{z \ne q, x} \sigma((s_{qz} - s_{qx}) / \tau_2)
    $$

    with cosines $s$ and the positives $P_q$ of query $q$; $r$ is a positive's smooth rank. The cut
    at $k$ and the divisor $\min(k, |P_q|)$ are those of the authors' code. The query is not among
    its own results. The mean is over the queries $Q$ that have a positive and a negative. Memory is
    O(B^2), time O(B^2 K) for K items per class.

    Args:
        ks: The set $K$ of whole numbers of at least 1. Defaults to (1, 2, 4, 8, 16).
        rank_temperature: Temperature $\tau_2$, above 0, of the sigmoid that compares two items.
            Defaults to 0.01.
        recall_temperature: Temperature $\tau_1$, above 0, of the sigmoid that compares a rank with
            k. Defaults to 1.0.
        name: Name of the loss in Keras' logs. Defaults to "recall_at_k".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Patel, Tolias, Matas (2022): Recall@k Surrogate Loss with Large Batches and Similarity
        Mixup, CVPR, section 3. arXiv:2108.11179.

    Example:
        The cosine is 0.8 for both positive pairs, and 0, 0.6, 0.6 and 0.96 for the negative ones.
        Queries 0 and 3 find their positive at rank 1, queries 1 and 2 at rank 2: 1 - (sigmoid(0) +
        sigmoid(-1)) / 2.

        >>> from retrieval.losses import RecallAtK
        >>> loss = RecallAtK(ks=[1])
        >>> embeddings = [[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]
        >>> round(float(loss([0, 0, 1, 1], embeddings)), 4)
        0.6155
    """

    def __init__(
        self,
        ks: Sequence[int] = (1, 2, 4, 8, 16),
        rank_temperature: float = 0.01,
        recall_temperature: float = 1.0,
        name: str = "recall_at_k",
    ) -> None:
        super().__init__(name)
        # A list: YAML holds no tuples.
        self.ks = list(check_integers("ks", ks, least=1))
        if not self.ks:
            raise refused("ks", ks, "give at least one whole number")
        self.rank_temperature = check_number("rank_temperature", rank_temperature, above=0)
        self.recall_temperature = check_number("recall_temperature", recall_temperature, above=0)

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

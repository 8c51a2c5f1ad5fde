"""Multi-similarity loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.miners import multi_similarity_pairs
from retrieval.losses.ops.distances import cosines
from retrieval.losses.ops.pairs import Pairs, masked_logsumexp
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class MultiSimilarity(PairLoss):
    r"""Multi-similarity loss (Wang et al. 2019, eq. 15) on pairs mined by eqs. 11 and 12.

    .. math::
        L = \frac{1}{B} \sum_i \left[ \frac{1}{\alpha} \log \left( 1 + \sum_{k \in P_i}
            e^{-\alpha (S_{ik} - \lambda)} \right) + \frac{1}{\beta} \log \left( 1 +
            \sum_{k \in N_i} e^{\beta (S_{ik} - \lambda)} \right) \right]

    with cosine S. :math:`N_i` are the negatives more similar than the least similar positive minus
    epsilon, :math:`P_i` the positives less similar than the most similar negative plus epsilon.

    Args:
        alpha: Weight of positives.
        beta: Weight of negatives.
        threshold: lambda; 0.5 as in the authors' code, where the paper says 1.
        epsilon: Slack of the miner; None takes all pairs.
        name: Name in Keras' logs.
    """

    def __init__(
        self,
        alpha: float = 2.0,
        beta: float = 50.0,
        threshold: float = 0.5,
        epsilon: float | None = 0.1,
        name: str = "multi_similarity",
    ) -> None:
        super().__init__(name)
        self.alpha = check_number("alpha", alpha, 0)
        self.beta = check_number("beta", beta, 0)
        self.threshold = check_number("threshold", threshold)
        self.epsilon = None if epsilon is None else check_number("epsilon", epsilon)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        similarities = cosines(pairs.anchors, pairs.references)
        positives, negatives = pairs.positives, pairs.negatives
        if self.epsilon is not None:
            positives, negatives = multi_similarity_pairs(
                tf.stop_gradient(similarities), positives, negatives, self.epsilon
            )
        shifted = similarities - self.threshold
        pull = tf.nn.softplus(masked_logsumexp(-self.alpha * shifted, positives)) / self.alpha
        push = tf.nn.softplus(masked_logsumexp(self.beta * shifted, negatives)) / self.beta
        # An anchor that lacks positives or negatives forms no tuple.
        both = tf.reduce_any(positives, axis=1) & tf.reduce_any(negatives, axis=1)
        return tf.reduce_mean(tf.where(both, pull + push, 0.0))

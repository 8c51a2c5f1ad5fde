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
    r"""Multi-similarity loss: hard pairs, each weighted by itself and by the anchor's other pairs.

    $$
    L = \frac{1}{B} \sum_i \left[ \frac{1}{\alpha} \log \left( 1 + \sum_{k \in P_i}
        e^{-\alpha (S_{ik} - \lambda)} \right) + \frac{1}{\beta} \log \left( 1 +
        \sum_{k \in N_i} e^{\beta (S_{ik} - \lambda)} \right) \right]
    $$

    with cosines $S$. $N_i$ are the negatives more similar to $i$ than its least similar positive
    minus $\epsilon$; $P_i$ are the positives less similar than the most similar negative plus
    $\epsilon$. Anchors for which either set is empty cost nothing.

    Args:
        alpha: Scale $\alpha$ of the positives, above 0. Defaults to 2.0.
        beta: Scale $\beta$ of the negatives, above 0. Defaults to 50.0.
        threshold: Cosine $\lambda$ that separates positives from negatives. The authors' code has
            0.5, the paper 1. Defaults to 0.5.
        epsilon: Slack $\epsilon$ of the miner. None skips mining and takes all pairs. Defaults to
            0.1.
        name: Name of the loss in Keras' logs. Defaults to "multi_similarity".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Wang, Han, Huang, Dong, Scott (2019): Multi-Similarity Loss with General Pair Weighting for
        Deep Metric Learning, CVPR, eq. 15, with the pairs mined by eqs. 11 and 12.
        arXiv:1904.06627.

    Example:
        The cosine is 0.8 for both positive pairs, and 0, 0.6, 0.6 and 0.96 for the negative ones.
        Anchors 0 and 3 keep no pair; anchors 1 and 2 keep their positive and the negative of cosine
        0.96.

        >>> from retrieval.losses import MultiSimilarity
        >>> loss = MultiSimilarity()
        >>> embeddings = [[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]
        >>> round(float(loss([0, 0, 1, 1], embeddings)), 4)
        0.3394
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
        self.alpha = check_number("alpha", alpha, above=0)
        self.beta = check_number("beta", beta, above=0)
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

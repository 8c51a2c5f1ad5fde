"""Tuplet margin loss."""

import math

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import add_angle, cosines
from retrieval.losses.ops.pairs import LOG_ZERO, Pairs, masked_logsumexp, mean_over
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class TupletMargin(PairLoss):
    r"""Tuplet margin loss (Yu & Tao 2019).

    .. math::
        L = \frac{1}{|P|} \sum_{(a, p) \in P} \log \left( 1 + \sum_{n: y_n \ne y_a}
            e^{s (\cos \theta_{an} - \cos(\theta_{ap} - \beta))} \right)

    with angles theta between embeddings, over all ordered positive pairs P whose anchor has a
    negative. The slack beta keeps hard triplets from dominating.

    Args:
        scale: s.
        slack: beta, degrees (the paper's 0.1 radians).
        name: Name in Keras' logs.
    """

    def __init__(
        self, scale: float = 64.0, slack: float = 5.73, name: str = "tuplet_margin"
    ) -> None:
        super().__init__(name)
        self.scale = check_number("scale", scale, 0)
        self.slack = check_number("slack", slack, -90, 90)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        similarities = cosines(pairs.anchors, pairs.references)
        positive_pairs = tf.where(pairs.positives)
        rows = masked_logsumexp(self.scale * similarities, pairs.negatives)
        negative = tf.gather(rows, positive_pairs[:, 0])
        own = tf.gather_nd(similarities, positive_pairs)
        positive = self.scale * add_angle(own, -math.radians(self.slack))
        return mean_over(tf.nn.softplus(negative - positive), negative > LOG_ZERO)

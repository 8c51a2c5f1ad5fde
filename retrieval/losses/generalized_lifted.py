"""Generalized lifted loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import euclidean_distances
from retrieval.losses.ops.pairs import Pairs, masked_logsumexp, mean_over
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class GeneralizedLifted(PairLoss):
    r"""Lifted loss over all of an anchor's positives (Hermans 2017, section 2).

    .. math::
        L = \frac{1}{|A|} \sum_{a \in A} \left[ \log \sum_{p: y_p = y_a} e^{D_{ap}}
            + \log \sum_{n: y_n \ne y_a} e^{m - D_{an}} \right]_+

    with Euclidean D, over the anchors A that have a positive and a negative.

    Args:
        margin: m.
        name: Name in Keras' logs.
    """

    def __init__(self, margin: float = 1.0, name: str = "generalized_lifted") -> None:
        super().__init__(name)
        self.margin = check_number("margin", margin, least=0)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        distances = euclidean_distances(pairs.anchors, pairs.references)
        pull = masked_logsumexp(distances, pairs.positives)
        push = masked_logsumexp(self.margin - distances, pairs.negatives)
        both = tf.reduce_any(pairs.positives, axis=1) & tf.reduce_any(pairs.negatives, axis=1)
        return mean_over(tf.nn.relu(pull + push), both)

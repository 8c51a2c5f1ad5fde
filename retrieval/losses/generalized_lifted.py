"""Generalized lifted loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import euclidean_distances
from retrieval.losses.ops.pairs import Pairs, masked_logsumexp, mean_over
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class GeneralizedLifted(PairLoss):
    r"""Generalized lifted loss: all of an anchor's positives against all of its negatives.

    $$
    L = \frac{1}{|A|} \sum_{a \in A} \left[ \log \sum_{p: y_p = y_a} e^{D_{ap}}
        + \log \sum_{n: y_n \ne y_a} e^{m - D_{an}} \right]_+
    $$

    with Euclidean distances $D$. The mean is over the anchors $A$ that have a positive and a
    negative.

    Args:
        margin: Margin $m$, at least 0. Defaults to 1.0.
        name: Name of the loss in Keras' logs. Defaults to "generalized_lifted".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Hermans, Beyer, Leibe (2017): In Defense of the Triplet Loss for Person Re-Identification,
        section 2. arXiv:1703.07737.

    Example:
        With one positive and one negative it is the hinge of the triplet loss: (max(1.5 + 1 - 3, 0)
        + max(1.5 + 1 - 2, 0)) / 2.

        >>> from retrieval.losses import GeneralizedLifted
        >>> loss = GeneralizedLifted(margin=1.5)
        >>> round(float(loss([0, 0, 1], [[0.0], [1.0], [3.0]])), 4)
        0.25
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

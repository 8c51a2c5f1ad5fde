"""Circle loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import cosines
from retrieval.losses.ops.pairs import Pairs, masked_logsumexp, mean_over
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class Circle(PairLoss):
    r"""Circle loss (Sun et al. 2020, eqs. 5 and 6), averaged over anchors.

    .. math::
        L_a = \log \left( 1 + \sum_n e^{\gamma \alpha_n (s_n - m)}
            \sum_p e^{-\gamma \alpha_p (s_p - 1 + m)} \right), \quad
        \alpha_n = [s_n + m]_+, \ \alpha_p = [1 + m - s_p]_+

    over the cosines s of an anchor's negatives n and positives p. The weights alpha carry no
    gradient, as in the paper.

    Args:
        margin: m; the paper uses 0.4 for fine-grained retrieval, 0.25 for faces.
        scale: gamma; 80 for fine-grained retrieval, 256 for faces.
        name: Name in Keras' logs.
    """

    def __init__(self, margin: float = 0.4, scale: float = 80.0, name: str = "circle") -> None:
        super().__init__(name)
        self.margin = check_number("margin", margin)
        self.scale = check_number("scale", scale, 0)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        similarities = cosines(pairs.anchors, pairs.references)
        fixed = tf.stop_gradient(similarities)
        weights = self.scale * tf.nn.relu(fixed + self.margin)
        push = masked_logsumexp(weights * (similarities - self.margin), pairs.negatives)
        weights = self.scale * tf.nn.relu(1 + self.margin - fixed)
        pull = masked_logsumexp(weights * (1 - self.margin - similarities), pairs.positives)
        both = tf.reduce_any(pairs.positives, axis=1) & tf.reduce_any(pairs.negatives, axis=1)
        return mean_over(tf.nn.softplus(push + pull), both)

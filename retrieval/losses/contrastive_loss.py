"""Contrastive loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import squared_distances
from retrieval.losses.ops.pairs import Pairs, block_pairs, mean_over
from retrieval.validation import check_choice, check_number

FORMATIONS = ("blocks", "all", "active")
# Inside the square root: keeps the gradient finite for coinciding pairs.
EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="retrieval")
class Contrastive(PairLoss):
    r"""Contrastive loss (Hadsell 2006, eq. 4, without its factor 1/2).

    .. math::
        L = \frac{1}{|P|} \sum_{(i, j) \in P} y d^2 + (1 - y) [m - d]_+^2, \qquad
        d = \sqrt{|x_i - x_j|^2 + 10^{-5}}, \quad y = [y_i = y_j]

    Args:
        margin: m.
        pairs: Which pairs P: ``blocks`` takes B / 2 pairs off the order of the rows, half of them
            positive if the batch has four rows per class (see
            :func:`retrieval.losses.ops.pairs.block_pairs`); ``all`` takes every pair, weighting the
            mean of the positives and the mean of the negatives by one half each; ``active`` leaves
            negatives beyond the margin out of their mean, so that few close ones weigh as much.
        power: Exponent of d and of the hinge: 2 as in the paper, or 1. ``pairs="active", power=1``
            is, up to the factor one half, pytorch-metric-learning's ``ContrastiveLoss``.
        name: Name in Keras' logs.
    """

    def __init__(
        self,
        margin: float = 1.0,
        pairs: str = "blocks",
        power: int = 2,
        name: str = "contrastive_loss",
    ) -> None:
        super().__init__(name)
        self.margin = check_number("margin", margin, 0)
        self.pairs = check_choice("pairs", pairs, FORMATIONS)
        self.power = check_choice("power", power, (1, 2))

    def call(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the loss: (B,), (B, D) -> scalar."""
        if self.pairs != "blocks":
            return super().call(labels, embeddings)
        left, right = tf.unstack(block_pairs(tf.shape(embeddings)[0]), axis=1)
        difference = tf.gather(embeddings, left) - tf.gather(embeddings, right)
        pull, push = self._terms(tf.reduce_sum(tf.square(difference), axis=1))
        same = tf.equal(tf.gather(labels, left), tf.gather(labels, right))
        return mean_over(tf.where(same, pull, push), tf.ones_like(same))

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss over all pairs."""
        pull, push = self._terms(squared_distances(pairs.anchors, pairs.references))
        negatives = pairs.negatives & (push > 0) if self.pairs == "active" else pairs.negatives
        return 0.5 * (mean_over(pull, pairs.positives) + mean_over(push, negatives))

    def _terms(self, squared: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return what each squared distance costs as a positive and as a negative pair."""
        distances = tf.sqrt(squared + EPSILON)
        hinges = tf.nn.relu(self.margin - distances)
        if self.power == 1:
            return distances, hinges
        return squared + EPSILON, tf.square(hinges)

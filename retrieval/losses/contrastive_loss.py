"""Contrastive loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.distances import squared_distances
from retrieval.losses.layout import block_pairs
from retrieval.losses.masks import Pairs, mean_over
from retrieval.losses.options import check_choice, check_number

FORMATIONS = ("blocks", "all")

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
            :func:`retrieval.losses.layout.block_pairs`); ``all`` takes every pair, weighting the
            mean of the positives and the mean of the negatives by one half each.
        name: Name in Keras' logs.
    """

    def __init__(
        self, margin: float = 1.0, pairs: str = "blocks", name: str = "contrastive_loss"
    ) -> None:
        super().__init__(name)
        check_number("margin", margin)
        check_choice("pairs", pairs, FORMATIONS)
        self.margin = margin
        self.pairs = pairs

    def call(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the loss: (B,), (B, D) -> scalar."""
        if self.pairs == "all":
            return super().call(labels, embeddings)
        left, right = tf.unstack(block_pairs(tf.shape(embeddings)[0]), axis=1)
        difference = tf.gather(embeddings, left) - tf.gather(embeddings, right)
        distances = tf.sqrt(tf.reduce_sum(tf.square(difference), axis=1) + EPSILON)
        same = tf.equal(tf.gather(labels, left), tf.gather(labels, right))
        losses = tf.where(same, tf.square(distances), self._repulsion(distances))
        return mean_over(losses, tf.ones_like(same))

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss over all pairs."""
        squared = squared_distances(pairs.anchors, pairs.references) + EPSILON
        positive = mean_over(squared, pairs.positives)
        return 0.5 * (positive + mean_over(self._repulsion(tf.sqrt(squared)), pairs.negatives))

    def _repulsion(self, distances: tf.Tensor) -> tf.Tensor:
        return tf.square(tf.nn.relu(self.margin - distances))

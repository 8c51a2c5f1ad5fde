"""Contrastive loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import squared_distances
from retrieval.losses.ops.pairs import Pairs, block_pairs, mean_over
from retrieval.validation import check_choice, check_number

FORMATIONS = ("blocks", "all", "active")
# Under the square root: keeps the gradient of coinciding pairs finite.
EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="retrieval")
class Contrastive(PairLoss):
    r"""Contrastive loss: pulls positive pairs together and pushes negative pairs beyond a margin.

    $$
    L = \frac{1}{|P|} \sum_{(i, j) \in P} y_{ij} d_{ij}^2 + (1 - y_{ij}) [m - d_{ij}]_+^2, \qquad
    d_{ij} = \sqrt{|x_i - x_j|^2 + 10^{-5}}, \quad y_{ij} = [y_i = y_j]
    $$

    The constant under the root keeps the gradient of coinciding items finite.

    Args:
        margin: Margin $m$ above 0, the distance from which negative pairs cost nothing. Defaults to
            1.0.
        pairs: Which pairs $P$ of a batch count. ``"blocks"`` takes four pairs from each two
            classes by the order of the rows, half of them positive if the batch has four rows per
            class (see :func:`retrieval.losses.ops.pairs.block_pairs`). ``"all"`` takes every pair:
            half the mean over the positives plus half the mean over the negatives. ``"active"``
            leaves negatives beyond the margin out of their mean, so that a few close ones weigh as
            much. Defaults to "blocks".
        power: Exponent of the distance and of the hinge: 2 as in the paper, or 1. With
            ``pairs="active"``, the latter is half of pytorch-metric-learning's ``ContrastiveLoss``.
            Defaults to 2.
        name: Name of the loss in Keras' logs. Defaults to "contrastive_loss".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Hadsell, Chopra, LeCun (2006): Dimensionality Reduction by Learning an Invariant Mapping,
        CVPR, eq. 4, without its factor 1/2.

    Example:
        A positive pair at distance 0.5 and a negative pair at distance 0.2: (0.5^2 + 0.8^2) / 2.

        >>> from retrieval.losses import Contrastive
        >>> loss = Contrastive(margin=1.0)
        >>> round(float(loss([0, 0, 1, 2], [[0.0], [0.5], [0.0], [0.2]])), 4)
        0.445
    """

    def __init__(
        self,
        margin: float = 1.0,
        pairs: str = "blocks",
        power: int = 2,
        name: str = "contrastive_loss",
    ) -> None:
        super().__init__(name)
        self.margin = check_number("margin", margin, above=0)
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
        """Return the cost of each squared distance as a positive pair and as a negative pair."""
        distances = tf.sqrt(squared + EPSILON)
        hinges = tf.nn.relu(self.margin - distances)
        if self.power == 1:
            return distances, hinges
        return squared + EPSILON, tf.square(hinges)

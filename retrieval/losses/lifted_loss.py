"""Lifted structured loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import RankingLoss
from retrieval.losses.ops.distances import euclidean_distances
from retrieval.losses.ops.pairs import LOG_ZERO, masked_logsumexp, mean_over, pairs_within
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class LiftedStructured(RankingLoss):
    r"""Lifted structured loss: each positive pair against all negatives of both its items.

    $$
    L = \frac{1}{2 |P|} \sum_{(i, j) \in P} \left[ J_{ij} \right]_+^2, \qquad
    J_{ij} = D_{ij} + \log \left( \sum_{k: y_k \ne y_i} e^{m - D_{ik}}
        + \sum_{l: y_l \ne y_j} e^{m - D_{jl}} \right)
    $$

    The mean is over the positive pairs $P$ that have negatives, with Euclidean distances $D$. Each
    of the two sums depends on one row only, so no tensor is larger than (B, B).

    Args:
        margin: Margin $m$, at least 0, up to which negatives are pushed away. Defaults to 1.0.
        name: Name of the loss in Keras' logs. Defaults to "lifted_loss".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Song, Xiang, Jegelka, Savarese (2016): Deep Metric Learning via Lifted Structured Feature
        Embedding, CVPR, eq. 4. arXiv:1511.06452.

    Example:
        One positive pair at distance 1, whose items are 3 and 2 away from the negative: (1 +
        log(exp(1 - 3) + exp(1 - 2)))^2 / 2.

        >>> from retrieval.losses import LiftedStructured
        >>> loss = LiftedStructured(margin=1.0)
        >>> round(float(loss([0, 0, 1], [[0.0], [1.0], [3.0]])), 4)
        0.0491
    """

    def __init__(self, margin: float = 1.0, name: str = "lifted_loss") -> None:
        super().__init__(name)
        self.margin = check_number("margin", margin, least=0)

    def call(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the loss: (B,), (B, D) -> scalar."""
        pairs = pairs_within(labels, embeddings)
        distances = euclidean_distances(embeddings)
        # log of each row's sum over its negatives, (B,).
        rows = masked_logsumexp(self.margin - distances, pairs.negatives)
        positive_pairs = tf.where(pairs.positives)
        left = tf.gather(rows, positive_pairs[:, 0])
        right = tf.gather(rows, positive_pairs[:, 1])
        terms = tf.gather_nd(distances, positive_pairs) + log_add_exp(left, right)
        # Rows of one label share their negatives, so both sums are empty or neither is.
        return 0.5 * mean_over(tf.square(tf.nn.relu(terms)), left > LOG_ZERO)


def log_add_exp(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Compute log(exp(a) + exp(b)) without overflow."""
    return tf.maximum(a, b) + tf.nn.softplus(-tf.abs(a - b))

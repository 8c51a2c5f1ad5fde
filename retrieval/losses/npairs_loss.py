"""Multi-class N-pair loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import RankingLoss
from retrieval.losses.layout import alternate_rows
from retrieval.losses.masks import mean_over
from retrieval.losses.options import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class NPairs(RankingLoss):
    r"""Multi-class N-pair loss (Sohn 2016, eq. 7) with its L2 regulariser.

    Rows 2i and 2i + 1 of the batch are the anchor :math:`a_i` and the positive :math:`p_i` of pair
    i. With S the matrix of inner products and T the row-normalised matrix of same labels,

    .. math::
        L = - \frac{1}{N} \sum_i \sum_j T_{ij} \log \frac{e^{S_{ij}}}{\sum_k e^{S_{ik}}}
            + \frac{\lambda}{4} \left( \overline{|a|^2} + \overline{|p|^2} \right), \quad
        S_{ij} = a_i^\top p_j, \quad T_{ij} \propto [y_{a_i} = y_{p_j}]

    which is the paper's :math:`\log(1 + \sum_{j \ne i} e^{S_{ij} - S_{ii}})` for one pair per
    class, and TensorFlow Addons' ``npairs_loss`` for several. Anchors without a same-label positive
    or without a negative are left out; an odd last row is dropped.

    Args:
        regularizer: lambda.
        name: Name in Keras' logs.
    """

    def __init__(self, regularizer: float = 0.002, name: str = "npairs_loss") -> None:
        super().__init__(name)
        check_number("regularizer", regularizer)
        self.regularizer = regularizer

    def call(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the loss: (B,), (B, D) -> scalar."""
        anchors, positives = alternate_rows(embeddings)
        same = same_labels(*alternate_rows(labels))
        logits = tf.matmul(anchors, positives, transpose_b=True)
        losses, valid = softmax_to_targets(logits, same)
        norms = _mean_square(anchors) + _mean_square(positives)
        used = tf.cast(tf.reduce_any(valid), norms.dtype)
        return mean_over(losses, valid) + 0.25 * self.regularizer * used * norms


def same_labels(anchors: tf.Tensor, positives: tf.Tensor) -> tf.Tensor:
    """Compare anchors' labels (N,) with positives' labels (N,): (N, N) bool."""
    return tf.equal(anchors[:, None], positives[None, :])


def softmax_to_targets(logits: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy of each row's softmax with its row-normalised targets.

    Args:
        logits: (N, M) float32.
        targets: (N, M) bool, or weights of any numeric dtype (multi-label).

    Returns:
        Losses (N,), and a mask (N,) of the rows that have both a target and a non-target.
    """
    weights = tf.cast(targets, logits.dtype)
    totals = tf.reduce_sum(weights, axis=1, keepdims=True)
    losses = tf.nn.softmax_cross_entropy_with_logits(tf.math.divide_no_nan(weights, totals), logits)
    has_target = tf.reduce_any(weights > 0, axis=1)
    return losses, has_target & tf.reduce_any(tf.equal(weights, 0), axis=1)


def _mean_square(rows: tf.Tensor) -> tf.Tensor:
    squares = tf.reduce_sum(tf.square(rows), axis=1)
    return mean_over(squares, tf.ones_like(squares, tf.bool))

"""Multi-class N-pair loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import RankingLoss
from retrieval.losses.ops.pairs import alternate_rows, mean_over
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class NPairs(RankingLoss):
    r"""Multi-class N-pair loss (Sohn 2016, "N-pair-mc") with its L2 regularizer.

    Rows 2i and 2i + 1 of the batch are the anchor :math:`a_i` and the positive :math:`p_i` of pair
    i. With S the matrix of inner products and T the row-normalized matrix of same labels,

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
        self.regularizer = check_number("regularizer", regularizer, least=0)

    def call(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the loss: (B,), (B, D) -> scalar."""
        anchors, positives = alternate_rows(embeddings)
        same = same_labels(*alternate_rows(labels))
        logits = tf.matmul(anchors, positives, transpose_b=True)
        losses, valid = softmax_to_targets(logits, same)
        # N times the two means: tf.nn.l2_loss sums squares without a temporary, and halves them.
        squares = 2 * (tf.nn.l2_loss(anchors) + tf.nn.l2_loss(positives))
        pairs = tf.maximum(tf.cast(tf.shape(anchors)[0], squares.dtype), 1)
        penalty = tf.where(tf.reduce_any(valid), 0.25 * self.regularizer * squares / pairs, 0)
        return mean_over(losses, valid) + penalty


def same_labels(anchors: tf.Tensor, positives: tf.Tensor) -> tf.Tensor:
    """Compare anchors' labels (N,) with positives' labels (N,): (N, N) bool."""
    return tf.equal(anchors[:, None], positives[None, :])


def softmax_to_targets(logits: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy of each row's softmax with its row-normalized targets.

    Args:
        logits: (N, M) float32.
        targets: (N, M) bool.

    Returns:
        Losses (N,), and a mask (N,) of the rows that have both a target and a non-target.
    """
    weights = tf.cast(targets, logits.dtype)
    totals = tf.reduce_sum(weights, axis=1)
    valid = (totals > 0) & (totals < tf.cast(tf.shape(logits)[1], totals.dtype))
    return weighted_cross_entropy(logits, weights / tf.maximum(totals, 1)[:, None]), valid


def weighted_cross_entropy(logits: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of each row's softmax with weights that add up to 1: (N, M), (N, M) -> (N,)."""
    # The raw op: tf.nn's wrapper fails on a batch without pairs.
    return tf.raw_ops.SoftmaxCrossEntropyWithLogits(features=logits, labels=weights).loss

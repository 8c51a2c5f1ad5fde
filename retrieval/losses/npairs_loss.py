"""Multi-class N-pair loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import RankingLoss
from retrieval.losses.ops.pairs import alternate_rows, mean_over
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class NPairs(RankingLoss):
    r"""Multi-class N-pair loss: cross-entropy of each anchor over the positives of all pairs.

    $$
    L = - \frac{1}{N} \sum_i \sum_j T_{ij} \log \frac{e^{S_{ij}}}{\sum_k e^{S_{ik}}}
        + \frac{\lambda}{4} \left( \overline{|a|^2} + \overline{|p|^2} \right), \quad
    S_{ij} = a_i^\top p_j, \quad T_{ij} \propto [y_{a_i} = y_{p_j}]
    $$

    Rows $2i$ and $2i + 1$ of the batch are the anchor $a_i$ and the positive $p_i$ of pair $i$. $S$
    is the matrix of inner products and $T$ the matrix of equal labels with rows that sum to 1. The
    embeddings are not normalized; the last term keeps them short.

    With one pair per class this is the paper's $\log(1 + \sum_{j \ne i} e^{S_{ij} - S_{ii}})$; with
    several it is TensorFlow Addons' ``npairs_loss``. Anchors without a positive or without a
    negative do not count, and the last row of an odd batch is dropped.

    Args:
        regularizer: Weight $\lambda$ of the embeddings' squared lengths, at least 0. Defaults to
            0.002.
        name: Name of the loss in Keras' logs. Defaults to "npairs_loss".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Sohn (2016): Improved Deep Metric Learning with Multi-class N-pair Loss Objective, NeurIPS
        ("N-pair-mc").

    Example:
        Two pairs on orthogonal axes: log(1 + exp(0 - 1)) for each anchor.

        >>> from retrieval.losses import NPairs
        >>> loss = NPairs(regularizer=0.0)
        >>> embeddings = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
        >>> round(float(loss([0, 0, 1, 1], embeddings)), 4)
        0.3133
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
        penalty = length_penalty(anchors, positives, self.regularizer)
        return mean_over(losses, valid) + tf.where(tf.reduce_any(valid), penalty, 0)


def length_penalty(anchors: tf.Tensor, positives: tf.Tensor, weight: float) -> tf.Tensor:
    """Compute weight / 4 times the mean squared lengths of anchors and positives, both (N, D)."""
    # N times the two means: tf.nn.l2_loss makes no tensor of squares, and halves their sum.
    squares = 2 * (tf.nn.l2_loss(anchors) + tf.nn.l2_loss(positives))
    pairs = tf.maximum(tf.cast(tf.shape(anchors)[0], squares.dtype), 1)
    return 0.25 * weight * squares / pairs


def same_labels(anchors: tf.Tensor, positives: tf.Tensor) -> tf.Tensor:
    """Compare the anchors' labels (N,) with the positives' labels (N,): (N, N) bool."""
    return tf.equal(anchors[:, None], positives[None, :])


def softmax_to_targets(logits: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute the cross-entropy of each row's softmax with its row-normalized targets.

    Args:
        logits: (N, M) float32, of N rows and M classes.
        targets: (N, M) bool, True for the targets of a row.

    Returns:
        Losses (N,), and a mask (N,) of the rows that have both a target and a non-target.
    """
    weights = tf.cast(targets, logits.dtype)
    totals = tf.reduce_sum(weights, axis=1)
    valid = (totals > 0) & (totals < tf.cast(tf.shape(logits)[1], totals.dtype))
    return weighted_cross_entropy(logits, weights / tf.maximum(totals, 1)[:, None]), valid


def weighted_cross_entropy(logits: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Compute the cross-entropy of each row's softmax with weights that sum to 1.

    Args:
        logits: (N, M) float32, of N rows and M classes.
        weights: (N, M) float32, of the targets of a row.

    Returns:
        (N,) float32.
    """
    # The raw op: tf.nn's wrapper fails on a batch without pairs.
    return tf.raw_ops.SoftmaxCrossEntropyWithLogits(features=logits, labels=weights).loss

"""Angular loss."""

import math

import keras
import tensorflow as tf

from retrieval.losses.base import RankingLoss
from retrieval.losses.npairs_loss import same_labels, softmax_to_targets
from retrieval.losses.ops.pairs import alternate_rows, masked_logsumexp, mean_over
from retrieval.validation import check_choice, check_number

FORMS = ("softmax", "log_sum")


@keras.saving.register_keras_serializable(package="retrieval")
class Angular(RankingLoss):
    r"""Angular loss (Wang 2017), over pairs :math:`(a_i, p_i)` in rows 2i and 2i + 1.

    .. math::
        f_{apn} = 4 \tan^2 \alpha \, (x_a + x_p)^\top x_n
            - 2 (1 + \tan^2 \alpha) \, x_a^\top x_p

    ``softmax`` is the original baseline's form: the N-pair cross-entropy with the logits
    :math:`4 \tan^2 \alpha (a_i + p_i)^\top p_j` off the diagonal and
    :math:`2 (1 + \tan^2 \alpha) a_i^\top p_i` on it, so that for one pair per class it is the mean
    of :math:`\log(1 + \sum_j e^{f_{ij}})` with the other pairs' positives as negatives. ``log_sum``
    is the paper's own form, :math:`\log(1 + \sum_n e^{f_{apn}})` with every row of another
    label as a negative. Anchors without a negative are left out, an odd last row is dropped.

    Args:
        degree: alpha in degrees; the paper uses 36 to 55, the baseline 45.
        form: ``softmax`` or ``log_sum``.
        name: Name in Keras' logs.
    """

    def __init__(
        self, degree: float = 45.0, form: str = "softmax", name: str = "angular_loss"
    ) -> None:
        super().__init__(name)
        self.degree = check_number("degree", degree, 0, 90)
        self.form = check_choice("form", form, FORMS)

    def call(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the loss: (B,), (B, D) -> scalar."""
        anchors, positives = alternate_rows(embeddings)
        anchor_labels, positive_labels = alternate_rows(labels)
        tan2 = math.tan(math.radians(self.degree)) ** 2
        toward = 4 * tan2 * (anchors + positives)
        own = 2 * (1 + tan2) * tf.reduce_sum(anchors * positives, axis=1)
        if self.form == "softmax":
            logits = tf.matmul(toward, positives, transpose_b=True)
            same = same_labels(anchor_labels, positive_labels)
            # Not set_diag, whose gradient XLA compiles for batches of one size only.
            order = tf.range(tf.shape(logits)[0])
            logits = tf.where(order[:, None] == order[None, :], own[:, None], logits)
            return mean_over(*softmax_to_targets(logits, same))
        logits = tf.matmul(toward, embeddings, transpose_b=True)
        negatives = tf.not_equal(anchor_labels[:, None], labels[None, :])
        losses = tf.nn.softplus(masked_logsumexp(logits, negatives) - own)
        paired = tf.equal(anchor_labels, positive_labels)
        return mean_over(losses, paired & tf.reduce_any(negatives, axis=1))

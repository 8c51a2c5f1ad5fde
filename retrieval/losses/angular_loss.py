"""Angular loss."""

import math

import keras
import tensorflow as tf

from retrieval.losses.base import RankingLoss
from retrieval.losses.npairs_loss import length_penalty, same_labels, softmax_to_targets
from retrieval.losses.ops.pairs import alternate_rows, masked_logsumexp, mean_over
from retrieval.validation import check_choice, check_number

FORMS = ("softmax", "log_sum")


@keras.saving.register_keras_serializable(package="retrieval")
class Angular(RankingLoss):
    r"""Angular loss: bounds the angle at the negative of each triplet instead of a distance.

    $$
    L = \frac{1}{N} \sum_i \log \left( 1 + \sum_{n} e^{f_{a_i p_i n}} \right), \qquad
    f_{apn} = 4 \tan^2 \alpha \, (x_a + x_p)^\top x_n - 2 (1 + \tan^2 \alpha) \, x_a^\top x_p
    $$

    Rows $2i$ and $2i + 1$ of the batch are the anchor $a_i$ and the positive $p_i$ of pair $i$.

    ``form="log_sum"`` is this formula, with every row of another label as a negative $n$.
    ``form="softmax"`` is the form of the published baseline: the cross-entropy of :class:`NPairs`
    with the logits $4 \tan^2 \alpha (a_i + p_i)^\top p_j$ off the diagonal and $2 (1 + \tan^2
    \alpha) a_i^\top p_i$ on it. With one pair per class it equals the formula with the other pairs'
    positives as negatives. Anchors without a negative do not count, and the last row of an odd
    batch is dropped.

    Args:
        degree: Angle $\alpha$ in degrees, between 0 and 90. The paper uses 36 to 55. Defaults to
            45.0.
        form: ``"softmax"`` or ``"log_sum"``, see above. Defaults to "softmax".
        regularizer: Weight of the embeddings' squared lengths, as in :class:`NPairs`, at least 0.
            The published baseline has 0.002, which has no gradient on normalized embeddings.
            Defaults to 0.0.
        name: Name of the loss in Keras' logs. Defaults to "angular_loss".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Wang, Zhou, Wen, Liu, Lin (2017): Deep Metric Learning with Angular Loss, ICCV.
        arXiv:1708.01682.

    Example:
        Two pairs on orthogonal axes: log(1 + exp(0 - 4)) for each anchor.

        >>> from retrieval.losses import Angular
        >>> loss = Angular(degree=45.0)
        >>> embeddings = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
        >>> round(float(loss([0, 0, 1, 1], embeddings)), 4)
        0.0181
    """

    def __init__(
        self,
        degree: float = 45.0,
        form: str = "softmax",
        regularizer: float = 0.0,
        name: str = "angular_loss",
    ) -> None:
        super().__init__(name)
        self.degree = check_number("degree", degree, above=0, below=90)
        self.form = check_choice("form", form, FORMS)
        self.regularizer = check_number("regularizer", regularizer, least=0)

    def call(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the loss: (B,), (B, D) -> scalar."""
        anchors, positives = alternate_rows(embeddings)
        anchor_labels, positive_labels = alternate_rows(labels)
        tan2 = math.tan(math.radians(self.degree)) ** 2
        sums = 4 * tan2 * (anchors + positives)
        positive_logits = 2 * (1 + tan2) * tf.reduce_sum(anchors * positives, axis=1)
        if self.form == "softmax":
            logits = tf.matmul(sums, positives, transpose_b=True)
            same = same_labels(anchor_labels, positive_labels)
            # Not tf.linalg.set_diag: XLA compiles its gradient for batches of one size only.
            order = tf.range(tf.shape(logits)[0])
            diagonal = order[:, None] == order[None, :]
            logits = tf.where(diagonal, positive_logits[:, None], logits)
            return self._regularized(*softmax_to_targets(logits, same), anchors, positives)
        logits = tf.matmul(sums, embeddings, transpose_b=True)
        negatives = tf.not_equal(anchor_labels[:, None], labels[None, :])
        losses = tf.nn.softplus(masked_logsumexp(logits, negatives) - positive_logits)
        paired = tf.equal(anchor_labels, positive_labels)
        valid = paired & tf.reduce_any(negatives, axis=1)
        return self._regularized(losses, valid, anchors, positives)

    def _regularized(
        self, losses: tf.Tensor, valid: tf.Tensor, anchors: tf.Tensor, positives: tf.Tensor
    ) -> tf.Tensor:
        """Average the valid losses, and add the penalty on long embeddings if there is one."""
        mean = mean_over(losses, valid)
        if not self.regularizer:
            return mean
        return mean + tf.where(
            tf.reduce_any(valid), length_penalty(anchors, positives, self.regularizer), 0
        )

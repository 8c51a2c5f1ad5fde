"""Tuplet margin loss."""

import math

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import add_angle, cosines
from retrieval.losses.ops.pairs import LOG_ZERO, Pairs, masked_logsumexp, mean_over
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class TupletMargin(PairLoss):
    r"""Tuplet margin loss: each positive pair against all negatives, with an angular slack.

    $$
    L = \frac{1}{|P|} \sum_{(a, p) \in P} \log \left( 1 + \sum_{n: y_n \ne y_a}
        e^{s (\cos \theta_{an} - \cos(\theta_{ap} - \beta))} \right)
    $$

    with angles $\theta$ between embeddings. The mean is over all ordered positive pairs $P$ whose
    anchor has a negative. The slack $\beta$ keeps hard triplets from dominating.

    Args:
        scale: Scale $s$ of the cosines, above 0. Defaults to 64.0.
        slack: Slack $\beta$ in degrees, between -90 and 90. The default is the paper's 0.1 radians.
            Defaults to 5.73.
        name: Name of the loss in Keras' logs. Defaults to "tuplet_margin".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Yu, Tao (2019): Deep Metric Learning with Tuplet Margin Loss, ICCV.

    Example:
        A positive pair with an angle of 0, and a negative orthogonal to both: without slack, log(1
        + exp(2 (0 - 1))).

        >>> from retrieval.losses import TupletMargin
        >>> loss = TupletMargin(scale=2.0, slack=0.0)
        >>> round(float(loss([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])), 4)
        0.1269
    """

    def __init__(
        self, scale: float = 64.0, slack: float = 5.73, name: str = "tuplet_margin"
    ) -> None:
        super().__init__(name)
        self.scale = check_number("scale", scale, above=0)
        self.slack = check_number("slack", slack, above=-90, below=90)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        similarities = cosines(pairs.anchors, pairs.references)
        positive_pairs = tf.where(pairs.positives)
        rows = masked_logsumexp(self.scale * similarities, pairs.negatives)
        negative = tf.gather(rows, positive_pairs[:, 0])
        positive = tf.gather_nd(similarities, positive_pairs)
        positive = self.scale * add_angle(positive, -math.radians(self.slack))
        return mean_over(tf.nn.softplus(negative - positive), negative > LOG_ZERO)

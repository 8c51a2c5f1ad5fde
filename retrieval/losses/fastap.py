"""FastAP loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import cosines
from retrieval.losses.ops.histograms import row_histograms
from retrieval.losses.ops.pairs import Pairs, mean_over
from retrieval.validation import check_integer


@keras.saving.register_keras_serializable(package="retrieval")
class FastAP(PairLoss):
    r"""FastAP: average precision, made differentiable by a histogram of the distances.

    $$
    L = 1 - \frac{1}{|Q|} \sum_{q \in Q} \frac{1}{N_q^+} \sum_j \frac{H_j^+ h_j^+}{H_j}
    $$

    $h^+$ is the histogram of the squared distances, in [0, 4] for unit embeddings, from a query to
    its $N_q^+$ positives; each distance is shared linearly between its two nearest nodes. $H^+$ and
    $H$ are the cumulative histograms of the positives and of all items. The mean is over the
    queries $Q$ that have a positive and a negative.

    Args:
        bins: Number of histogram intervals, at least 1. Defaults to 10.
        name: Name of the loss in Keras' logs. Defaults to "fastap".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Cakir, He, Xia, Kulis, Sclaroff (2019): Deep Metric Learning to Rank, CVPR.

    Example:
        The cosine is 0.8 for both positive pairs, and 0, 0.6, 0.6 and 0.96 for the negative ones.
        Queries 1 and 2 have a negative that is closer than their positive (precision 1/2).

        >>> from retrieval.losses import FastAP
        >>> loss = FastAP()
        >>> embeddings = [[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]
        >>> round(float(loss([0, 0, 1, 1], embeddings)), 4)
        0.25
    """

    def __init__(self, bins: int = 10, name: str = "fastap") -> None:
        super().__init__(name)
        self.bins = check_integer("bins", bins, least=1)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        similarities = cosines(pairs.anchors, pairs.references)
        positions = (1 - similarities) * (self.bins / 2)
        positives = row_histograms(positions, pairs.positives, self.bins)
        negatives = row_histograms(positions, pairs.negatives, self.bins)
        positives_so_far = tf.cumsum(positives, axis=1)
        all_so_far = positives_so_far + tf.cumsum(negatives, axis=1)
        precision = tf.math.divide_no_nan(positives_so_far, all_so_far)
        count = tf.math.count_nonzero(pairs.positives, axis=1, dtype=positives.dtype)
        scores = tf.reduce_sum(positives * precision, axis=1) / tf.maximum(count, 1)
        return mean_over(1 - scores, (count > 0) & tf.reduce_any(pairs.negatives, axis=1))

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
    r"""FastAP (Cakir et al. 2019): average precision by distance quantization.

    .. math::
        L = 1 - \frac{1}{|Q|} \sum_{q \in Q} \frac{1}{N_q^+} \sum_j \frac{H_j^+ h_j^+}{H_j}

    :math:`h^+` is the histogram of the squared distances, in [0, 4] for unit embeddings, from a
    query to its positives, with linear sharing between nodes; H and :math:`H^+` are the cumulated
    histograms of all items and of the positives. The queries Q have a positive and a negative.

    Args:
        bins: Number of histogram intervals.
        name: Name in Keras' logs.
    """

    def __init__(self, bins: int = 10, name: str = "fastap") -> None:
        super().__init__(name)
        self.bins = check_integer("bins", bins, 1)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        similarities = cosines(pairs.anchors, pairs.references)
        positions = (1 - similarities) * (self.bins / 2)
        own = row_histograms(positions, pairs.positives, self.bins)
        rest = row_histograms(positions, pairs.negatives, self.bins)
        own_so_far = tf.cumsum(own, axis=1)
        all_so_far = own_so_far + tf.cumsum(rest, axis=1)
        precision = tf.math.divide_no_nan(own_so_far, all_so_far)
        count = tf.math.count_nonzero(pairs.positives, axis=1, dtype=own.dtype)
        scores = tf.reduce_sum(own * precision, axis=1) / tf.maximum(count, 1)
        return mean_over(1 - scores, (count > 0) & tf.reduce_any(pairs.negatives, axis=1))

"""Histogram loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import cosines
from retrieval.losses.ops.histograms import row_histograms
from retrieval.losses.ops.pairs import Pairs
from retrieval.validation import check_integer


@keras.saving.register_keras_serializable(package="retrieval")
class Histogram(PairLoss):
    r"""Histogram loss (Ustinova & Lempitsky 2016, eqs. 1 to 4).

    .. math::
        L = \sum_r h_r^- \sum_{q \le r} h_q^+

    where :math:`h^+` and :math:`h^-` are the normalized histograms, over nodes from -1 to 1, of the
    cosines of all positive and all negative pairs: the probability that a random negative pair is
    more similar than a random positive pair.

    Args:
        bins: Number of histogram intervals; 200 are the paper's step of 0.01.
        name: Name in Keras' logs.
    """

    def __init__(self, bins: int = 200, name: str = "histogram") -> None:
        super().__init__(name)
        self.bins = check_integer("bins", bins, 1)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        positions = (1 + cosines(pairs.anchors, pairs.references)) * (self.bins / 2)
        positive = self._density(positions, pairs.positives)
        negative = self._density(positions, pairs.negatives)
        return tf.reduce_sum(negative * tf.cumsum(positive))

    def _density(self, positions: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        counts = tf.reduce_sum(row_histograms(positions, mask, self.bins), axis=0)
        return counts / tf.maximum(tf.math.count_nonzero(mask, dtype=counts.dtype), 1)

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
    r"""Histogram loss: the probability that a negative pair is more similar than a positive pair.

    $$
    L = \sum_r h_r^- \sum_{q \le r} h_q^+
    $$

    where $h^+$ and $h^-$ are the normalized histograms, with nodes from -1 to 1, of the cosines of
    all positive and all negative pairs of the batch.

    Args:
        bins: Number of histogram intervals, at least 1. The default is the paper's step of 0.01.
            Defaults to 200.
        name: Name of the loss in Keras' logs. Defaults to "histogram".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Ustinova, Lempitsky (2016): Learning Deep Embeddings with Histogram Loss, NeurIPS, eqs. 1 to
        4. arXiv:1611.00822.

    Example:
        The cosine is 0.8 for both positive pairs, and 0, 0.6, 0.6 and 0.96 for the negative ones.
        Of the four negative pairs only the one of cosine 0.96 is more similar than the positive
        pairs, whose cosine is 0.8.

        >>> from retrieval.losses import Histogram
        >>> loss = Histogram()
        >>> embeddings = [[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]
        >>> round(float(loss([0, 0, 1, 1], embeddings)), 4)
        0.25
    """

    def __init__(self, bins: int = 200, name: str = "histogram") -> None:
        super().__init__(name)
        self.bins = check_integer("bins", bins, least=1)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        positions = (1 + cosines(pairs.anchors, pairs.references)) * (self.bins / 2)
        positive = self._density(positions, pairs.positives)
        negative = self._density(positions, pairs.negatives)
        return tf.reduce_sum(negative * tf.cumsum(positive))

    def _density(self, positions: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        counts = tf.reduce_sum(row_histograms(positions, mask, self.bins), axis=0)
        return counts / tf.maximum(tf.math.count_nonzero(mask, dtype=counts.dtype), 1)

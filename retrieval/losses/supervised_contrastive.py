"""Supervised contrastive loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import cosines
from retrieval.losses.ops.pairs import Pairs, masked_logsumexp, mean_over
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class SupervisedContrastive(PairLoss):
    r"""Supervised contrastive loss (Khosla et al. 2020, eq. 2, "out").

    .. math::
        L = \frac{1}{|A|} \sum_{i \in A} \frac{-1}{|P_i|} \sum_{p \in P_i}
            \log \frac{e^{s_{ip} / \tau}}{\sum_{a \ne i} e^{s_{ia} / \tau}}

    with cosine s, over the anchors A that have a positive; the sum runs over positives and
    negatives alike.

    Args:
        temperature: tau.
        name: Name in Keras' logs.
    """

    def __init__(self, temperature: float = 0.1, name: str = "supervised_contrastive") -> None:
        super().__init__(name)
        self.temperature = check_number("temperature", temperature, 0)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        logits = cosines(pairs.anchors, pairs.references) / self.temperature
        every = masked_logsumexp(logits, pairs.positives | pairs.negatives)
        count = tf.math.count_nonzero(pairs.positives, axis=1, dtype=logits.dtype)
        total = tf.reduce_sum(tf.where(pairs.positives, logits, 0.0), axis=1)
        return mean_over(every - total / tf.maximum(count, 1), count > 0)

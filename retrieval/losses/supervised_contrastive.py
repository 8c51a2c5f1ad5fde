"""Supervised contrastive loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import cosines
from retrieval.losses.ops.pairs import Pairs, masked_logsumexp, mean_over
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class SupervisedContrastive(PairLoss):
    r"""Supervised contrastive loss: softmax of each positive among all other items of the batch.

    $$
    L = \frac{1}{|A|} \sum_{i \in A} \frac{-1}{|P_i|} \sum_{p \in P_i}
        \log \frac{e^{s_{ip} / \tau}}{\sum_{a \ne i} e^{s_{ia} / \tau}}
    $$

    with cosines $s$ and the positives $P_i$ of anchor $i$. The mean is over the anchors $A$ that
    have a positive; the sum in the denominator runs over positives and negatives alike.

    Args:
        temperature: Temperature $\tau$ of the softmax, above 0. Defaults to 0.1.
        name: Name of the loss in Keras' logs. Defaults to "supervised_contrastive".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Khosla, Teterwak, Wang, Sarna, Tian, Isola, Maschinot, Liu, Krishnan (2020): Supervised
        Contrastive Learning, NeurIPS, eq. 2 ("out"). arXiv:2004.11362.

    Example:
        The cosine is 0.8 for both positive pairs, and 0, 0.6, 0.6 and 0.96 for the negative ones.

        >>> from retrieval.losses import SupervisedContrastive
        >>> loss = SupervisedContrastive(temperature=1.0)
        >>> embeddings = [[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]
        >>> round(float(loss([0, 0, 1, 1], embeddings)), 4)
        0.9575
    """

    def __init__(self, temperature: float = 0.1, name: str = "supervised_contrastive") -> None:
        super().__init__(name)
        self.temperature = check_number("temperature", temperature, above=0)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        logits = cosines(pairs.anchors, pairs.references) / self.temperature
        everything = masked_logsumexp(logits, pairs.positives | pairs.negatives)
        count = tf.math.count_nonzero(pairs.positives, axis=1, dtype=logits.dtype)
        total = tf.reduce_sum(tf.where(pairs.positives, logits, 0.0), axis=1)
        return mean_over(everything - total / tf.maximum(count, 1), count > 0)

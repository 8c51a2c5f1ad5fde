"""NT-Xent (InfoNCE) loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import cosines
from retrieval.losses.ops.pairs import LOG_ZERO, Pairs, masked_logsumexp, mean_over
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class NTXent(PairLoss):
    r"""Normalized temperature-scaled cross-entropy, or InfoNCE (Chen et al. 2020, eq. 1).

    .. math::
        L = - \frac{1}{|P|} \sum_{(i, j) \in P} \log \frac{e^{s_{ij} / \tau}}
            {e^{s_{ij} / \tau} + \sum_{n: y_n \ne y_i} e^{s_{in} / \tau}}

    with cosine s, over all ordered positive pairs P whose anchor has a negative. With two rows per
    label it is the paper's loss; with more, an anchor's other positives are left out of the sum.

    Args:
        temperature: tau.
        name: Name in Keras' logs.
    """

    def __init__(self, temperature: float = 0.1, name: str = "ntxent") -> None:
        super().__init__(name)
        self.temperature = check_number("temperature", temperature, 0)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        logits = cosines(pairs.anchors, pairs.references) / self.temperature
        positive_pairs = tf.where(pairs.positives)
        rest = tf.gather(masked_logsumexp(logits, pairs.negatives), positive_pairs[:, 0])
        losses = tf.nn.softplus(rest - tf.gather_nd(logits, positive_pairs))
        return mean_over(losses, rest > LOG_ZERO)

"""NT-Xent (InfoNCE) loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import cosines
from retrieval.losses.ops.pairs import LOG_ZERO, Pairs, masked_logsumexp, mean_over
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class NTXent(PairLoss):
    r"""NT-Xent or InfoNCE: softmax of each positive pair among the anchor's negatives.

    $$
    L = - \frac{1}{|P|} \sum_{(i, j) \in P} \log \frac{e^{s_{ij} / \tau}}
        {e^{s_{ij} / \tau} + \sum_{n: y_n \ne y_i} e^{s_{in} / \tau}}
    $$

    with cosines $s$. The mean is over all ordered positive pairs $P$ whose anchor has a negative.
    With two rows per label it is the paper's loss; with more, an anchor's other positives are left
    out of the sum.

    Args:
        temperature: Temperature $\tau$ of the softmax, above 0. Defaults to 0.1.
        name: Name of the loss in Keras' logs. Defaults to "ntxent".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Chen, Kornblith, Norouzi, Hinton (2020): A Simple Framework for Contrastive Learning of
        Visual Representations, ICML, eq. 1. arXiv:2002.05709.

    Example:
        The cosine is 0.8 for both positive pairs, and 0, 0.6, 0.6 and 0.96 for the negative ones.

        >>> from retrieval.losses import NTXent
        >>> loss = NTXent(temperature=1.0)
        >>> embeddings = [[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]
        >>> round(float(loss([0, 0, 1, 1], embeddings)), 4)
        0.9575
    """

    def __init__(self, temperature: float = 0.1, name: str = "ntxent") -> None:
        super().__init__(name)
        self.temperature = check_number("temperature", temperature, above=0)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        logits = cosines(pairs.anchors, pairs.references) / self.temperature
        positive_pairs = tf.where(pairs.positives)
        negatives = tf.gather(masked_logsumexp(logits, pairs.negatives), positive_pairs[:, 0])
        losses = tf.nn.softplus(negatives - tf.gather_nd(logits, positive_pairs))
        return mean_over(losses, negatives > LOG_ZERO)

"""Circle loss."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.ops.distances import cosines
from retrieval.losses.ops.pairs import Pairs, masked_logsumexp, mean_over
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class Circle(PairLoss):
    r"""Circle loss: pairs weighted by how far each is from its own optimum.

    $$
    L = \frac{1}{|A|} \sum_{a \in A} \log \left( 1 + \sum_n e^{\gamma \alpha_n (s_n - m)}
        \sum_p e^{-\gamma \alpha_p (s_p - 1 + m)} \right), \quad
    \alpha_n = [s_n + m]_+, \ \alpha_p = [1 + m - s_p]_+
    $$

    with the cosines $s$ of an anchor to its negatives $n$ and positives $p$. The mean is over the
    anchors $A$ that have both. The weights $\alpha$ carry no gradient, as in the paper.

    Args:
        margin: Margin $m$: the optima are $-m$ for negatives and $1 + m$ for positives. The paper
            uses 0.4 for fine-grained retrieval and 0.25 for faces. Defaults to 0.4.
        scale: Scale $\gamma$ of the cosines, above 0. The paper uses 80 for fine-grained retrieval
            and 256 for faces. Defaults to 80.0.
        name: Name of the loss in Keras' logs. Defaults to "circle".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Sun, Cheng, Zhang, Zhang, Zheng, Wang, Wei (2020): Circle Loss: A Unified Perspective of
        Pair Similarity Optimization, CVPR, eqs. 5 and 6. arXiv:2002.10857.

    Example:
        The cosine is 0.8 for both positive pairs, and 0, 0.6, 0.6 and 0.96 for the negative ones.

        >>> from retrieval.losses import Circle
        >>> loss = Circle(scale=1.0)
        >>> embeddings = [[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]]
        >>> round(float(loss([0, 0, 1, 1], embeddings)), 4)
        1.2127
    """

    def __init__(self, margin: float = 0.4, scale: float = 80.0, name: str = "circle") -> None:
        super().__init__(name)
        self.margin = check_number("margin", margin)
        self.scale = check_number("scale", scale, above=0)

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        similarities = cosines(pairs.anchors, pairs.references)
        fixed = tf.stop_gradient(similarities)
        weights = self.scale * tf.nn.relu(fixed + self.margin)
        push = masked_logsumexp(weights * (similarities - self.margin), pairs.negatives)
        weights = self.scale * tf.nn.relu(1 + self.margin - fixed)
        pull = masked_logsumexp(weights * (1 - self.margin - similarities), pairs.positives)
        both = tf.reduce_any(pairs.positives, axis=1) & tf.reduce_any(pairs.negatives, axis=1)
        return mean_over(tf.nn.softplus(push + pull), both)

"""Proxy-NCA++ loss."""

import keras
import tensorflow as tf

from retrieval.losses.ops.pairs import masked_logsumexp, mean_over
from retrieval.losses.proxies import ProxyLoss, class_cross_entropy, one_hot_mask
from retrieval.validation import check_flag, check_number


@keras.saving.register_keras_serializable(package="retrieval")
class ProxyNCA(ProxyLoss):
    r"""ProxyNCA++ (Teh, DeVries, Taylor 2020): the probability of the own proxy.

    .. math::
        L = - \frac{1}{B} \sum_i \log \frac{e^{-d(x_i, p_{y_i}) / T}}{\sum_c e^{-d(x_i, p_c) / T}},
        \qquad d(x, p) = \left| \frac{x}{|x|} - \frac{p}{|p|} \right|^2

    With ``own_in_denominator=False`` and ``temperature=1`` it is the original Proxy-NCA
    (Movshovitz-Attias 2017), whose sum leaves out the own proxy.

    The proxies train with :class:`retrieval.RankingModel` (as in ``retrieval train``); plain
    Keras ``compile`` and ``fit`` leave them as they are.

    Args:
        temperature: T; the paper's 1 / 9 scales unit vectors by 3.
        own_in_denominator: Whether the sum includes the own proxy.
        learning_rate_multiplier: Learning rate of the proxies relative to the model's; 100 is our
            choice. The authors' code has 100,000 on CUB and 10,000 on SOP, for Adam with an
            epsilon of 1, with which steps grow with the gradient.
        seed: Seeds the initial proxies.
        name: Name in Keras' logs.
    """

    def __init__(
        self,
        temperature: float = 1 / 9,
        own_in_denominator: bool = True,
        learning_rate_multiplier: float = 100.0,
        seed: int = 0,
        name: str = "proxy_nca",
    ) -> None:
        super().__init__(learning_rate_multiplier, seed, name)
        self.temperature = check_number("temperature", temperature, 0)
        self.own_in_denominator = check_flag("own_in_denominator", own_in_denominator)

    def from_classes(self, indices: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the scalar loss from class indices (B,) and embeddings (B, D)."""
        logits = (2 * self.class_cosines(embeddings) - 2) / self.temperature
        if self.own_in_denominator:
            return class_cross_entropy(logits, indices)
        others = tf.logical_not(one_hot_mask(indices, self.num_classes))
        own = tf.gather(logits, indices, axis=1, batch_dims=1)
        return mean_over(masked_logsumexp(logits, others) - own, tf.reduce_any(others, axis=1))

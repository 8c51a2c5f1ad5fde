"""Proxy-anchor loss."""

import keras
import tensorflow as tf

from retrieval.losses.ops.pairs import masked_logsumexp, mean_over
from retrieval.losses.proxies import ProxyLoss
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class ProxyAnchor(ProxyLoss):
    r"""Proxy-anchor loss (Kim et al. 2020, eq. 4): each proxy is an anchor for the batch.

    .. math::
        L = \frac{1}{|P^+|} \sum_{p \in P^+} \log \left( 1 + \sum_{x: y_x = p}
            e^{-\alpha (s(x, p) - \delta)} \right)
          + \frac{1}{|P|} \sum_{p \in P} \log \left( 1 + \sum_{x: y_x \ne p}
            e^{\alpha (s(x, p) + \delta)} \right)

    with cosine s, P all proxies and :math:`P^+` those with an item in the batch.

    The proxies train with :class:`retrieval.RankingModel` (as in ``retrieval train``); plain
    Keras ``compile`` and ``fit`` leave them as they are.

    Args:
        margin: delta.
        scale: alpha.
        learning_rate_multiplier: Learning rate of the proxies relative to the model's; 100 as in
            the authors' code.
        seed: Seeds the initial proxies.
        name: Name in Keras' logs.
    """

    def __init__(
        self,
        margin: float = 0.1,
        scale: float = 32.0,
        learning_rate_multiplier: float = 100.0,
        seed: int = 0,
        name: str = "proxy_anchor",
    ) -> None:
        super().__init__(learning_rate_multiplier, seed, name)
        self.margin = check_number("margin", margin)
        self.scale = check_number("scale", scale, 0)

    def from_classes(self, indices: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the scalar loss from class indices (B,) and embeddings (B, D)."""
        cosines = tf.transpose(self.class_cosines(embeddings))
        own = tf.equal(tf.range(self.num_classes)[:, None], indices[None, :])
        pull = tf.nn.softplus(masked_logsumexp(-self.scale * (cosines - self.margin), own))
        others = tf.logical_not(own)
        push = tf.nn.softplus(masked_logsumexp(self.scale * (cosines + self.margin), others))
        return mean_over(pull, tf.reduce_any(own, axis=1)) + tf.reduce_mean(push)

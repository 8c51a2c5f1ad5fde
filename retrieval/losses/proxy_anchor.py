"""Proxy-anchor loss."""

import keras
import tensorflow as tf

from retrieval.losses.ops.pairs import masked_logsumexp, mean_over
from retrieval.losses.proxies import ProxyLoss
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class ProxyAnchor(ProxyLoss):
    r"""Proxy-anchor loss: every class proxy is an anchor for all items of the batch.

    $$
    L = \frac{1}{|P^+|} \sum_{p \in P^+} \log \left( 1 + \sum_{x: y_x = p}
        e^{-\alpha (s(x, p) - \delta)} \right)
      + \frac{1}{|P|} \sum_{p \in P} \log \left( 1 + \sum_{x: y_x \ne p}
        e^{\alpha (s(x, p) + \delta)} \right)
    $$

    with cosines $s$, all proxies $P$, and the proxies $P^+$ whose class is in the batch.

    The proxies train with :class:`retrieval.RankingModel`, as in ``retrieval train``. Keras' own
    ``compile(loss=...)`` and ``fit`` leave them as they are.

    Args:
        margin: Margin $\delta$ of the cosines. Defaults to 0.1.
        scale: Scale $\alpha$ of the cosines, above 0. Defaults to 32.0.
        learning_rate_multiplier: Learning rate of the proxies relative to the model's, as in the
            authors' code. Defaults to 100.0.
        seed: Seed of the initial proxies. Defaults to 0.
        name: Name of the loss in Keras' logs. Defaults to "proxy_anchor".

    Shapes:
        Labels (B,) from 0 to C - 1, embeddings (B, D) -> scalar, float32. The loss owns the
        proxies, (C, D).

    Reference:
        Kim, Kim, Cho, Kwak (2020): Proxy Anchor Loss for Deep Metric Learning, CVPR, eq. 4.
        arXiv:2003.13911.

    Example:
        An item on its proxy, the other proxy orthogonal: log(1 + exp(-2 (1 - 0.1))) + log(1 + exp(2
        (0 + 0.1))) / 2.

        >>> from retrieval.losses import ProxyAnchor
        >>> loss = ProxyAnchor(scale=2.0)
        >>> loss.build(num_classes=2, embedding_size=2)
        >>> loss.set_weights([[[1.0, 0.0], [0.0, 1.0]]])
        >>> round(float(loss([0], [[1.0, 0.0]])), 4)
        0.552
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
        self.scale = check_number("scale", scale, above=0)

    def from_classes(self, indices: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the scalar loss from class indices (B,) and embeddings (B, D)."""
        cosines = tf.transpose(self.class_cosines(embeddings))
        positives = tf.equal(tf.range(self.num_classes)[:, None], indices[None, :])
        pull = tf.nn.softplus(masked_logsumexp(-self.scale * (cosines - self.margin), positives))
        negatives = tf.logical_not(positives)
        push = tf.nn.softplus(masked_logsumexp(self.scale * (cosines + self.margin), negatives))
        return mean_over(pull, tf.reduce_any(positives, axis=1)) + tf.reduce_mean(push)

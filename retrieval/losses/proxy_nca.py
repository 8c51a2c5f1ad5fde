"""Proxy-NCA loss."""

import keras
import tensorflow as tf

from retrieval.losses.ops.pairs import masked_logsumexp, mean_over
from retrieval.losses.proxies import ProxyLoss, class_cross_entropy, one_hot_mask
from retrieval.validation import check_flag, check_number


@keras.saving.register_keras_serializable(package="retrieval")
class ProxyNCA(ProxyLoss):
    r"""Proxy-NCA: an item is closer to its own proxy than to those of all other classes.

    $$
    L = - \frac{1}{B} \sum_i \log \frac{e^{-d(x_i, p_{y_i}) / T}}
        {\sum_{c \neq y_i} e^{-d(x_i, p_c) / T}},
    \qquad d(x, p) = \left| \frac{x}{|x|} - \frac{p}{|p|} \right|^2
    $$

    with one trained proxy $p_c$ per class. The sum leaves out the own proxy, as in the original
    (with ``temperature=1.0``). With ``own_in_denominator=True`` it is ProxyNCA++, the softmax
    probability of the own proxy.

    The proxies train with :class:`retrieval.RankingModel`, as in ``retrieval train``. Keras' own
    ``compile(loss=...)`` and ``fit`` leave them as they are.

    Args:
        temperature: Temperature $T$, above 0. The paper's 1/9 scales unit vectors by 3. Defaults to
            1/9.
        own_in_denominator: Whether the sum includes the item's own proxy; without it, Grocery has
            a better Recall@1, see ``benchmarks/results/loss_settings.md``. Defaults to False.
        learning_rate_multiplier: Learning rate of the proxies relative to the model's; our choice.
            The authors' code has 100,000 on CUB and 10,000 on SOP, for Adam with an epsilon of 1,
            with which steps grow with the gradient. Defaults to 100.0.
        seed: Seed of the initial proxies. Defaults to 0.
        name: Name of the loss in Keras' logs. Defaults to "proxy_nca".

    Shapes:
        Labels (B,) from 0 to C - 1, embeddings (B, D) -> scalar, float32. The loss owns the
        proxies, (C, D).

    Reference:
        Teh, DeVries, Taylor (2020): ProxyNCA++: Revisiting and Revitalizing Proxy Neighborhood
        Component Analysis, ECCV. arXiv:2004.01113.

        Original: Movshovitz-Attias, Toshev, Leung, Ioffe, Singh (2017): No Fuss Distance Metric
        Learning using Proxies, ICCV. arXiv:1703.07464.

    Example:
        An item on its proxy, the other proxy orthogonal (squared distance 2): log(exp(-2)).

        >>> from retrieval.losses import ProxyNCA
        >>> loss = ProxyNCA(temperature=1.0)
        >>> loss.build(num_classes=2, embedding_size=2)
        >>> loss.set_weights([[[1.0, 0.0], [0.0, 1.0]]])
        >>> round(float(loss([0], [[1.0, 0.0]])), 4)
        -2.0
    """

    def __init__(
        self,
        temperature: float = 1 / 9,
        own_in_denominator: bool = False,
        learning_rate_multiplier: float = 100.0,
        seed: int = 0,
        name: str = "proxy_nca",
    ) -> None:
        super().__init__(learning_rate_multiplier, seed, name)
        self.temperature = check_number("temperature", temperature, above=0)
        self.own_in_denominator = check_flag("own_in_denominator", own_in_denominator)

    def from_classes(self, indices: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the scalar loss from class indices (B,) and embeddings (B, D)."""
        logits = (2 * self.class_cosines(embeddings) - 2) / self.temperature
        if self.own_in_denominator:
            return class_cross_entropy(logits, indices)
        others = tf.logical_not(one_hot_mask(indices, self.num_classes))
        target = tf.gather(logits, indices, axis=1, batch_dims=1)
        return mean_over(masked_logsumexp(logits, others) - target, tf.reduce_any(others, axis=1))

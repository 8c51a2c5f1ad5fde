"""SoftTriple loss."""

from typing import Any

import keras
import tensorflow as tf

from retrieval.losses.proxies import ProxyLoss, class_cross_entropy, one_hot_mask
from retrieval.validation import check_integer, check_number


@keras.saving.register_keras_serializable(package="retrieval")
class SoftTriple(ProxyLoss):
    r"""SoftTriple loss: softmax over classes that have several centers each.

    $$
    S_{ic} = \sum_k \frac{e^{x_i^\top w_{ck} / \gamma}}{\sum_l e^{x_i^\top w_{cl} / \gamma}}
        x_i^\top w_{ck}
    $$

    $$
    L = - \frac{1}{B} \sum_i \log \frac{e^{\lambda (S_{i y_i} - \delta)}}
        {e^{\lambda (S_{i y_i} - \delta)} + \sum_{c \ne y_i} e^{\lambda S_{ic}}}
        + \frac{\tau}{C K (K - 1)} \sum_c \sum_{k < l} \sqrt{2 - 2 w_{ck}^\top w_{cl}}
    $$

    with unit embeddings $x$ and unit centers $w$. The last term merges centers that a class does
    not need.

    The centers train with :class:`retrieval.RankingModel`, as in ``retrieval train``. Keras' own
    ``compile(loss=...)`` and ``fit`` leave them as they are.

    Args:
        scale: Scale $\lambda$ of the similarities, above 0. Defaults to 20.0.
        gamma: Temperature $\gamma$, above 0, of the choice among a class's centers. Defaults to
            0.1.
        margin: Margin $\delta$ of the similarity to the own class. Defaults to 0.01.
        centers_per_class: Number of centers $K$ per class, at least 1. Defaults to 10.
        regularizer: Weight $\tau$, at least 0, of the distances between a class's centers. Defaults
            to 0.2.
        learning_rate_multiplier: Learning rate of the centers relative to the model's, as in the
            authors' code (0.01 and 0.0001). Defaults to 100.0.
        seed: Seed of the initial centers. Defaults to 0.
        name: Name of the loss in Keras' logs. Defaults to "soft_triple".

    Shapes:
        Labels (B,) from 0 to C - 1, embeddings (B, D) -> scalar, float32. The loss owns centers (C
        * K, D), those of a class in consecutive rows.

    Reference:
        Qian, Shang, Sun, Hu, Li, Jin (2019): SoftTriple Loss: Deep Metric Learning Without Triplet
        Sampling, ICCV. arXiv:1909.05235.

    Example:
        One center per class. An item on its center, the other one orthogonal: log(1 + exp(2 (0 - (1
        - 0.5)))).

        >>> from retrieval.losses import SoftTriple
        >>> loss = SoftTriple(scale=2.0, margin=0.5, centers_per_class=1)
        >>> loss.build(num_classes=2, embedding_size=2)
        >>> loss.set_weights([[[1.0, 0.0], [0.0, 1.0]]])
        >>> round(float(loss([0], [[1.0, 0.0]])), 4)
        0.3133
    """

    def __init__(
        self,
        scale: float = 20.0,
        gamma: float = 0.1,
        margin: float = 0.01,
        centers_per_class: int = 10,
        regularizer: float = 0.2,
        learning_rate_multiplier: float = 100.0,
        seed: int = 0,
        name: str = "soft_triple",
    ) -> None:
        super().__init__(learning_rate_multiplier, seed, name)
        self.scale = check_number("scale", scale, above=0)
        self.gamma = check_number("gamma", gamma, above=0)
        self.margin = check_number("margin", margin)
        self.centers_per_class = check_integer("centers_per_class", centers_per_class, least=1)
        self.proxies_per_class = self.centers_per_class
        self.regularizer = check_number("regularizer", regularizer, least=0)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SoftTriple":
        """Make an equal loss; model files of version 0.1.0 spell ``centres_per_class``."""
        options = dict(config)
        if "centres_per_class" in options:
            options["centers_per_class"] = options.pop("centres_per_class")
        return super().from_config(options)

    def from_classes(self, indices: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the scalar loss from class indices (B,) and embeddings (B, D)."""
        shape = [-1, self.num_classes, self.centers_per_class]
        cosines = tf.reshape(self.class_cosines(embeddings), shape)
        choice = tf.nn.softmax(cosines / self.gamma, axis=2)
        similarity = tf.reduce_sum(choice * cosines, axis=2)
        mask = one_hot_mask(indices, self.num_classes)
        logits = self.scale * tf.where(mask, similarity - self.margin, similarity)
        return class_cross_entropy(logits, indices) + self.regularizer * self._spread()

    def _spread(self) -> tf.Tensor:
        size = self.centers_per_class
        if size == 1:
            return tf.constant(0.0)
        centers = tf.reshape(self.unit_proxies(), [self.num_classes, size, -1])
        squared = 2 - 2 * tf.matmul(centers, centers, transpose_b=True)
        # 1e-5 as in the authors' code: the gradient stays finite once centers have merged.
        distances = tf.sqrt(tf.nn.relu(squared) + 1e-5)
        upper = tf.linalg.band_part(distances, 0, -1) - tf.linalg.band_part(distances, 0, 0)
        return tf.reduce_sum(upper) / (self.num_classes * size * (size - 1))

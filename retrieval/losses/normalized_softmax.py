"""Normalized softmax loss."""

import keras
import tensorflow as tf

from retrieval.losses.proxies import ProxyLoss, class_cross_entropy
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class NormalizedSoftmax(ProxyLoss):
    r"""Normalized softmax: classification by the cosine to a weight vector per class.

    $$
    L = - \frac{1}{B} \sum_i \log \frac{e^{x_i^\top w_{y_i} / T}}{\sum_c e^{x_i^\top w_c / T}}
    $$

    with embeddings $x$ and class weights $w$ that the loss scales to unit length.

    The class weights train with :class:`retrieval.RankingModel`, as in ``retrieval train``. Keras'
    own ``compile(loss=...)`` and ``fit`` leave them as they are.

    Args:
        temperature: Temperature $T$ of the softmax, above 0. Defaults to 0.05.
        learning_rate_multiplier: Learning rate of the class weights relative to the model's; our
            choice. The authors' code trains both at one rate, with SGD. Defaults to 10.0.
        seed: Seed of the initial class weights. Defaults to 0.
        name: Name of the loss in Keras' logs. Defaults to "normalized_softmax".

    Shapes:
        Labels (B,) from 0 to C - 1, embeddings (B, D) -> scalar, float32. The loss owns the weights
        of the classes, (C, D).

    Reference:
        Zhai, Wu (2019): Classification is a Strong Baseline for Deep Metric Learning, BMVC.
        arXiv:1811.12649.

    Example:
        An item on its class weight, the other one orthogonal: log(1 + exp(-1 / 0.5)).

        >>> from retrieval.losses import NormalizedSoftmax
        >>> loss = NormalizedSoftmax(temperature=0.5)
        >>> loss.build(num_classes=2, embedding_size=2)
        >>> loss.set_weights([[[1.0, 0.0], [0.0, 1.0]]])
        >>> round(float(loss([0], [[1.0, 0.0]])), 4)
        0.1269
    """

    def __init__(
        self,
        temperature: float = 0.05,
        learning_rate_multiplier: float = 10.0,
        seed: int = 0,
        name: str = "normalized_softmax",
    ) -> None:
        super().__init__(learning_rate_multiplier, seed, name)
        self.temperature = check_number("temperature", temperature, above=0)

    def from_classes(self, indices: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the scalar loss from class indices (B,) and embeddings (B, D)."""
        logits = self.class_cosines(embeddings) / self.temperature
        return class_cross_entropy(logits, indices)

"""Normalized softmax loss."""

import keras
import tensorflow as tf

from retrieval.losses.proxies import ProxyLoss, class_cross_entropy
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class NormalizedSoftmax(ProxyLoss):
    r"""Normalized softmax (Zhai & Wu 2019): classification by cosine.

    .. math::
        L = - \frac{1}{B} \sum_i \log \frac{e^{x_i^\top w_{y_i} / T}}{\sum_c e^{x_i^\top w_c / T}}

    with unit embeddings x and unit class weights w; the loss normalizes both.

    The class weights train with :class:`retrieval.RankingModel` (as in ``retrieval train``); plain
    Keras ``compile`` and ``fit`` leave them as they are.

    Args:
        temperature: T.
        learning_rate_multiplier: Learning rate of the class weights relative to the model's; 10 is
            our choice. The authors' code trains both at one rate, with SGD.
        seed: Seeds the initial class weights.
        name: Name in Keras' logs.
    """

    def __init__(
        self,
        temperature: float = 0.05,
        learning_rate_multiplier: float = 10.0,
        seed: int = 0,
        name: str = "normalized_softmax",
    ) -> None:
        super().__init__(learning_rate_multiplier, seed, name)
        self.temperature = check_number("temperature", temperature, 0)

    def from_classes(self, indices: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the scalar loss from class indices (B,) and embeddings (B, D)."""
        logits = self.class_cosines(embeddings) / self.temperature
        return class_cross_entropy(logits, indices)

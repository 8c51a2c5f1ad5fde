"""ArcFace (additive angular margin) loss."""

import math

import keras
import tensorflow as tf

from retrieval.losses.ops.distances import add_angle
from retrieval.losses.proxies import ProxyLoss, class_cross_entropy, one_hot_mask
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class ArcFace(ProxyLoss):
    r"""ArcFace (Deng et al. 2019, eq. 3): an additive margin on the angle to the own class.

    .. math::
        L = - \frac{1}{B} \sum_i \log \frac{e^{s \cos(\theta_{y_i} + m)}}
            {e^{s \cos(\theta_{y_i} + m)} + \sum_{c \ne y_i} e^{s \cos \theta_c}}

    Past :math:`\theta = \pi - m`, where :math:`\cos(\theta + m)` would rise again,
    :math:`\cos \theta - m \sin m` takes its place, as in the authors' code.

    The class weights train with :class:`retrieval.RankingModel` (as in ``retrieval train``); plain
    Keras ``compile`` and ``fit`` leave them as they are.

    Args:
        margin: m, radians.
        scale: s.
        learning_rate_multiplier: Learning rate of the class weights relative to the model's; 10 is
            our choice.
        seed: Seeds the initial class weights.
        name: Name in Keras' logs.
    """

    def __init__(
        self,
        margin: float = 0.5,
        scale: float = 64.0,
        learning_rate_multiplier: float = 10.0,
        seed: int = 0,
        name: str = "arcface",
    ) -> None:
        super().__init__(learning_rate_multiplier, seed, name)
        self.margin = check_number("margin", margin, -math.pi, math.pi)
        self.scale = check_number("scale", scale, 0)

    def from_classes(self, indices: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the scalar loss from class indices (B,) and embeddings (B, D)."""
        cosines = self.class_cosines(embeddings)
        own = tf.gather(cosines, indices, axis=1, batch_dims=1)
        beyond = own < math.cos(math.pi - self.margin)
        linear = own - self.margin * math.sin(self.margin)
        raised = tf.where(beyond, linear, add_angle(own, self.margin))
        mask = one_hot_mask(indices, self.num_classes)
        logits = self.scale * tf.where(mask, raised[:, None], cosines)
        return class_cross_entropy(logits, indices)

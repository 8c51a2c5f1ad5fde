"""CosFace (large-margin cosine) loss."""

import keras
import tensorflow as tf

from retrieval.losses.proxies import ProxyLoss, class_cross_entropy, one_hot_mask
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class CosFace(ProxyLoss):
    r"""CosFace (Wang et al. 2018, eq. 4): an additive margin on the cosine of the own class.

    .. math::
        L = - \frac{1}{B} \sum_i \log \frac{e^{s (\cos \theta_{y_i} - m)}}
            {e^{s (\cos \theta_{y_i} - m)} + \sum_{c \ne y_i} e^{s \cos \theta_c}}

    with :math:`\theta_c` the angle between the embedding and class weight c.

    The class weights train with :class:`retrieval.RankingModel` (as in ``retrieval train``); plain
    Keras ``compile`` and ``fit`` leave them as they are.

    Args:
        margin: m.
        scale: s.
        learning_rate_multiplier: Learning rate of the class weights relative to the model's; 10 is
            our choice.
        seed: Seeds the initial class weights.
        name: Name in Keras' logs.
    """

    def __init__(
        self,
        margin: float = 0.35,
        scale: float = 64.0,
        learning_rate_multiplier: float = 10.0,
        seed: int = 0,
        name: str = "cosface",
    ) -> None:
        super().__init__(learning_rate_multiplier, seed, name)
        self.margin = check_number("margin", margin)
        self.scale = check_number("scale", scale, 0)

    def from_classes(self, indices: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the scalar loss from class indices (B,) and embeddings (B, D)."""
        cosines = self.class_cosines(embeddings)
        own = one_hot_mask(indices, self.num_classes)
        logits = self.scale * tf.where(own, cosines - self.margin, cosines)
        return class_cross_entropy(logits, indices)

"""ArcFace (additive angular margin) loss."""

import math

import keras
import tensorflow as tf

from retrieval.losses.ops.distances import add_angle
from retrieval.losses.proxies import ProxyLoss, class_cross_entropy, one_hot_mask
from retrieval.validation import check_number


@keras.saving.register_keras_serializable(package="retrieval")
class ArcFace(ProxyLoss):
    r"""ArcFace: softmax over classes with an additive margin on the angle to the own class.

    $$
    L = - \frac{1}{B} \sum_i \log \frac{e^{s \cos(\theta_{y_i} + m)}}
        {e^{s \cos(\theta_{y_i} + m)} + \sum_{c \ne y_i} e^{s \cos \theta_c}}
    $$

    with $\theta_c$ the angle between the embedding and the weight vector of class $c$. Beyond
    $\theta = \pi - m$, where $\cos(\theta + m)$ would rise again, $\cos \theta - m \sin m$ takes
    its place, as in the authors' code.

    The class weights train with :class:`retrieval.RankingModel`, as in ``retrieval train``. Keras'
    own ``compile(loss=...)`` and ``fit`` leave them as they are.

    Args:
        margin: Margin $m$ in radians, between $-\pi$ and $\pi$. Defaults to 0.5.
        scale: Scale $s$ of the cosines, above 0. Defaults to 64.0.
        learning_rate_multiplier: Learning rate of the class weights relative to the model's; our
            choice. Defaults to 10.0.
        seed: Seed of the initial class weights. Defaults to 0.
        name: Name of the loss in Keras' logs. Defaults to "arcface".

    Shapes:
        Labels (B,) from 0 to C - 1, embeddings (B, D) -> scalar, float32. The loss owns the weights
        of the classes, (C, D).

    Reference:
        Deng, Guo, Xue, Zafeiriou (2019): ArcFace: Additive Angular Margin Loss for Deep Face
        Recognition, CVPR, eq. 3. arXiv:1801.07698.

    Example:
        An item on its class weight, the other one orthogonal: log(1 + exp(2 (0 - cos 0.5))).

        >>> from retrieval.losses import ArcFace
        >>> loss = ArcFace(margin=0.5, scale=2.0)
        >>> loss.build(num_classes=2, embedding_size=2)
        >>> loss.set_weights([[[1.0, 0.0], [0.0, 1.0]]])
        >>> round(float(loss([0], [[1.0, 0.0]])), 4)
        0.1595
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
        self.margin = check_number("margin", margin, above=-math.pi, below=math.pi)
        self.scale = check_number("scale", scale, above=0)

    def from_classes(self, indices: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the scalar loss from class indices (B,) and embeddings (B, D)."""
        cosines = self.class_cosines(embeddings)
        target = tf.gather(cosines, indices, axis=1, batch_dims=1)
        beyond = target < math.cos(math.pi - self.margin)
        linear = target - self.margin * math.sin(self.margin)
        target = tf.where(beyond, linear, add_angle(target, self.margin))
        mask = one_hot_mask(indices, self.num_classes)
        logits = self.scale * tf.where(mask, target[:, None], cosines)
        return class_cross_entropy(logits, indices)

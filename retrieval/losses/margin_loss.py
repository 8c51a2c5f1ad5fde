"""Margin loss with distance-weighted sampling."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.miners import Triplets, distance_weighted
from retrieval.losses.ops.distances import euclidean_distances
from retrieval.losses.ops.pairs import Pairs
from retrieval.losses.proxies import checked_class_indices
from retrieval.validation import check_flag, check_number, check_seed


@keras.saving.register_keras_serializable(package="retrieval")
class MarginLoss(PairLoss):
    r"""Margin loss: a learned boundary between positives and distance-weighted negatives.

    $$
    L = \frac{1}{M} \sum_{(a, p, n)} \left( [D_{ap} - \beta + \alpha]_+
        + [\beta - D_{an} + \alpha]_+ + \nu \beta \right)
    $$

    with Euclidean distances $D$ between unit embeddings. Every positive pair $(a, p)$ draws one
    negative $n$, all distances about equally often, see
    :func:`retrieval.losses.miners.distance_weighted`. $M$ counts the hinges that are not 0. The
    boundary $\beta$ is learned: one for all classes, or one per class.

    A learned boundary trains with :class:`retrieval.RankingModel`, as in ``retrieval train``.
    Keras' own ``compile(loss=...)`` and ``fit`` leave it as it is.

    Args:
        margin: Margin $\alpha$, at least 0, on either side of the boundary. Defaults to 0.2.
        beta: Initial boundary $\beta$, at least 0. Defaults to 1.2.
        learn_beta: Whether the boundary is trained. Defaults to True.
        per_class: Whether every class has its own boundary; labels are then 0 .. num_classes - 1.
            Defaults to False.
        regularizer: Weight $\nu$, at least 0, of the boundaries of the drawn triplets. Defaults to
            0.0.
        cutoff: Negatives closer than this distance are drawn as if they were at it. Defaults to
            0.5.
        nonzero_cutoff: Negatives at this distance or further are not drawn. Defaults to 1.4.
        learning_rate_multiplier: Learning rate of the boundary relative to the model's; our choice.
            MXNet's example of the paper trains it by an optimizer of its own (SGD at 0.1, the model
            by Adam at 0.0001). Defaults to 10.0.
        seed: Seed of the draws. Defaults to 0.
        name: Name of the loss in Keras' logs. Defaults to "margin_loss".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Wu, Manmatha, Smola, Krähenbühl (2017): Sampling Matters in Deep Embedding Learning, ICCV,
        section 4. arXiv:1706.07567.

    Example:
        Positive distances are 1, and the one negative is 1.8 and 0.8 away. The hinges that are not
        0 are 1 - 1 + 0.2, twice, and 1 - 0.8 + 0.2: their mean is 0.8 / 3.

        >>> from retrieval.losses import MarginLoss
        >>> loss = MarginLoss(beta=1.0)
        >>> round(float(loss([0, 0, 1], [[0.0], [1.0], [1.8]])), 4)
        0.2667
    """

    def __init__(
        self,
        margin: float = 0.2,
        beta: float = 1.2,
        learn_beta: bool = True,
        per_class: bool = False,
        regularizer: float = 0.0,
        cutoff: float = 0.5,
        nonzero_cutoff: float = 1.4,
        learning_rate_multiplier: float = 10.0,
        seed: int = 0,
        name: str = "margin_loss",
    ) -> None:
        super().__init__(name)
        self.margin = check_number("margin", margin, least=0)
        self.beta = check_number("beta", beta, least=0)
        self.learn_beta = check_flag("learn_beta", learn_beta)
        self.per_class = check_flag("per_class", per_class)
        self.regularizer = check_number("regularizer", regularizer, least=0)
        self.cutoff = check_number("cutoff", cutoff, above=0)
        self.nonzero_cutoff = check_number("nonzero_cutoff", nonzero_cutoff, above=0)
        multiplier = check_number("learning_rate_multiplier", learning_rate_multiplier, above=0)
        self.learning_rate_multiplier = multiplier
        self.seed = check_seed("seed", seed)
        self.num_classes = 0

    @property
    def needs_sizes(self) -> bool:
        """Whether the boundary is per class, and so depends on the number of classes."""
        return self.per_class

    def add_variables(self, num_classes: int, embedding_size: int) -> None:
        """Create the boundary, () or (num_classes,), and the state of the draws."""
        self.num_classes = num_classes
        shape = (num_classes,) if self.per_class else ()
        initializer = keras.initializers.Constant(self.beta)
        self._boundary = keras.Variable(
            initializer, shape=shape, dtype="float32", trainable=self.learn_beta, name="beta"
        )
        self._draws = keras.random.SeedGenerator(self.seed)
        self.non_trainable_variables = [self._draws.state]
        if self.learn_beta:
            self.trainable_variables = [self._boundary]

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs. Every call draws new negatives.

        Raises:
            UserError: The loss has a boundary per class and has not been built.
        """
        self.build_itself()
        distances = euclidean_distances(pairs.anchors, pairs.references)
        return self.from_triplets(pairs.labels, distances, self.mine(pairs, distances))

    def mine(self, pairs: Pairs, distances: tf.Tensor) -> Triplets:
        """Draw a negative for every positive pair; another one with every call.

        Args:
            pairs: The pairs of A anchors and R references.
            distances: (A, R) float32, from anchors to references.

        Returns:
            One triplet per positive pair.
        """
        return distance_weighted(
            tf.stop_gradient(distances),
            pairs.positives,
            pairs.negatives,
            tf.cast(tf.shape(pairs.anchors)[1], tf.float32),
            tf.cast(self._draws.next(), tf.int32),
            self.cutoff,
            self.nonzero_cutoff,
        )

    def from_triplets(
        self, labels: tf.Tensor, distances: tf.Tensor, triplets: Triplets
    ) -> tf.Tensor:
        """Compute the scalar loss of given triplets.

        Args:
            labels: (A,), the anchors' labels.
            distances: (A, R) float32, from anchors to references.
            triplets: T triplets: rows of anchors, columns of positives and negatives.

        Returns:
            Scalar, float32.
        """
        boundary = tf.convert_to_tensor(self._boundary)
        if self.per_class:
            classes, known = checked_class_indices(labels, self.num_classes, self.name)
            boundary = tf.where(known, boundary, float("nan"))
            boundary = tf.gather(boundary, tf.gather(classes, triplets.anchors))
        positive = tf.gather_nd(distances, tf.stack([triplets.anchors, triplets.positives], 1))
        negative = tf.gather_nd(distances, tf.stack([triplets.anchors, triplets.negatives], 1))
        hinges = tf.nn.relu(
            tf.stack([positive - boundary + self.margin, boundary - negative + self.margin])
        )
        hinges = tf.where(triplets.valid, hinges, 0.0)
        active = tf.maximum(tf.math.count_nonzero(hinges, dtype=tf.float32), 1)
        used = tf.cast(triplets.valid, tf.float32) * boundary
        return (tf.reduce_sum(hinges) + self.regularizer * tf.reduce_sum(used)) / active

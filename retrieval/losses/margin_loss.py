"""Margin loss with distance-weighted sampling."""

import keras
import tensorflow as tf

from retrieval.losses.base import PairLoss
from retrieval.losses.miners import Triplets, distance_weighted
from retrieval.losses.ops.distances import euclidean_distances
from retrieval.losses.ops.pairs import Pairs
from retrieval.losses.proxies import checked_class_indices
from retrieval.validation import check_flag, check_integer, check_number


@keras.saving.register_keras_serializable(package="retrieval")
class MarginLoss(PairLoss):
    r"""Margin-based loss (Wu et al. 2017, section 4) with distance-weighted negatives.

    .. math::
        L = \frac{1}{M} \left( \sum_{(a, p, n)} [D_{ap} - \beta + \alpha]_+
            + [\beta - D_{an} + \alpha]_+ + \nu \beta \right)

    with Euclidean D on unit embeddings. Every positive pair draws one negative n, see
    :func:`retrieval.losses.miners.distance_weighted`. M counts the hinges that are not 0. The
    boundary
    beta is learned, either one or one per class.

    The learned beta trains with :class:`retrieval.RankingModel` (as in ``retrieval train``); plain
    Keras ``compile`` and ``fit`` leave it as it is.

    Args:
        margin: alpha.
        beta: Boundary at the start.
        learn_beta: Whether beta is a trainable variable.
        per_class: One beta per class; labels are then 0 .. num_classes - 1.
        regularizer: nu.
        cutoff: Negatives closer than this are drawn as if at this distance.
        nonzero_cutoff: Negatives further than this are not drawn.
        learning_rate_multiplier: Learning rate of beta relative to the model's; 10 is our choice.
            MXNet's example of the paper trains beta by an optimizer of its own (SGD at 0.1, the
            model by Adam at 0.0001).
        seed: Seeds the draws.
        name: Name in Keras' logs.
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
        self.cutoff = check_number("cutoff", cutoff, 0)
        self.nonzero_cutoff = check_number("nonzero_cutoff", nonzero_cutoff, 0)
        multiplier = check_number("learning_rate_multiplier", learning_rate_multiplier, 0)
        self.learning_rate_multiplier = multiplier
        self.seed = check_integer("seed", seed, 0)
        self.num_classes = 0

    @property
    def needs_sizes(self) -> bool:
        """Where there is one beta per class; one for all depends on no size."""
        return self.per_class

    def add_variables(self, num_classes: int, embedding_size: int) -> None:
        """Create beta, () or (num_classes,), and the state of the draws."""
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
        """Compute the scalar loss from the pairs; draws new negatives each time.

        Raises:
            UserError: ``per_class`` and not built.
        """
        self.build_itself()
        distances = euclidean_distances(pairs.anchors, pairs.references)
        mined = distance_weighted(
            tf.stop_gradient(distances),
            pairs.positives,
            pairs.negatives,
            tf.cast(tf.shape(pairs.anchors)[1], tf.float32),
            tf.cast(self._draws.next(), tf.int32),
            self.cutoff,
            self.nonzero_cutoff,
        )
        return self.from_triplets(pairs.labels, distances, mined)

    def from_triplets(
        self, labels: tf.Tensor, distances: tf.Tensor, triplets: Triplets
    ) -> tf.Tensor:
        """Compute the scalar loss of given triplets.

        Args:
            labels: (A,) of the anchors.
            distances: (A, R) float32.
            triplets: T rows of anchors and columns of positives and negatives.

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

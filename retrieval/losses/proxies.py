"""Base class of the losses that own trainable vectors per class: proxies, weights, centers."""

import keras
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses.base import RankingLoss
from retrieval.losses.ops.distances import unit_rows
from retrieval.validation import check_number, check_seed


class ProxyLoss(RankingLoss):
    """A loss that compares embeddings with trainable vectors, ``proxies_per_class`` for each class.

    Call ``build(num_classes, embedding_size)`` first, pass labels 0 .. num_classes - 1, and train
    ``trainable_variables`` together with the model's.

    Args:
        learning_rate_multiplier: Learning rate of the proxies relative to the model's, above 0.
        seed: Seed of the initial proxies.
        name: Name of the loss in Keras' logs.

    Attributes:
        proxies_per_class: Number of vectors of each class, in consecutive rows. Defaults to 1.
    """

    proxies_per_class = 1

    def __init__(self, learning_rate_multiplier: float, seed: int, name: str) -> None:
        super().__init__(name)
        self.learning_rate_multiplier = check_number(
            "learning_rate_multiplier", learning_rate_multiplier, above=0
        )
        self.seed = check_seed("seed", seed)
        self.num_classes = 0

    def add_variables(self, num_classes: int, embedding_size: int) -> None:
        """Create the proxies, (num_classes * proxies_per_class, embedding_size)."""
        self.num_classes = num_classes
        # Directions spread evenly over the sphere, of length about 1.
        initializer = keras.initializers.RandomNormal(stddev=embedding_size**-0.5, seed=self.seed)
        shape = (num_classes * self.proxies_per_class, embedding_size)
        self.trainable_variables = [
            keras.Variable(initializer, shape=shape, dtype="float32", name="proxies")
        ]

    def call(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the loss: (B,), (B, D) -> scalar.

        Raises:
            UserError: The loss has not been built.
        """
        if not self.built:
            raise UserError(
                f"loss {self.name} owns weights: call build(num_classes, embedding_size) first "
                "and train its trainable_variables with the model's"
            )
        indices, known = checked_class_indices(labels, self.num_classes, self.name)
        return tf.where(known, self.from_classes(indices, embeddings), float("nan"))

    def from_classes(self, indices: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the scalar loss from class indices (B,) int32 and embeddings (B, D) float32."""
        raise NotImplementedError

    def unit_proxies(self) -> tf.Tensor:
        """Return the L2-normalized proxies, (C * proxies_per_class, D)."""
        return unit_rows(tf.convert_to_tensor(self.trainable_variables[0]))

    def class_cosines(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Return the cosines of embeddings (B, D) and proxies: (B, C * proxies_per_class)."""
        return tf.matmul(unit_rows(embeddings), self.unit_proxies(), transpose_b=True)


def checked_class_indices(
    labels: tf.Tensor, num_classes: int, name: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """Turn labels (B,) into int32 class indices.

    A label out of range stops the step with an error. XLA drops assertions, so the loss must also
    become NaN where the second result is False.

    Args:
        labels: (B,) integers, as given to the loss.
        num_classes: Number of classes C.
        name: Name of the loss, for the message.

    Returns:
        (B,) int32, all in range, and whether all labels were, scalar bool.

    Raises:
        UserError: The labels are not integers.
    """
    need = f"loss {name} needs labels 0 .. {num_classes - 1}, one index per training class"
    if not labels.dtype.is_integer:
        raise UserError(f"{need}; given {labels.dtype.name}")
    labels = tf.cast(labels, tf.int64)
    inside = tf.reduce_all((labels >= 0) & (labels < num_classes))
    with tf.control_dependencies([tf.debugging.Assert(inside, [need, "given:", labels])]):
        return tf.cast(tf.clip_by_value(labels, 0, num_classes - 1), tf.int32), inside


def class_cross_entropy(logits: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Return the mean softmax cross-entropy of logits (B, C) with class indices (B,)."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(indices, logits))


def one_hot_mask(indices: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Return (B, C) bool, True at each row's class index (B,)."""
    return tf.equal(indices[:, None], tf.range(num_classes)[None, :])

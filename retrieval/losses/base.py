"""What all ranking losses share: reading a batch safely, and their configuration."""

import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses.masks import Pairs, pairs_across, pairs_within
from retrieval.losses.untrained import warn_if_untrained

# Squares of larger components, summed over pairs and dimensions, would leave float32.
LARGEST_COMPONENT = 1e12


class RankingLoss(keras.losses.Loss):
    """A loss over a whole batch: ``loss(labels (B,), embeddings (B, D)) -> scalar``.

    Unlike Keras' own losses it keeps labels in their own dtype (a cast to float32 would merge
    labels above 2^24), computes in float32 whatever the embeddings' dtype, and returns the batch's
    scalar itself: there are no per-item values to reduce or to weight.

    Subclasses implement ``call(labels, embeddings)``. Every option of the constructor is kept in an
    attribute of the same name, from which :meth:`get_config` is made.

    Attributes:
        trainable_variables: Weights of the loss itself (proxies, thresholds), to be trained with
            the model's; empty for most losses.
        non_trainable_variables: State to be saved with them (random seeds, a memory).
        learning_rate_multiplier: Recommended learning rate of ``trainable_variables`` relative to
            the model's.
    """

    learning_rate_multiplier: float = 1.0

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name, dtype="float32")
        self.built = False
        self._warned = False
        self._sizes: dict[str, int] = {}
        self.trainable_variables: list[keras.Variable] = []
        self.non_trainable_variables: list[keras.Variable] = []

    def build(self, num_classes: int, embedding_size: int) -> None:
        """Create the loss's variables, once; call it before training, in the strategy's scope.

        Args:
            num_classes: Training classes; labels are then 0 .. num_classes - 1 for losses that
                own weights per class.
            embedding_size: D.
        """
        if not self.built:
            self.built = True
            # NumPy integers would give the variables' indices another dtype.
            self._sizes = {"num_classes": int(num_classes), "embedding_size": int(embedding_size)}
            self.add_variables(**self._sizes)

    def add_variables(self, num_classes: int, embedding_size: int) -> None:
        """Fill the lists of variables; most losses own none."""

    def get_weights(self) -> list[np.ndarray]:
        """Return the values of all variables, trainable ones first."""
        return [np.array(v) for v in self.trainable_variables + self.non_trainable_variables]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        """Restore what :meth:`get_weights` returned.

        Raises:
            UserError: The number of arrays or a shape does not fit.
        """
        variables = self.trainable_variables + self.non_trainable_variables
        shapes, given = [tuple(v.shape) for v in variables], [np.shape(w) for w in weights]
        if shapes != given:
            raise UserError(f"loss {self.name} has weights of shapes {shapes}, given: {given}")
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """Compute the loss of a batch.

        Args:
            y_true: Labels, (B,) or (B, 1), any integer or string dtype.
            y_pred: Embeddings, (B, D), any float dtype.
            sample_weight: Not defined for losses over pairs; leave it out.

        Returns:
            Scalar, float32; 0 with zero gradient if the batch has no valid tuple; NaN with zero
            gradient if an embedding is not finite.

        Raises:
            UserError: ``sample_weight`` is given, or the shapes do not fit.
        """
        if sample_weight is not None:
            raise UserError(f"loss {self.name}: sample_weight is not defined over pairs; drop it")
        with tf.name_scope(self.name):
            labels, embeddings = read_batch(y_true, y_pred)
            embeddings, finite = bounded(embeddings)
            compute = self.call if embeddings.shape[0] else self.call_maybe_empty
            # A diverged network must show in the loss; its weights get no step from it.
            value = tf.where(finite, compute(labels, embeddings), float("nan"))
        if self.trainable_variables and not self._warned:
            self._warned = warn_if_untrained(self.name, self.trainable_variables)
        return value

    def call_maybe_empty(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Call on a batch that may have no rows, as replicas get them: (B,), (B, D) -> scalar."""
        # Reductions need a row.
        value = self.call(*at_least_one_row(labels, embeddings))
        return tf.where(tf.shape(labels)[0] > 0, value, 0.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's options, ready for ``from_config`` and for YAML.

        A loss that has variables adds ``built_for``, what it was built with. Their values are no
        part of it: :class:`retrieval.RankingModel` saves them, plain Keras does not.
        """
        config = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        if self._sizes and (self.trainable_variables or self.non_trainable_variables):
            config["built_for"] = dict(self._sizes)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "RankingLoss":
        """Make an equal loss, with new variables if that one had any."""
        options = dict(config)
        sizes = options.pop("built_for", None)
        loss = cls(**options)
        if sizes is not None:
            loss.build(**sizes)
        return loss


class PairLoss(RankingLoss):
    """A loss that depends on the batch only through its positive and negative pairs.

    Subclasses implement :meth:`from_pairs`, in which anchors are compared with references. Within a
    batch both are the batch; with :class:`CrossBatchMemory` the references are older embeddings.
    """

    def call(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the loss over the pairs within a batch: (B,), (B, D) -> scalar."""
        return self.from_pairs(pairs_within(labels, embeddings))

    def against(
        self,
        labels: tf.Tensor,
        embeddings: tf.Tensor,
        reference_labels: tf.Tensor,
        references: tf.Tensor,
        usable: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Compute the loss over the pairs of a batch and other embeddings.

        Args:
            labels: (B,) of the anchors.
            embeddings: (B, D), the anchors.
            reference_labels: (R,).
            references: (R, D), none of them an anchor itself.
            usable: (R,) bool, the references that count; None: all of them.

        Returns:
            Scalar, float32.
        """
        return self.from_pairs(
            pairs_across(labels, embeddings, reference_labels, references, usable)
        )

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs."""
        raise NotImplementedError


def read_batch(labels: Any, embeddings: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Turn what the caller has into labels (B,) and float32 embeddings (B, D).

    Args:
        labels: (B,) or (B, 1), any integer or string dtype.
        embeddings: (B, D), any float dtype.

    Returns:
        Labels (B,) in their own dtype; embeddings (B, D), float32.

    Raises:
        UserError: The shapes do not fit.
    """
    labels = tf.convert_to_tensor(labels)
    embeddings = tf.cast(tf.convert_to_tensor(embeddings), tf.float32)
    if embeddings.shape.rank not in {None, 2}:
        raise UserError(f"embeddings have shape {embeddings.shape}: a loss takes (batch, size)")
    if labels.shape.rank == 2 and labels.shape[1] != 1:
        raise UserError(f"labels have shape {labels.shape}: a loss takes one label per embedding")
    labels = tf.reshape(labels, [-1])
    if not labels.shape[:1].is_compatible_with(embeddings.shape[:1]):
        raise UserError(f"{labels.shape[0]} labels for {embeddings.shape[0]} embeddings")
    return labels, embeddings


def at_least_one_row(labels: tf.Tensor, embeddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Add a row of zeros to an empty batch: labels (B,), embeddings (B, D)."""
    missing = tf.maximum(1 - tf.shape(labels)[0], 0)
    padding = tf.zeros([missing, tf.shape(embeddings)[1]], embeddings.dtype)
    return (
        tf.concat([labels, tf.zeros([missing], labels.dtype)], axis=0),
        tf.concat([embeddings, padding], axis=0),
    )


@tf.custom_gradient
def bounded(embeddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Clip components to +-1e12, so that no later square or sum overflows.

    Args:
        embeddings: (B, D) float32.

    Returns:
        (B, D), NaN and infinity replaced by 0; the gradient passes through, so that clipped
        components can come back. And whether all were finite, scalar bool.
    """
    # Half the sum of squares exceeds this limit, or is NaN, if any component is out of bounds: one
    # pass decides.
    clipped, finite = tf.cond(
        tf.nn.l2_loss(embeddings) <= 0.5 * LARGEST_COMPONENT**2,
        lambda: (tf.identity(embeddings), True),
        lambda: _clip(embeddings),
    )
    # Dense: a gather downstream gives IndexedSlices, which callers need not expect.
    return (clipped, finite), lambda upstream, _: tf.convert_to_tensor(upstream)


def _clip(embeddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    finite = tf.math.is_finite(embeddings)
    clipped = tf.clip_by_value(embeddings, -LARGEST_COMPONENT, LARGEST_COMPONENT)
    return tf.where(finite, clipped, 0.0), tf.reduce_all(finite)

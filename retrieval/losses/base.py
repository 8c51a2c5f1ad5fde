"""What all ranking losses share: reading a batch safely, and their configuration.

Notice that a loss's own weights are left out of training.
"""

import inspect
import sys
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses.ops.inputs import at_least_one_row, bounded, read_embeddings, read_labels
from retrieval.losses.ops.pairs import Pairs, pairs_across, pairs_within
from retrieval.validation import check_integer


def warn_if_untrained(name: str, variables: list[keras.Variable]) -> bool:
    """Warn if the loss is being called by Keras' own training step, which trains nothing of it.

    Keras hands a loss neither the model nor the optimizer, so the step is looked for among the
    callers. It differentiates with respect to the model's variables only; a loss called on its
    own, in ``evaluate``, or by a training step that trains it too, is called from elsewhere.

    Args:
        name: Of the loss.
        variables: Its trainable variables.

    Returns:
        Whether a warning was given.
    """
    step = keras.Model.train_step.__code__
    frame = sys._getframe(1)
    while frame is not None and frame.f_code is not step:
        frame = frame.f_back
    if frame is None:
        return False
    trained = {id(v) for v in frame.f_locals["self"].trainable_variables}
    if trained.issuperset(map(id, variables)):
        return False
    owned = ", ".join(v.name for v in variables)
    warnings.warn(
        f"loss {name}: Keras' compile and fit do not train what the loss owns ({owned}); "
        "use retrieval.RankingModel(network, loss)",
        stacklevel=2,
    )
    return True


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
            num_classes: Training classes, at least 1; labels are then 0 .. num_classes - 1 for
                losses that own weights per class.
            embedding_size: D, at least 1.

        Raises:
            UserError: A number below 1, or variables of the loss were made for others.
        """
        # Plain integers: NumPy's would give the variables' indices another dtype.
        sizes = {
            "num_classes": check_integer(f"num_classes of loss {self.name}", num_classes, 1),
            "embedding_size": check_integer(
                f"embedding_size of loss {self.name}", embedding_size, 1
            ),
        }
        if self._sizes not in ({}, sizes) and self.needs_sizes:
            had, given = (
                f"{s['num_classes']} classes and embeddings of size {s['embedding_size']}"
                for s in (self._sizes, sizes)
            )
            raise UserError(
                f"loss {self.name} was built for {had}, not for {given}: make a new loss"
            )
        self._sizes = sizes
        if not self.built:
            self.built = True
            self.add_variables(**sizes)

    @property
    def needs_sizes(self) -> bool:
        """Whether variables depend on classes or embedding size, so that ``build`` must be called.

        A loss whose variables have shapes of their own says so; it then builds itself.
        """
        return type(self).add_variables != RankingLoss.add_variables

    def build_itself(self) -> None:
        """Create variables that depend on no size, unless they are there.

        Raises:
            UserError: The loss needs sizes and has not been built.
        """
        if self.built:
            return
        if self.needs_sizes:
            raise UserError(
                f"loss {self.name} owns weights: call its build(num_classes, embedding_size) first"
            )
        with tf.init_scope():  # also while a step is traced
            self.built = True
            self.add_variables(0, 0)

    @property
    def variables(self) -> list[keras.Variable]:
        """All that the loss owns, trainable ones first."""
        return self.trainable_variables + self.non_trainable_variables

    def add_variables(self, num_classes: int, embedding_size: int) -> None:
        """Fill the lists of variables; most losses own none."""

    def get_weights(self) -> list[np.ndarray]:
        """Return the values of all variables, trainable ones first."""
        return [np.array(v) for v in self.variables]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        """Restore what :meth:`get_weights` returned.

        Raises:
            UserError: The number of arrays or a shape does not fit.
        """
        shapes, given = [tuple(v.shape) for v in self.variables], [np.shape(w) for w in weights]
        if shapes != given:
            raise UserError(f"loss {self.name} has weights of shapes {shapes}, given: {given}")
        for variable, value in zip(self.variables, weights, strict=True):
            variable.assign(value)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """Compute the loss of a batch.

        Args:
            y_true: Labels, (B,) or (B, 1), any integer, bool or string dtype.
            y_pred: Embeddings, (B, D), any float dtype. The gradient of a narrow one saturates at
                its largest number.
            sample_weight: Not defined for losses over pairs; leave it out.

        Returns:
            Scalar, float32; 0 with zero gradient if the batch has no valid tuple; NaN with zero
            gradient if an embedding is not finite.

        Raises:
            UserError: ``sample_weight`` is given, the labels are floats, the shapes do not fit, or
                variables of the loss were built for embeddings of another size.
        """
        if sample_weight is not None:
            raise UserError(f"loss {self.name}: sample_weight is not defined over pairs; drop it")
        with tf.name_scope(self.name):
            labels = read_labels(y_true)
            embeddings, rescaled = read_embeddings(y_pred)
            self._check_shapes(labels, embeddings)
            embeddings, finite = bounded(embeddings)
            compute = self.call if embeddings.shape[0] else self.call_maybe_empty
            # A diverged network must show in the loss; its weights get no step from it.
            value = rescaled(tf.where(finite, compute(labels, embeddings), float("nan")))
        if self.trainable_variables and not self._warned:
            self._warned = warn_if_untrained(self.name, self.trainable_variables)
        return value

    def _check_shapes(self, labels: tf.Tensor, embeddings: tf.Tensor) -> None:
        if not labels.shape[:1].is_compatible_with(embeddings.shape[:1]):
            raise UserError(f"{labels.shape[0]} labels for {embeddings.shape[0]} embeddings")
        wanted = self._sizes.get("embedding_size") if self.needs_sizes else None
        if wanted is not None and embeddings.shape[1] not in {None, wanted}:
            raise UserError(
                f"loss {self.name} was built for embeddings of size {wanted}, given size "
                f"{embeddings.shape[1]}: build another loss for them"
            )

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
        if self._sizes and self.variables:
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

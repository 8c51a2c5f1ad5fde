"""Base classes of the ranking losses: reading a batch safely, owning weights, configuration."""

import inspect
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses.ops.inputs import at_least_one_row, bounded, read_embeddings, read_labels
from retrieval.losses.ops.pairs import Pairs, pairs_across, pairs_within
from retrieval.validation import check_integer


class RankingLoss(keras.losses.Loss):
    """A loss over a whole batch: ``loss(labels (B,), embeddings (B, D)) -> scalar``.

    Unlike Keras' own losses it keeps labels in their own dtype (a cast to float32 would merge
    labels above 2^24), computes in float32 whatever the embeddings' dtype, and returns the batch's
    scalar itself: there are no per-item values to reduce or to weight.

    Subclasses implement ``call(labels, embeddings)``. Every option of the constructor is kept in an
    attribute of the same name, from which :meth:`get_config` is made.

    Args:
        name: Name in Keras' logs. Defaults to None, the class name in snake case.

    Attributes:
        trainable_variables: Weights of the loss itself (proxies, a learned boundary), to be trained
            with the model's. Most losses have none.
        non_trainable_variables: State to be saved with them (random seeds, a memory).
        learning_rate_multiplier: Recommended learning rate of ``trainable_variables`` relative to
            the model's. Defaults to 1.0.
        weights_are_trained: Whether whoever calls the loss trains ``trainable_variables`` too.
            :class:`retrieval.RankingModel` sets it to True; so should a training loop of your own,
            or the loss warns that its weights stay as they are. Defaults to False.
    """

    learning_rate_multiplier: float = 1.0

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name, dtype="float32")
        self.built = False
        self.weights_are_trained = False
        self._warned = False
        self._sizes: dict[str, int] = {}
        self.trainable_variables: list[keras.Variable] = []
        self.non_trainable_variables: list[keras.Variable] = []

    def build(self, num_classes: int, embedding_size: int) -> None:
        """Create the loss's variables. Call it before training, in the strategy's scope.

        A second call with the same sizes changes nothing.

        Args:
            num_classes: Number of training classes, at least 1. A loss that owns weights per class
                then takes labels 0 .. num_classes - 1.
            embedding_size: Size D of the embeddings, at least 1.

        Raises:
            UserError: A size below 1, or the loss was built for other sizes before.
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
        """Whether ``build`` must be called, because shapes of variables depend on its arguments.

        Subclasses whose variables depend on neither return False; they are built by their first
        call.
        """
        return type(self).add_variables != RankingLoss.add_variables

    def build_itself(self) -> None:
        """Create the variables, unless they exist, of a loss that needs no sizes for them.

        Raises:
            UserError: The loss needs sizes and has not been built.
        """
        if self.built:
            return
        if self.needs_sizes:
            raise UserError(
                f"loss {self.name} owns weights: call its build(num_classes, embedding_size) first"
            )
        with tf.init_scope():  # variables cannot be created inside a step that is being traced
            self.built = True
            self.add_variables(0, 0)

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables that the loss owns, the trainable ones first."""
        return self.trainable_variables + self.non_trainable_variables

    def add_variables(self, num_classes: int, embedding_size: int) -> None:
        """Create variables and put them into the two lists. Most losses own none.

        Args:
            num_classes: Number of training classes; 0 if the loss needs no sizes.
            embedding_size: Size D of the embeddings; 0 if the loss needs no sizes.
        """

    def get_weights(self) -> list[np.ndarray]:
        """Return the values of all variables, the trainable ones first."""
        return [np.array(v) for v in self.variables]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        """Set the values of all variables.

        Args:
            weights: One array per variable, in the order of :meth:`get_weights`.

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
            y_pred: Embeddings, (B, D), any float dtype. In float16 and bfloat16 the gradient
                saturates at the dtype's largest number.
            sample_weight: Refused: weights per item are not defined for losses over pairs.
                Defaults to None.

        Returns:
            Scalar, float32. 0 with zero gradient if the batch has no valid tuple (see
            ``LossEntry.smallest_tuple``); NaN with zero gradient if an embedding is not finite.

        Raises:
            UserError: ``sample_weight`` is given, the labels are floats, the shapes do not fit, or
                the loss was built for embeddings of another size.
        """
        if sample_weight is not None:
            raise UserError(f"loss {self.name}: sample_weight is not defined over pairs; drop it")
        with tf.name_scope(self.name):
            labels = read_labels(y_true)
            embeddings, zero = read_embeddings(y_pred)
            self._check_shapes(labels, embeddings)
            embeddings, finite = bounded(embeddings)
            compute = self.call if embeddings.shape[0] else self.call_maybe_empty
            # A diverged network must show in the loss, but its weights must not move.
            value = tf.where(finite, compute(labels, embeddings), float("nan")) + zero
        self._warn_if_weights_not_trained()
        return value

    def _warn_if_weights_not_trained(self) -> None:
        """Warn once that Keras' ``compile`` and ``fit`` leave the loss's own weights as they are.

        Keras differentiates with respect to the model's variables only (keras-team/keras#12983),
        and gives the loss neither the model nor the optimizer. So whoever trains the weights says
        so in ``weights_are_trained``. A call outside a graph is not Keras training a model, unless
        it was compiled with ``run_eagerly=True``: a value was asked for, and there is no warning.
        """
        if not self.trainable_variables or self.weights_are_trained or self._warned:
            return
        if tf.executing_eagerly():
            return
        self._warned = True
        owned = ", ".join(v.name for v in self.trainable_variables)
        warnings.warn(
            f"loss {self.name}: Keras' compile and fit do not train the loss's own weights "
            f"({owned}): use retrieval.RankingModel(network, loss), or set "
            "loss.weights_are_trained = True if your training loop trains them",
            stacklevel=3,
        )

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
        """Compute the loss of a batch that may be empty, as the last one of a replica can be.

        Args:
            labels: (B,), where B may be 0.
            embeddings: (B, D) float32, where B may be 0.

        Returns:
            Scalar, float32; 0 for an empty batch.
        """
        # A maximum over no rows is not defined.
        value = self.call(*at_least_one_row(labels, embeddings))
        return tf.where(tf.shape(labels)[0] > 0, value, 0.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's options as plain values, for ``from_config`` and for YAML.

        A loss with variables adds ``built_for``, the arguments of :meth:`build`. The variables'
        values are not part of it: :class:`retrieval.RankingModel` saves them, plain Keras does not.
        """
        config = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        if self._sizes and self.variables:
            config["built_for"] = dict(self._sizes)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "RankingLoss":
        """Make a loss from what :meth:`get_config` returned; its variables are new.

        Args:
            config: Options of the constructor and, for a loss with variables, ``built_for``.
        """
        options = dict(config)
        sizes = options.pop("built_for", None)
        loss = cls(**options)
        if sizes is not None:
            loss.build(**sizes)
        return loss


class PairLoss(RankingLoss):
    """A loss that depends on the batch only through its positive and negative pairs.

    Subclasses implement :meth:`from_pairs`, which compares anchors with references. Within a batch,
    both are the batch itself; with :class:`CrossBatchMemory`, the references are the embeddings of
    earlier batches.
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
        """Compute the loss over the pairs of a batch with other embeddings.

        Args:
            labels: (B,), the anchors' labels.
            embeddings: (B, D), the anchors.
            reference_labels: (R,), the references' labels.
            references: (R, D). None of them is an anchor.
            usable: (R,) bool, the references that count. Defaults to None, all of them.

        Returns:
            Scalar, float32.
        """
        return self.from_pairs(
            pairs_across(labels, embeddings, reference_labels, references, usable)
        )

    def from_pairs(self, pairs: Pairs) -> tf.Tensor:
        """Compute the scalar loss from the pairs.

        Args:
            pairs: Anchors (A, D), references (R, D) and which of them are positives and negatives.

        Returns:
            Scalar, float32.
        """
        raise NotImplementedError

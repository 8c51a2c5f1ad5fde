"""Cross-batch memory (XBM): pairs with the embeddings of earlier batches."""

from typing import Any

import keras
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses.base import PairLoss, RankingLoss
from retrieval.losses.ops.inputs import at_least_one_row
from retrieval.validation import check_integer, check_number


@keras.saving.register_keras_serializable(package="retrieval")
class CrossBatchMemory(RankingLoss):
    r"""Cross-batch memory: a pair-based loss that also sees the embeddings of earlier batches.

    $$
    L = L_{\text{batch}} + w \, L(\text{batch}, \text{memory})
    $$

    The memory is a queue of the last $M$ embeddings and labels, without gradient. Each call
    compares the batch with the queue and then adds the batch to it. The first ``start`` calls only
    fill the queue, because embeddings drift too fast early in training.

    $L_{\text{batch}}$ is the wrapped loss without a memory. The second term takes every row of the
    batch as an anchor and every row of the memory as a reference. So ``contrastive_loss`` with
    ``pairs="blocks"`` reads B / 2 pairs off the order of the batch, but against the memory, whose
    order means nothing, it takes all pairs, as ``pairs="all"`` does.

    Some losses cannot be wrapped, because anchors and references do not define them:
    ``npairs_loss`` and ``angular_loss`` read their pairs off the order of the rows; ``lifted_loss``
    needs the negatives of both rows of a pair, hence distances within the memory
    (``generalized_lifted`` needs the anchor's alone); losses with proxies do not compare embeddings
    with each other.

    Call ``build(num_classes, embedding_size)`` before training. The queue is then part of
    ``non_trainable_variables`` and is saved with the model. Computing the loss of held-out data
    adds that data to the queue, unless :class:`retrieval.RankingModel` does it.

    Args:
        loss: The loss to wrap, a :class:`PairLoss`.
        size: Number of embeddings $M$ in the memory, at least 1. Memory and time of a step are O(B
            M). Defaults to 4096.
        start: Number of calls before the memory is used, at least 0. The paper warms up for 1,000
            iterations. Defaults to 1000.
        weight: Weight $w$ of the term with the memory, above 0. Defaults to 1.0.
        name: Name of the loss in Keras' logs. Defaults to "cross_batch_memory".

    Shapes:
        Integer labels (B,), embeddings (B, D) -> scalar, float32. The memory is (M, D).

    Reference:
        Wang, Zhang, Huang, Scott (2020): Cross-Batch Memory for Embedding Learning, CVPR, algorithm
        1. arXiv:1912.06798.

    Example:
        The second batch has no pair of its own; its row has a positive at distance 1 and a negative
        at distance 3 in the memory.

        >>> from retrieval.losses import get_loss
        >>> loss = get_loss("hard_triplet", margin=3.0, cross_batch_memory={"size": 4, "start": 1})
        >>> loss.build(num_classes=2, embedding_size=1)
        >>> float(loss([0, 1], [[0.0], [4.0]]))
        0.0
        >>> float(loss([0], [[1.0]]))
        1.0
    """

    def __init__(
        self,
        loss: PairLoss,
        size: int = 4096,
        start: int = 1000,
        weight: float = 1.0,
        name: str = "cross_batch_memory",
    ) -> None:
        super().__init__(name)
        if not isinstance(loss, PairLoss):
            raise UserError(f"cross-batch memory takes a pair-based loss, not {loss!r}")
        self.loss = loss
        self.size = check_integer("size", size, least=1)
        self.start = check_integer("start", start, least=0)
        self.weight = check_number("weight", weight, above=0)
        self.learning_rate_multiplier = loss.learning_rate_multiplier

    def add_variables(self, num_classes: int, embedding_size: int) -> None:
        """Create the queue: embeddings (M, D), labels (M,), and the number of rows ever added."""
        self.loss.build(num_classes, embedding_size)

        def zeros(shape: tuple[int, ...], dtype: str, name: str) -> keras.Variable:
            return keras.Variable("zeros", shape=shape, dtype=dtype, trainable=False, name=name)

        self._embeddings = zeros((self.size, embedding_size), "float32", "memory_embeddings")
        self._labels = zeros((self.size,), "int64", "memory_labels")
        self._added = zeros((), "int64", "memory_added")
        self._calls = zeros((), "int64", "memory_calls")
        own = [self._embeddings, self._labels, self._added, self._calls]
        self.trainable_variables = self.loss.trainable_variables
        self.non_trainable_variables = [*self.loss.non_trainable_variables, *own]

    def call(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the loss and add the batch to the memory: (B,), (B, D) -> scalar.

        Raises:
            UserError: The loss has not been built, or the labels are not integers.
        """
        if not self.built:
            raise UserError("cross-batch memory: call build(num_classes, embedding_size) first")
        if not labels.dtype.is_integer:
            raise UserError(f"cross-batch memory needs integer labels, given {labels.dtype.name}")
        labels = tf.cast(labels, tf.int64)
        value = self._value(*at_least_one_row(labels, embeddings))
        with tf.control_dependencies([value]):
            self._add(labels, tf.stop_gradient(embeddings))
        return tf.where(tf.shape(labels)[0] > 0, value, 0.0)

    def call_maybe_empty(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the loss of a batch that may be empty, without adding a row of padding."""
        return self.call(labels, embeddings)

    def _value(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        # The whole queue with a mask, without a slice or a condition: XLA does not compile the
        # gradient of a tensor whose shape is unknown until it runs. Without usable rows there is no
        # pair, and the term is 0.
        started = tf.convert_to_tensor(self._calls) >= self.start
        added = tf.convert_to_tensor(self._added)
        usable = (tf.range(self.size, dtype=added.dtype) < added) & started
        older = tf.stop_gradient(tf.convert_to_tensor(self._embeddings))
        # Zeros far from the data would move the center that distances are computed about.
        older = tf.where(usable[:, None], older, older[:1])
        older_labels = tf.convert_to_tensor(self._labels)
        against = self.loss.against(labels, embeddings, older_labels, older, usable)
        return self.loss.call(labels, embeddings) + self.weight * against

    def _add(self, labels: tf.Tensor, embeddings: tf.Tensor) -> None:
        # Only the last M rows of a batch larger than the memory would survive.
        labels, embeddings = labels[-self.size :], embeddings[-self.size :]
        count = tf.shape(labels, out_type=tf.int64)[0]
        added = tf.convert_to_tensor(self._added)
        slots = ((added + tf.range(count)) % self.size)[:, None]
        for variable, rows in ((self._embeddings, embeddings), (self._labels, labels)):
            old = tf.convert_to_tensor(variable)
            variable.assign(tf.tensor_scatter_nd_update(old, slots, rows))
        self._added.assign(added + count)
        self._calls.assign_add(1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's options, the wrapped loss serialized."""
        return super().get_config() | {"loss": keras.losses.serialize(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "CrossBatchMemory":
        """Rebuild the wrapper and the loss in it."""
        return super().from_config(config | {"loss": keras.losses.deserialize(config["loss"])})

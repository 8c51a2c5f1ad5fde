"""Matryoshka representation learning: any loss, at several widths of the embedding at once."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses.base import RankingLoss
from retrieval.losses.ops.distances import unit_rows
from retrieval.validation import check_flag, check_widths, narrower_widths


@keras.saving.register_keras_serializable(package="retrieval")
class Matryoshka(RankingLoss):
    r"""Matryoshka loss: the mean of a loss at nested widths, so that prefixes of embeddings rank.

    $$
    L = \frac{1}{|M|} \sum_{m \in M} L_m(z_{1:m})
    $$

    over the widths $m$, of which the whole embedding is always one, with $z_{1:m}$ the first $m$
    components of an embedding, scaled to unit length where the loss takes unit embeddings. A stored
    embedding can then be cut off at any of the widths.

    It is equation 1 of the paper with equal weights $c_m$. The paper's sum is divided by the number
    of widths, so that a learning rate, a clipped gradient and a weight decay mean what they mean to
    the loss alone.

    A loss that owns weights (proxies, class weights, a learned boundary) has its own at every
    width, as the separate classifiers $W^{(m)}$ of the paper's MRL, not the truncated ones of its
    MRL-E: proxies of one width need not be those of another, and each width is trained as it would
    be alone. So is a cross-batch memory, which holds truncated embeddings. What is drawn at random
    (negatives, say) is drawn for each width by itself.

    Call ``build(num_classes, embedding_size)`` before training.

    Args:
        loss: The loss, of any kind. It serves the whole embedding, and copies of it the other
            widths.
        widths: Widths below that of the embedding, ascending, at least 1. The width of the
            embedding itself may be among them.
        normalize: Whether truncated embeddings are scaled to unit length. Set it where the network
            normalizes the embedding; losses that read lengths want them as they are. Defaults to
            True.
        name: Name of the loss in Keras' logs. Defaults to "matryoshka".

    Shapes:
        Labels (B,), embeddings (B, D) -> scalar, float32.

    Reference:
        Kusupati, Bhatt, Rege, Wallingford, Sinha, Ramanujan, Howard-Snyder, Chen, Kakade, Jain,
        Farhadi (2022): Matryoshka Representation Learning, NeurIPS, equation 1. arXiv:2205.13147.

    Example:
        At width 1, the first item has its positive and the negative at distance 1, a hinge of 0.5,
        and the second one has a hinge of 0: their mean is 0.25. At width 2, the negative is far
        enough from both.

        >>> from retrieval.losses import get_loss
        >>> nested = {"widths": [1], "normalize": False}
        >>> loss = get_loss("hard_triplet", margin=0.5, matryoshka=nested)
        >>> loss.build(num_classes=2, embedding_size=2)
        >>> round(float(loss([0, 0, 1], [[0.0, 0.0], [1.0, 0.0], [-1.0, 3.0**0.5]])), 4)
        0.125
    """

    def __init__(
        self,
        loss: RankingLoss,
        widths: Sequence[int],
        normalize: bool = True,
        name: str = "matryoshka",
    ) -> None:
        super().__init__(name)
        if not isinstance(loss, RankingLoss) or isinstance(loss, Matryoshka):
            raise UserError(f"matryoshka takes a ranking loss, not {loss!r}")
        self.loss = loss
        self.widths = check_widths("widths", widths)
        self.normalize = check_flag("normalize", normalize)
        self.learning_rate_multiplier = loss.learning_rate_multiplier
        self._parts: list[tuple[int | None, RankingLoss]] = []

    def add_variables(self, num_classes: int, embedding_size: int) -> None:
        """Copy the loss for every width below the embedding's, and build all of them.

        Raises:
            UserError: A width exceeds the embedding's, or none is below it.
        """
        narrower = narrower_widths(self.widths, embedding_size)
        config = _unbuilt(self.loss.get_config())
        copies = [type(self.loss).from_config(dict(config)) for _ in narrower]
        self._parts = [*zip(narrower, copies, strict=True), (None, self.loss)]
        for width, part in self._parts:
            with keras.name_scope(f"width_{width or embedding_size}"):
                part.build(num_classes, width or embedding_size)
                part.build_itself()
        parts = [part for _, part in self._parts]
        self.trainable_variables = [v for part in parts for v in part.trainable_variables]
        self.non_trainable_variables = [v for part in parts for v in part.non_trainable_variables]

    def call(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the mean of the losses: (B,), (B, D) -> scalar.

        Raises:
            UserError: The loss has not been built.
        """
        return self._mean(part.call(labels, cut) for part, cut in self._cuts(embeddings))

    def call_maybe_empty(self, labels: tf.Tensor, embeddings: tf.Tensor) -> tf.Tensor:
        """Compute the loss of a batch that may be empty, each part in its own way."""
        cuts = self._cuts(embeddings)
        return self._mean(part.call_maybe_empty(labels, cut) for part, cut in cuts)

    def _cuts(self, embeddings: tf.Tensor) -> list[tuple[RankingLoss, tf.Tensor]]:
        """Return every part with the embeddings of its width."""
        if not self.built:
            raise UserError("matryoshka: call build(num_classes, embedding_size) first")
        return [(part, self.cut(embeddings, width)) for width, part in self._parts]

    def cut(self, embeddings: tf.Tensor, width: int | None) -> tf.Tensor:
        """Return the first components of embeddings (B, D), normalized if the option says so.

        Args:
            embeddings: (B, D).
            width: Number of components; None for the embeddings as they are.
        """
        if width is None:
            return embeddings
        return unit_rows(embeddings[:, :width]) if self.normalize else embeddings[:, :width]

    def _mean(self, values: Iterable[tf.Tensor]) -> tf.Tensor:
        return tf.add_n(list(values)) / len(self._parts)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's options, the loss serialized, and what it was built for."""
        config = super().get_config() | {"loss": _unbuilt(keras.losses.serialize(self.loss))}
        return config | ({"built_for": dict(self._sizes)} if self._sizes else {})

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Matryoshka":
        """Rebuild the wrapper and the losses in it."""
        return super().from_config(config | {"loss": keras.losses.deserialize(config["loss"])})


def _unbuilt(config: Any) -> Any:
    """Return a configuration without what losses were built for: every width is another size."""
    if not isinstance(config, dict):
        return config
    return {name: _unbuilt(value) for name, value in config.items() if name != "built_for"}

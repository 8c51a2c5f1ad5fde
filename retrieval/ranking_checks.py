"""What a ranking model refuses, in one line each: where Keras would fail late or not at all."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses import get_loss
from retrieval.losses.base import RankingLoss


def checked_loss(loss: str | Callable) -> Callable:
    """Return the loss a ranking model is given, made from its name if it is one, and built.

    Args:
        loss: A loss, or a key of ``LOSSES`` for one at its recommended setting that owns nothing
            whose size depends on the data.

    Returns:
        ``loss(labels (B,), embeddings (B, D)) -> scalar``.

    Raises:
        UserError: An unknown name, not a loss, or a loss that must be built first and is not.
    """
    if isinstance(loss, str):
        loss = get_loss(loss)
    if not callable(loss):
        raise UserError(
            f"RankingModel takes a loss or the name of one, given {loss!r}: "
            'e.g. RankingModel(network, get_loss("hard_triplet"))'
        )
    if isinstance(loss, RankingLoss):
        loss.build_itself()  # its variables must be there for the model to train and save
    return loss


def refuse_in_compile(
    name: str, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any
) -> None:
    """Refuse what Keras' ``compile`` takes and a ranking model would not use.

    Args:
        name: Of the model's own loss.
        loss: ``compile(loss=...)``.
        loss_weights: ``compile(loss_weights=...)``.
        metrics: ``compile(metrics=...)``.
        weighted_metrics: ``compile(weighted_metrics=...)``.

    Raises:
        UserError: One of them is given.
    """
    for option, given in (("loss", loss), ("loss_weights", loss_weights)):
        if given is not None:
            raise UserError(
                f"compile({option}=...): RankingModel has its loss, {name}, already; leave "
                f"{option} out, or make RankingModel(network, loss) with another loss"
            )
    for option, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
        if given:
            raise UserError(
                f"compile({option}=...): Keras' metrics compare outputs with labels one by one; "
                f"leave {option} out and use retrieval.evaluate(embeddings, labels)"
            )


def checked_batch(data: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the inputs (B, ...) and labels (B,) of the batch Keras hands to a step.

    Raises:
        UserError: There are no labels, or there are weights per item.
    """
    inputs, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    if labels is None:
        raise UserError("RankingModel needs labels: fit(inputs, labels) or batches of both")
    if weights is not None:
        raise UserError(
            "sample_weight and class_weight are not defined over pairs of items: leave them out"
        )
    return inputs, labels

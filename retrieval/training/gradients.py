"""Gradients of a large batch in the memory of a small one.

A ranking loss needs the embeddings of the whole batch at once, so gradients cannot be accumulated
over smaller batches: the loss of the parts is another loss. But only the embeddings must be held
together. Embed in chunks and keep nothing else; take the loss over all embeddings, and its gradient
with respect to them; then embed each chunk again and propagate its rows of that gradient (Gao et
al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", section 3.2).
The price is one more forward pass.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf


class Step(NamedTuple):
    """The loss of a batch and its gradients.

    Attributes:
        loss: Scalar, float32: the loss of the whole batch.
        gradients: One per variable, in the order ``model.trainable_variables`` +
            ``loss.trainable_variables``.
        embeddings: (B, D), float32.
    """

    loss: tf.Tensor
    gradients: list[tf.Tensor]
    embeddings: tf.Tensor


def chunked_gradients(
    model: keras.Model,
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    images: tf.Tensor,
    labels: tf.Tensor,
    chunk: int,
    scale_loss: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    embed: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> Step:
    """Compute the gradients of a loss over the whole batch, holding activations of one chunk.

    They equal those of one pass over the batch, dropout included (both passes draw the same mask
    for a chunk), with one exception: a batch norm in training mode takes its statistics over a
    chunk, as it would over a replica. With frozen batch norms (see
    :func:`retrieval.models.freezing.freeze_batch_norm`) or none, the gradients are equal exactly.
    Moving averages are updated once per chunk.

    Args:
        model: images (b, ...) -> embeddings (b, D), for any b.
        loss: ``loss(labels (B,), embeddings (B, D)) -> scalar``; it may own trainable variables.
        images: (B, ...).
        labels: (B,).
        chunk: Images embedded at a time; the last chunk may be smaller.
        scale_loss: What is differentiated is ``scale_loss(loss)``; the optimizer's ``scale_loss``
            in mixed precision.
        embed: images (b, ...) -> embeddings (b, D) by the model as it is to train; default:
            ``model(images, training=True)``.

    Returns:
        The loss, the gradients and the embeddings.
    """
    images = tf.convert_to_tensor(images)
    # Batch norm's moving averages and the seeds of dropout: the second pass must start from them.
    state = [(v, tf.identity(v.value)) for v in model.non_trainable_variables]
    embed = embed or functools.partial(model, training=True)
    embeddings = _embed_all(embed, images, chunk, model.output_shape[-1])
    own = list(getattr(loss, "trainable_variables", []))
    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        value = loss(labels, embeddings)
        target = scale_loss(value)
    outer, *own_gradients = tape.gradient(
        target, [embeddings, *own], unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    for variable, before in state:
        variable.assign(before)
    gradients = _propagate(embed, model.trainable_variables, images, outer, chunk)
    return Step(value, gradients + own_gradients, embeddings)


def _chunks(images: tf.Tensor, chunk: int) -> tf.Tensor:
    return (tf.shape(images)[0] + chunk - 1) // chunk


def _embed_all(embed: Callable, images: tf.Tensor, chunk: int, width: int) -> tf.Tensor:
    """Embed all images, chunk by chunk: (B, D) float32."""

    def step(number: tf.Tensor, parts: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        part = embed(images[number * chunk : (number + 1) * chunk])
        return number + 1, parts.write(number, tf.cast(part, tf.float32))

    count = _chunks(images, chunk)
    parts = tf.TensorArray(tf.float32, size=count, infer_shape=False, element_shape=(None, None))
    # One iteration at a time: TensorFlow would otherwise run several, and hold their activations.
    _, parts = tf.while_loop(
        lambda number, _: number < count, step, (0, parts), parallel_iterations=1
    )
    return tf.ensure_shape(parts.concat(), (images.shape[0], width))


def _propagate(
    embed: Callable, variables: list, images: tf.Tensor, outer: tf.Tensor, chunk: int
) -> list[tf.Tensor]:
    """Sum over chunks the gradients of <embeddings, outer>; outer is (B, D)."""

    def step(number: tf.Tensor, sums: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        rows = slice(number * chunk, (number + 1) * chunk)
        with tf.GradientTape() as tape:
            part = tf.cast(embed(images[rows]), tf.float32)
        gradients = tape.gradient(
            part,
            variables,
            output_gradients=outer[rows],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return number + 1, [total + new for total, new in zip(sums, gradients, strict=True)]

    count = _chunks(images, chunk)
    zeros = [tf.zeros(v.shape, v.dtype) for v in variables]
    _, sums = tf.while_loop(
        lambda number, _: number < count, step, (0, zeros), parallel_iterations=1
    )
    return sums

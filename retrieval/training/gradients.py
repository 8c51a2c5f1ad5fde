"""Gradients of a large batch in the memory of a small one.

A ranking loss compares all embeddings of a batch, so its gradient cannot be accumulated over
smaller batches: the sum of their losses is another loss. But only the embeddings of the whole batch
must be in memory at once, not the activations: embed the batch chunk by chunk and keep only the
embeddings; compute the loss and its gradient with respect to all embeddings; then embed each chunk
again and backpropagate its rows of that gradient (Gao et al. 2021, "Scaling Deep Contrastive
Learning Batch Size under Memory Limited Setup", section 3.2). This costs one more forward pass.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf


class BatchGradients(NamedTuple):
    """The loss of a batch and its gradients.

    Attributes:
        loss: Loss of the whole batch, scalar, float32.
        gradients: One tensor per variable, in the order ``model.trainable_variables +
            loss.trainable_variables``.
        embeddings: Embeddings of the batch, (B, D), float32.
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
) -> BatchGradients:
    """Compute the gradients of a loss over the whole batch with the activations of one chunk.

    They equal the gradients of a single pass over the batch, dropout included (both passes draw the
    same mask for a chunk), with one exception: a batch normalization in training mode takes its
    statistics over a chunk, as it would over a replica, and updates its moving averages once per
    chunk. With frozen batch normalizations (see
    :func:`retrieval.models.freezing.freeze_batch_norm`), or none, the gradients are equal.

    Args:
        model: Network: images (b, ...) to embeddings (b, D), for any b.
        loss: ``loss(labels (B,), embeddings (B, D)) -> scalar``, which may own trainable variables.
        images: Inputs of the batch, (B, ...).
        labels: Labels of the batch, (B,).
        chunk: Number of images to embed at a time; the last chunk may be smaller.
        scale_loss: Function of the loss whose result is differentiated; in mixed precision, the
            optimizer's ``scale_loss``. Defaults to the identity.
        embed: Function of images (b, ...) that computes embeddings (b, D) as in training. Defaults
            to ``model(images, training=True)``.

    Returns:
        The loss, the gradients and the embeddings.
    """
    images = tf.convert_to_tensor(images)
    # Moving averages of batch norm, seeds of dropout and what layers have counted: the second pass
    # must start from them too.
    changing = [*model.non_trainable_variables, *model.metrics_variables]
    state = [(v, tf.identity(v.value)) for v in changing]
    embed = embed or functools.partial(model, training=True)
    embeddings = _embed_all(embed, images, chunk, model.output_shape[-1])
    loss_variables = list(getattr(loss, "trainable_variables", []))
    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        value = loss(labels, embeddings)
        target = scale_loss(value)
    from_loss, *loss_gradients = gradients_or_zeros(tape, target, [embeddings, *loss_variables])
    for variable, before in state:
        variable.assign(before)
    gradients = _propagate(embed, model.trainable_variables, images, from_loss, chunk)
    return BatchGradients(value, gradients + loss_gradients, embeddings)


def gradients_or_zeros(
    tape: tf.GradientTape,
    target: tf.Tensor,
    sources: list,
    output_gradients: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """Return the gradients of a target; zeros for what it does not depend on.

    TensorFlow's own ``UnconnectedGradients.ZERO`` fails for a variable of Keras, whose type is a
    text. DINOv2 has one that only its pretraining uses.

    Args:
        tape: The tape that recorded the target.
        target: What is differentiated.
        sources: Tensors and variables to differentiate by.
        output_gradients: Gradient of the target's elements. Defaults to None: ones.

    Returns:
        A gradient of the shape of each source.
    """
    found = tape.gradient(target, sources, output_gradients=output_gradients)
    return [
        tf.zeros_like(tf.convert_to_tensor(source)) if gradient is None else gradient
        for gradient, source in zip(found, sources, strict=True)
    ]


def _chunks(images: tf.Tensor, chunk: int) -> tf.Tensor:
    return (tf.shape(images)[0] + chunk - 1) // chunk


def _embed_all(embed: Callable, images: tf.Tensor, chunk: int, width: int) -> tf.Tensor:
    """Embed all images, chunk by chunk; returns (B, D), float32."""

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
    embed: Callable,
    variables: list[keras.Variable],
    images: tf.Tensor,
    from_loss: tf.Tensor,
    chunk: int,
) -> list[tf.Tensor]:
    """Backpropagate the gradient (B, D) of the embeddings, chunk by chunk, and add up."""

    def step(number: tf.Tensor, sums: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        rows = slice(number * chunk, (number + 1) * chunk)
        with tf.GradientTape() as tape:
            part = tf.cast(embed(images[rows]), tf.float32)
        gradients = gradients_or_zeros(tape, part, variables, output_gradients=from_loss[rows])
        return number + 1, [total + new for total, new in zip(sums, gradients, strict=True)]

    count = _chunks(images, chunk)
    zeros = [tf.zeros(v.shape, v.dtype) for v in variables]
    _, sums = tf.while_loop(
        lambda number, _: number < count, step, (0, zeros), parallel_iterations=1
    )
    return sums

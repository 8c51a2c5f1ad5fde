"""Reading the batch a loss is given: checked once, and in numbers that later steps can bear."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from retrieval.errors import UserError

# Squares of larger components, summed over pairs and dimensions, would leave float32.
LARGEST_COMPONENT = 1e12


def read_labels(labels: Any) -> tf.Tensor:
    """Turn what the caller has into labels (B,).

    Args:
        labels: (B,) or (B, 1), any integer, bool or string dtype.

    Returns:
        (B,) in their own dtype.

    Raises:
        UserError: The labels are floats, of which large ones merge and NaN equals nothing, or
            there are several for an embedding.
    """
    labels = tf.convert_to_tensor(labels)
    if labels.dtype.is_floating or labels.dtype.is_complex:
        raise UserError(
            f"labels are {labels.dtype.name}: a loss takes integers or strings, "
            'e.g. labels.astype("int64")'
        )
    if labels.shape.rank == 2 and labels.shape[1] != 1:
        raise UserError(f"labels have shape {labels.shape}: a loss takes one label per embedding")
    return tf.reshape(labels, [-1])


def read_embeddings(embeddings: Any) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Turn what the caller has into float32 embeddings (B, D).

    Args:
        embeddings: (B, D), any float dtype.

    Returns:
        (B, D), float32; and a function through which the loss computed from them, a scalar, must
        pass, see :func:`widened`.

    Raises:
        UserError: The shape does not fit.
    """
    embeddings = tf.convert_to_tensor(embeddings)
    if embeddings.shape.rank not in {None, 2}:
        raise UserError(f"embeddings have shape {embeddings.shape}: a loss takes (batch, size)")
    if embeddings.dtype in {tf.float16, tf.bfloat16}:
        return widened(embeddings)
    return tf.cast(embeddings, tf.float32), lambda value: value


def widened(
    embeddings: tf.Tensor,
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Cast to float32, with a gradient that saturates where the narrow dtype ends.

    The gradient of a loss that is multiplied by more than 1 afterwards may still overflow: an
    optimizer that scales the loss reads from it that its scale is too large, and would otherwise
    train on the signs of a saturated gradient.

    Args:
        embeddings: (B, D), float16 or bfloat16.

    Returns:
        (B, D), float32; and the function through which the loss must pass, which returns it and
        notes what it is multiplied by.
    """
    largest = embeddings.dtype.max
    scale: list[tf.Tensor] = []

    @tf.custom_gradient
    def cast(narrow: tf.Tensor) -> tf.Tensor:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            limit = tf.cast(largest, tf.float32) * tf.maximum(tf.abs(scale[-1]), 1.0)
            return tf.cast(tf.clip_by_value(upstream, -limit, limit), narrow.dtype)

        return tf.cast(narrow, tf.float32), gradient

    @tf.custom_gradient
    def noted(value: tf.Tensor) -> tf.Tensor:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            # Runs before the gradient of the cast, which depends on it.
            scale[:] = [upstream]
            return upstream

        return tf.identity(value), gradient

    return cast(embeddings), noted


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

"""Read the batch that a loss is given: check it once, and bound it so that nothing overflows."""

from typing import Any

import tensorflow as tf

from retrieval.errors import UserError

# The squares of larger components, summed over pairs and dimensions, would overflow float32.
LARGEST_COMPONENT = 1e12


def read_labels(labels: Any) -> tf.Tensor:
    """Convert the given labels to a tensor (B,).

    Args:
        labels: (B,) or (B, 1), any integer, bool or string dtype.

    Returns:
        (B,) in their own dtype.

    Raises:
        UserError: The labels are floats (large ones merge, and NaN equals nothing), or there are
            several labels for an embedding.
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


def read_embeddings(embeddings: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Convert the given embeddings to a float32 tensor (B, D).

    Args:
        embeddings: (B, D), any float dtype.

    Returns:
        (B, D), float32; and a scalar 0, float32, to be added to the loss computed from them, see
        :func:`widened`.

    Raises:
        UserError: The embeddings are not a matrix.
    """
    embeddings = tf.convert_to_tensor(embeddings)
    if embeddings.shape.rank not in {None, 2}:
        raise UserError(f"embeddings have shape {embeddings.shape}: a loss takes (batch, size)")
    if embeddings.dtype in {tf.float16, tf.bfloat16}:
        return widened(embeddings)
    return tf.cast(embeddings, tf.float32), tf.constant(0.0)


@tf.custom_gradient
def widened(embeddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cast to float32, with a gradient that saturates at the largest number of the narrow dtype.

    An optimizer that scales the loss must still see an overflow: it reads from an infinite gradient
    that its scale is too large, and would otherwise train on the signs of a saturated one. So the
    gradient saturates only as far as the loss itself causes it. The factor by which the loss is
    multiplied afterwards is known only in the backward pass: it is the gradient of a 0 that is
    added to the loss.

    Args:
        embeddings: (B, D), float16 or bfloat16.

    Returns:
        (B, D), float32; and a scalar 0, float32, to be added to the loss.
    """
    largest = tf.cast(embeddings.dtype.max, tf.float32)

    def gradient(upstream: tf.Tensor, loss_scale: tf.Tensor) -> tf.Tensor:
        limit = largest * tf.maximum(tf.abs(loss_scale), 1.0)
        return tf.cast(tf.clip_by_value(upstream, -limit, limit), embeddings.dtype)

    return (tf.cast(embeddings, tf.float32), tf.constant(0.0)), gradient


def at_least_one_row(labels: tf.Tensor, embeddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Add a row of zeros to a batch if it is empty.

    Args:
        labels: (B,), of any dtype.
        embeddings: (B, D), of any dtype.

    Returns:
        Labels (max(B, 1),) and embeddings (max(B, 1), D).
    """
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
        embeddings: (B, D) float32, with components of any size.

    Returns:
        (B, D) with NaN and infinity replaced by 0, and whether all components were finite, scalar
        bool. The gradient passes through unchanged, so that clipped components can shrink again.
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

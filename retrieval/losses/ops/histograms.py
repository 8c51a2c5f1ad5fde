"""Differentiable histograms: each value is shared linearly between its two nearest nodes."""

import tensorflow as tf


def row_histograms(positions: tf.Tensor, mask: tf.Tensor, bins: int) -> tf.Tensor:
    """Count the masked values of each row at the nodes 0, 1, ..., bins.

    A value x between nodes k and k + 1 adds k + 1 - x to node k and x - k to node k + 1. Memory is
    O(A R): no (A, R, bins) tensor.

    Args:
        positions: (A, R) float32; values outside [0, bins] are clipped to it.
        mask: (A, R) bool, True for the values that count.
        bins: Number of intervals between nodes.

    Returns:
        (A, bins + 1) float32.
    """

    @tf.custom_gradient
    def histogram(positions: tf.Tensor) -> tf.Tensor:
        below = tf.clip_by_value(tf.floor(positions), 0, bins - 1)
        shares = tf.clip_by_value(positions - below, 0, 1)
        # Values outside the mask go to a node of their own, which is cut off.
        nodes = tf.where(mask, tf.cast(below, tf.int32), bins)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            # A larger value moves weight from its lower node to its upper node.
            steps = tf.pad(upstream[:, 1:] - upstream[:, :-1], [[0, 0], [0, 1]])
            inside = (positions >= 0) & (positions <= bins)
            return tf.where(inside, tf.gather(steps, nodes, batch_dims=1), 0.0)

        upper = _bincount(nodes, shares, bins)
        lower = _bincount(nodes, 1 - shares, bins)
        return tf.pad(lower, [[0, 0], [0, 1]]) + tf.pad(upper, [[0, 0], [1, 0]]), gradient

    return histogram(positions)


def _bincount(nodes: tf.Tensor, weights: tf.Tensor, bins: int) -> tf.Tensor:
    # The raw op: tf.math.bincount would first search for the largest node.
    counts = tf.raw_ops.DenseBincount(input=nodes, size=bins + 1, weights=weights)
    return counts[:, :bins]

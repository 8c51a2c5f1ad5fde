"""City-block distances of all pairs, one row at a time: no (A, R, D) tensor."""

import tensorflow as tf


@tf.custom_gradient
def cityblock_distances(anchors: tf.Tensor, references: tf.Tensor) -> tf.Tensor:
    """Compute the sums of absolute differences.

    Args:
        anchors: (A, D) float32.
        references: (R, D) float32.

    Returns:
        (A, R) float32; components that coincide have gradient 0.
    """

    def of_anchor(anchor: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.abs(anchor - references), axis=1)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return (
            _weighted_signs(anchors, references, upstream),
            _weighted_signs(references, anchors, tf.transpose(upstream)),
        )

    return tf.map_fn(of_anchor, anchors, parallel_iterations=1), gradient


def _weighted_signs(rows: tf.Tensor, others: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Return sum_j weights[i, j] sign(rows[i] - others[j]): (N, D), (M, D), (N, M) -> (N, D)."""

    def of_row(row_and_weights: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        row, own = row_and_weights
        return tf.linalg.matvec(tf.sign(row - others), own, transpose_a=True)

    return tf.map_fn(of_row, (rows, weights), parallel_iterations=1, fn_output_signature=rows.dtype)

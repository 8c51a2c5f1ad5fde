"""Compute over a few items at a time, where all of them would need more than O(B^2) memory."""

from collections.abc import Callable

import tensorflow as tf


def map_chunks(
    function: Callable[[tf.Tensor], tf.Tensor], result: tf.Tensor, size: tf.Tensor
) -> tf.Tensor:
    """Compute a function of many items, ``size`` of them at a time.

    All chunks have the same length (the last one repeats the last item), so that XLA can compile
    them.

    Args:
        function: Maps indices of items (size,) int32 to their results (size, ...).
        result: (count, ...), a tensor with the shape and dtype of the result; its values are not
            used.
        size: Items per chunk, scalar int32, at least 1.

    Returns:
        (count, ...), without a gradient.
    """
    count = tf.shape(result)[0]

    def step(start: tf.Tensor, result: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        items = tf.minimum(start + tf.range(size), count - 1)
        values = tf.stop_gradient(function(items))
        return start + size, tf.tensor_scatter_nd_update(result, items[:, None], values)

    # One chunk at a time: parallel iterations would keep several of them in memory.
    return tf.while_loop(
        lambda start, _: start < count,
        step,
        (0, tf.stop_gradient(result)),
        parallel_iterations=1,
    )[1]

"""Work on a few items at a time, where all together would not fit in O(B^2) memory."""

from collections.abc import Callable

import tensorflow as tf


def map_chunks(
    function: Callable[[tf.Tensor], tf.Tensor], result: tf.Tensor, size: tf.Tensor
) -> tf.Tensor:
    """Compute a function of items ``size`` at a time.

    Chunks all have the same length (the last one repeats the last item), so that XLA can compile
    them.

    Args:
        function: Indices of items (size,) int32 -> their results (size, ...).
        result: (count, ...), of the shape and dtype of the result; the values do not matter.
        size: Items per chunk, scalar int32, at least 1.

    Returns:
        (count, ...); constants for differentiation.
    """
    count = tf.shape(result)[0]

    def step(start: tf.Tensor, result: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        items = tf.minimum(start + tf.range(size), count - 1)
        values = tf.stop_gradient(function(items))
        return start + size, tf.tensor_scatter_nd_update(result, items[:, None], values)

    # One chunk at a time: iterations in parallel would keep several in memory.
    return tf.while_loop(
        lambda start, _: start < count,
        step,
        (0, tf.stop_gradient(result)),
        parallel_iterations=1,
    )[1]

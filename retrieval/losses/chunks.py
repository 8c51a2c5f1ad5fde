"""Work on a few rows at a time, where all rows together would not fit in O(B^2) memory."""

from collections.abc import Callable

import tensorflow as tf


def map_chunks(
    function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    count: tf.Tensor,
    size: tf.Tensor,
    dtype: tf.DType = tf.float32,
) -> tf.Tensor:
    """Call a function on [0, size), [size, 2 size), ... and concatenate what it returns.

    Args:
        function: (start, stop) -> (stop - start, ...), of ``dtype``; its results are constants for
            differentiation.
        count: Number of rows in all, scalar int32. With 0 rows the function is called once, on
            [0, 0).
        size: Rows per chunk, scalar int32, at least 1.
        dtype: Of the result.

    Returns:
        (count, ...).
    """
    chunks = tf.maximum((count + size - 1) // size, 1)
    parts = tf.TensorArray(dtype, size=chunks, infer_shape=False)

    def step(index: tf.Tensor, parts: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        result = function(index * size, tf.minimum((index + 1) * size, count))
        return index + 1, parts.write(index, tf.stop_gradient(result))

    # One chunk at a time: iterations in parallel would keep several in memory.
    _, parts = tf.while_loop(
        lambda index, _: index < chunks, step, (0, parts), parallel_iterations=1
    )
    return parts.concat()

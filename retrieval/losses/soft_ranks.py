"""Differentiable ranks of positives: a sigmoid in place of each comparison."""

import tensorflow as tf

from retrieval.losses.chunks import map_chunks


def soft_ranks(
    similarities: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor, temperature: float
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Rank each query's positives among all its items and among its positives.

    .. math::
        r_{qi} = 1 + \sum_{j \ne i} \sigma((s_{qj} - s_{qi}) / \tau)

    Comparing every positive with every item takes O(P R) time for P positive pairs. As many pairs
    at a time as there are queries are compared, and compared again for the gradient, so that memory
    stays O(Q R).

    Args:
        similarities: (Q, R) float32.
        positives: (Q, R) bool.
        negatives: (Q, R) bool.
        temperature: tau.

    Returns:
        Two (P,) float32, in the order of ``tf.where(positives)``: ranks among positives and
        negatives, and ranks among positives.
    """
    pairs = tf.where(positives)
    queries = tf.cast(pairs[:, 0], tf.int32)
    size, count = tf.shape(similarities)[0], tf.shape(pairs)[0]
    # Items that are neither (the query itself) never outrank: sigmoid(-inf) = 0.
    candidates = positives | negatives

    def outranking(values: tf.Tensor, part: slice) -> tuple[tf.Tensor, tf.Tensor]:
        rows = queries[part]
        own = tf.gather_nd(values, pairs[part])
        items = tf.where(tf.gather(candidates, rows), tf.gather(values, rows), float("-inf"))
        return tf.sigmoid((items - own[:, None]) / temperature), tf.gather(positives, rows)

    @tf.custom_gradient
    def ranks(values: tf.Tensor) -> tf.Tensor:
        def of_chunk(start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
            above, same = outranking(values, slice(start, stop))
            among_positives = tf.reduce_sum(tf.where(same, above, 0.0), axis=1)
            return tf.stack([tf.reduce_sum(above, axis=1), among_positives], axis=1)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            def step(start: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                stop = tf.minimum(start + size, count)
                above, same = outranking(values, slice(start, stop))
                every, among = upstream[start:stop, :1], upstream[start:stop, 1:]
                weights = every + tf.where(same, among, 0.0)
                slopes = weights * above * (1 - above) / temperature
                shape = tf.shape(values, out_type=tf.int64)
                own = tf.scatter_nd(pairs[start:stop], tf.reduce_sum(slopes, axis=1), shape)
                rows = tf.math.unsorted_segment_sum(slopes, queries[start:stop], size)
                return stop, total + rows - own

            return tf.while_loop(
                lambda start, _: start < count,
                step,
                (0, tf.zeros_like(values)),
                parallel_iterations=1,
            )[1]

        # An item compared with itself adds sigmoid(0) = 1/2; the other 1/2 completes rank 1.
        return 0.5 + tf.ensure_shape(map_chunks(of_chunk, count, size), [None, 2]), gradient

    both = ranks(similarities)
    return both[:, 0], both[:, 1]

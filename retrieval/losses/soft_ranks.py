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

    def outranking(values: tf.Tensor, items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.gather(queries, items)
        own = tf.gather_nd(values, tf.gather(pairs, items))
        others = tf.where(tf.gather(candidates, rows), tf.gather(values, rows), float("-inf"))
        return tf.sigmoid((others - own[:, None]) / temperature), tf.gather(positives, rows)

    @tf.custom_gradient
    def ranks(values: tf.Tensor) -> tf.Tensor:
        def of_pairs(items: tf.Tensor) -> tf.Tensor:
            above, same = outranking(values, items)
            among_positives = tf.reduce_sum(tf.where(same, above, 0.0), axis=1)
            return tf.stack([tf.reduce_sum(above, axis=1), among_positives], axis=1)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            def step(start: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                order = start + tf.range(size)
                items = tf.minimum(order, count - 1)
                above, same = outranking(values, items)
                own = tf.where((order < count)[:, None], tf.gather(upstream, items), 0.0)
                weights = own[:, :1] + tf.where(same, own[:, 1:], 0.0)
                slopes = weights * above * (1 - above) / temperature
                rows = tf.math.unsorted_segment_sum(slopes, tf.gather(queries, items), size)
                back = -tf.reduce_sum(slopes, axis=1)
                total = tf.tensor_scatter_nd_add(total + rows, tf.gather(pairs, items), back)
                return start + size, total

            return tf.while_loop(
                lambda start, _: start < count,
                step,
                (0, tf.zeros_like(values)),
                parallel_iterations=1,
            )[1]

        # An item compared with itself adds sigmoid(0) = 1/2; the other 1/2 completes rank 1.
        empty = tf.zeros_like(pairs, values.dtype)
        return 0.5 + map_chunks(of_pairs, empty, size), gradient

    both = ranks(similarities)
    return both[:, 0], both[:, 1]

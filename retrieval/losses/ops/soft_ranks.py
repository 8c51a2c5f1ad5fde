"""Differentiable ranks of positives: a sigmoid in place of each comparison of two items."""

from dataclasses import dataclass

import tensorflow as tf

from retrieval.losses.ops.chunks import map_chunks


def soft_ranks(
    similarities: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor, temperature: float
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Rank each query's positives among all of its items and among its positives.

    $$
    r_{qi} = 1 + \sum_{j \ne i} \sigma((s_{qj} - s_{qi}) / \tau)
    $$

    Comparing every positive with every item takes O(P R) time for P positive pairs. To keep memory
    at O(Q R), only Q pairs are compared at a time, and they are compared again for the gradient.

    Args:
        similarities: (Q, R) float32, of queries and items.
        positives: (Q, R) bool, True for the query's positives.
        negatives: (Q, R) bool, True for the query's negatives.
        temperature: Temperature $\tau$ of the sigmoid, above 0.

    Returns:
        Two (P,) float32, in the order of ``tf.where(positives)``: the ranks among positives and
        negatives, and the ranks among positives alone.
    """
    comparisons = _Comparisons(
        tf.where(positives), positives, positives | negatives, temperature, tf.shape(positives)[0]
    )

    @tf.custom_gradient
    def ranks(values: tf.Tensor) -> tf.Tensor:
        return _ranks(comparisons, values), lambda upstream: _gradient(
            comparisons, values, upstream
        )

    both = ranks(similarities)
    return both[:, 0], both[:, 1]


@dataclass(frozen=True)
class _Comparisons:
    """Comparisons of every positive pair (query, positive) with every item of its query.

    Attributes:
        pairs: (P, 2) int64, query and positive.
        positives: (Q, R) bool, True for the query's positives.
        candidates: (Q, R) bool, positives and negatives.
        temperature: Temperature of the sigmoid.
        size: Number of pairs compared at a time, which is Q; scalar int32.
    """

    pairs: tf.Tensor
    positives: tf.Tensor
    candidates: tf.Tensor
    temperature: float
    size: tf.Tensor

    def queries(self, chosen: tf.Tensor) -> tf.Tensor:
        """Return the queries (C,) of chosen pairs."""
        return tf.gather(self.pairs[:, 0], chosen)

    def outranking(self, values: tf.Tensor, chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return how far each item outranks the positives of chosen pairs.

        Args:
            values: (Q, R) float32 similarities.
            chosen: (C,) int32 indices of pairs.

        Returns:
            (C, R) float32 from 0 to 1; and (C, R) bool, which of the items are positives.
        """
        rows = self.queries(chosen)
        positive = tf.gather_nd(values, tf.gather(self.pairs, chosen))
        # Items that are neither (the query itself) never outrank a positive: sigmoid(-inf) = 0.
        others = tf.where(tf.gather(self.candidates, rows), tf.gather(values, rows), float("-inf"))
        above = tf.sigmoid((others - positive[:, None]) / self.temperature)
        return above, tf.gather(self.positives, rows)


def _ranks(comparisons: _Comparisons, values: tf.Tensor) -> tf.Tensor:
    """Return the ranks among all items and among positives: (P, 2)."""

    def of_pairs(chosen: tf.Tensor) -> tf.Tensor:
        above, same = comparisons.outranking(values, chosen)
        among_positives = tf.reduce_sum(tf.where(same, above, 0.0), axis=1)
        return tf.stack([tf.reduce_sum(above, axis=1), among_positives], axis=1)

    # A positive compared with itself adds sigmoid(0) = 1/2; the other 1/2 completes rank 1.
    empty = tf.zeros_like(comparisons.pairs, values.dtype)
    return 0.5 + map_chunks(of_pairs, empty, comparisons.size)


def _gradient(comparisons: _Comparisons, values: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    """Return the gradient of the similarities (Q, R), given that of the ranks (P, 2)."""
    pairs, size = comparisons.pairs, comparisons.size
    count = tf.shape(pairs)[0]

    def step(start: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        order = start + tf.range(size)
        chosen = tf.minimum(order, count - 1)
        above, same = comparisons.outranking(values, chosen)
        slope = tf.where((order < count)[:, None], tf.gather(upstream, chosen), 0.0)
        weights = slope[:, :1] + tf.where(same, slope[:, 1:], 0.0)
        slopes = weights * above * (1 - above) / comparisons.temperature
        # Scattered rather than summed by segment: XLA would have to know the number of segments.
        total = tf.tensor_scatter_nd_add(total, comparisons.queries(chosen)[:, None], slopes)
        back = -tf.reduce_sum(slopes, axis=1)
        total = tf.tensor_scatter_nd_add(total, tf.gather(pairs, chosen), back)
        return start + size, total

    return tf.while_loop(
        lambda start, _: start < count, step, (0, tf.zeros_like(values)), parallel_iterations=1
    )[1]

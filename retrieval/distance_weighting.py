"""Distance-weighted sampling of negatives (Wu 2017). No gradients, O(A R) memory."""

import tensorflow as tf

from retrieval.triplets import Triplets


def distance_weighted(
    distances: tf.Tensor,
    positives: tf.Tensor,
    negatives: tf.Tensor,
    embedding_size: int,
    seed: tf.Tensor,
    cutoff: float = 0.5,
    nonzero_cutoff: float = 1.4,
) -> Triplets:
    """Draw a negative for each positive pair, all distances about equally often (Wu 2017).

    On the unit sphere in D dimensions random pairs have distance d with density
    q(d) ~ d^(D - 2) (1 - d^2 / 4)^((D - 3) / 2). A negative at distance d is drawn with probability
    proportional to 1 / q(max(d, cutoff)), and not at all from ``nonzero_cutoff`` on, where it would
    add nothing to the margin loss; if all lie there, evenly.

    Args:
        distances: (A, R) float32, Euclidean, of unit embeddings.
        positives: (A, R) bool.
        negatives: (A, R) bool.
        embedding_size: D.
        seed: (2,) int32; the same seed draws the same negatives.
        cutoff: Distances below count as this: very close negatives are noisy.
        nonzero_cutoff: See above.

    Returns:
        One triplet per positive pair, in row order.
    """
    pairs = tf.where(positives)
    anchors, partners = tf.cast(pairs[:, 0], tf.int32), tf.cast(pairs[:, 1], tf.int32)
    logits = distance_weights(distances, negatives, embedding_size, cutoff, nonzero_cutoff)
    # One number for every pair, positive or not: XLA must know how many there are to draw.
    numbers = tf.random.stateless_uniform(tf.shape(distances), seed)
    chosen = _draw(logits, anchors, tf.gather_nd(numbers, pairs))
    valid = tf.gather_nd(negatives, tf.stack([anchors, chosen], axis=1))
    return Triplets(anchors, partners, chosen, valid)


def _draw(logits: tf.Tensor, rows: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Draw a column of each listed row, by inverting the row's distribution function.

    Args:
        logits: (A, R) float32, log-probabilities up to a constant per row.
        rows: (P,) int32.
        numbers: (P,) float32, uniform in [0, 1).

    Returns:
        (P,) int32; any column for rows whose logits are all -inf.
    """
    largest = tf.maximum(tf.reduce_max(logits, axis=1, keepdims=True), logits.dtype.min)
    so_far = tf.cumsum(tf.exp(logits - largest), axis=1)
    last = tf.shape(logits)[1] - 1
    targets = numbers * tf.gather(so_far[:, -1], rows)

    def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        middle = (low + high) // 2
        beyond = tf.gather_nd(so_far, tf.stack([rows, middle], axis=1)) > targets
        return tf.where(beyond, low, tf.minimum(middle + 1, high)), tf.where(beyond, middle, high)

    # The first column whose sum exceeds the target lies within [low, high].
    low = tf.zeros_like(rows)
    found, _ = tf.while_loop(lambda low, high: tf.reduce_any(low < high), halve, (low, low + last))
    return found


def distance_weights(
    distances: tf.Tensor,
    negatives: tf.Tensor,
    embedding_size: int,
    cutoff: float = 0.5,
    nonzero_cutoff: float = 1.4,
) -> tf.Tensor:
    """Return the log-probabilities, up to a constant per row, of :func:`distance_weighted`.

    Args:
        distances: (A, R) float32, Euclidean, of unit embeddings.
        negatives: (A, R) bool.
        embedding_size: D.
        cutoff: See :func:`distance_weighted`.
        nonzero_cutoff: See :func:`distance_weighted`.

    Returns:
        (A, R) float32, -inf where a pair is never drawn.
    """
    d = tf.clip_by_value(distances, cutoff, 2.0)
    # 1e-8 keeps antipodal pairs finite.
    log_density = (embedding_size - 2.0) * tf.math.log(d) + (
        (embedding_size - 3.0) / 2
    ) * tf.math.log(tf.maximum(1 - 0.25 * tf.square(d), 1e-8))
    useful = negatives & (distances < nonzero_cutoff)
    some = tf.reduce_any(useful, axis=1, keepdims=True)
    weights = tf.where(some, tf.where(useful, -log_density, float("-inf")), 0.0)
    return tf.where(negatives, weights, float("-inf"))

"""Mining: which pairs or triplets of a batch a loss looks at. No gradients, O(A R) memory.

All functions take distances (A, R) of anchors to references, the multi-similarity miner's
similarities, and the boolean masks ``positives`` and ``negatives`` of the same shape, as made by
:mod:`retrieval.losses.ops.pairs`.

A miner is chosen with the loss: ``hard_triplet``, ``semi_hard_triplet``, ``margin_loss`` and
``multi_similarity`` have the one of their paper; ``mined_triplet`` has the option ``miner``, which
is one of these:

* ``batch_hard``: :func:`batch_hard` (Hermans 2017); the strongest signal, and the most exposed to
  wrong labels.
* ``semi_hard``: :func:`semi_hard` (Schroff 2015); negatives further away than the positive where
  there are any, which keeps a training from collapsing early.
* ``easy_positive``: :func:`easy_positive` (Xuan 2020); for classes that look different within.
* ``distance_weighted``: :func:`distance_weighted` (Wu 2017); negatives of all distances.
* ``multi_similarity``: :func:`multi_similarity_triplets` (Wang 2019); every pair that is hard next
  to the anchor's others, so many at first and few later.

Distance-weighted sampling of negatives (Wu 2017). No gradients, O(A R) memory.

Triplets of rows of a batch: what miners return, and all that there are.
"""

from typing import NamedTuple

import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses.ops.chunks import map_chunks


class Triplets(NamedTuple):
    """One positive and one negative per anchor, or per positive pair.

    Attributes:
        anchors: (T,) row of the anchor.
        positives: (T,) row of the positive among the references.
        negatives: (T,) row of the negative among the references.
        valid: (T,) bool; False where the anchor lacks a positive or a negative.
    """

    anchors: tf.Tensor
    positives: tf.Tensor
    negatives: tf.Tensor
    valid: tf.Tensor


def all_triplets(positives: tf.Tensor, negatives: tf.Tensor, limit: int = 10_000_000) -> Triplets:
    """List every valid triplet. There are O(B^3): meant for inspection and small batches.

    Args:
        positives: (A, R) bool.
        negatives: (A, R) bool.
        limit: Most triplets to list.

    Returns:
        All triplets, all valid.

    Raises:
        UserError: There are more than ``limit``, when run eagerly; graphs raise
            ``InvalidArgumentError``.
    """
    wide = [tf.math.count_nonzero(mask, axis=1, dtype=tf.int64) for mask in (positives, negatives)]
    count = tf.reduce_sum(wide[0] * wide[1])
    message = "all_triplets: more triplets than the limit; mine some, or raise the limit"
    if tf.executing_eagerly() and int(count) > limit:
        raise UserError(f"{message} ({int(count)} > {limit})")
    with tf.control_dependencies([tf.debugging.Assert(count <= limit, [message, count])]):
        pairs = tf.where(positives)
    # Each positive pair is repeated once per negative of its anchor.
    repeats = tf.gather(wide[1], pairs[:, 0])
    repeated = tf.repeat(pairs, repeats, axis=0)
    starts = tf.cumsum(wide[1], exclusive=True)
    first = tf.repeat(tf.cumsum(repeats, exclusive=True), repeats)
    within = tf.range(tf.shape(repeated, out_type=tf.int64)[0]) - first
    columns = tf.gather(tf.where(negatives)[:, 1], tf.gather(starts, repeated[:, 0]) + within)
    anchors, partners = (tf.cast(column, tf.int32) for column in tf.unstack(repeated, 2, axis=1))
    return Triplets(anchors, partners, tf.cast(columns, tf.int32), tf.ones_like(anchors, tf.bool))


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


__all__ = [
    "Triplets",
    "all_triplets",
    "batch_hard",
    "distance_weighted",
    "distance_weights",
    "easy_positive",
    "multi_similarity_pairs",
    "multi_similarity_triplets",
    "semi_hard",
]


def batch_hard(distances: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor) -> Triplets:
    """Pick each anchor's furthest positive and closest negative (Hermans 2017, eq. 5).

    Args:
        distances: (A, R) float32, at least 0.
        positives: (A, R) bool.
        negatives: (A, R) bool.

    Returns:
        A triplets, one per anchor.
    """
    furthest = tf.argmax(tf.where(positives, distances, -1.0), axis=1, output_type=tf.int32)
    closest = tf.argmin(tf.where(negatives, distances, float("inf")), axis=1, output_type=tf.int32)
    valid = _at(positives, furthest) & _at(negatives, closest)
    return Triplets(tf.range(tf.shape(distances)[0]), furthest, closest, valid)


def semi_hard(distances: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor) -> Triplets:
    """Pick for each positive pair the closest negative further away than the positive.

    If no negative of the anchor lies beyond the positive, its furthest one is taken (Schroff 2015,
    section 3.2, as in TensorFlow Addons).

    Args:
        distances: (A, R) float32, at least 0.
        positives: (A, R) bool.
        negatives: (A, R) bool.

    Returns:
        One triplet per positive pair, in row order.
    """
    pairs = tf.where(positives)
    anchors, partners = tf.cast(pairs[:, 0], tf.int32), tf.cast(pairs[:, 1], tf.int32)
    candidates = tf.where(negatives, distances, -1.0)
    furthest = tf.argmax(candidates, axis=1, output_type=tf.int32)
    limits = tf.gather_nd(distances, pairs)
    beyond = _closest_beyond(candidates, anchors, limits)
    found = tf.gather_nd(candidates, tf.stack([anchors, beyond], axis=1)) > limits
    chosen = tf.where(found, beyond, tf.gather(furthest, anchors))
    valid = tf.gather_nd(negatives, tf.stack([anchors, chosen], axis=1))
    return Triplets(anchors, partners, chosen, valid)


def _closest_beyond(candidates: tf.Tensor, anchors: tf.Tensor, limits: tf.Tensor) -> tf.Tensor:
    # All pairs at once would be (P, R), and P may reach A R: take A pairs at a time.
    def of_pairs(items: tf.Tensor) -> tf.Tensor:
        rows = tf.gather(candidates, tf.gather(anchors, items))
        beyond = tf.where(rows > tf.gather(limits, items)[:, None], rows, float("inf"))
        return tf.argmin(beyond, axis=1, output_type=tf.int32)

    return map_chunks(of_pairs, tf.zeros_like(anchors), tf.shape(candidates)[0])


def easy_positive(distances: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor) -> Triplets:
    """Pick each anchor's closest positive and closest negative (Xuan 2020, "EPHN").

    Args:
        distances: (A, R) float32, at least 0.
        positives: (A, R) bool.
        negatives: (A, R) bool.

    Returns:
        A triplets, one per anchor.
    """
    far = float("inf")
    easiest = tf.argmin(tf.where(positives, distances, far), axis=1, output_type=tf.int32)
    closest = tf.argmin(tf.where(negatives, distances, far), axis=1, output_type=tf.int32)
    valid = _at(positives, easiest) & _at(negatives, closest)
    return Triplets(tf.range(tf.shape(distances)[0]), easiest, closest, valid)


def multi_similarity_pairs(
    similarities: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor, epsilon: float = 0.1
) -> tuple[tf.Tensor, tf.Tensor]:
    """Keep the pairs that are informative relative to the anchor's others (Wang 2019, eqs. 11, 12).

    Args:
        similarities: (A, R) float32.
        positives: (A, R) bool.
        negatives: (A, R) bool.
        epsilon: Slack.

    Returns:
        Positives less similar than the most similar negative + epsilon, and negatives more similar
        than the least similar positive - epsilon: both (A, R) bool.
    """
    far = float("inf")
    least = tf.reduce_min(tf.where(positives, similarities, far), axis=1, keepdims=True)
    most = tf.reduce_max(tf.where(negatives, similarities, -far), axis=1, keepdims=True)
    return (
        positives & (similarities < most + epsilon),
        negatives & (similarities > least - epsilon),
    )


def multi_similarity_triplets(
    similarities: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor, epsilon: float = 0.1
) -> Triplets:
    """Make a triplet of each pair that :func:`multi_similarity_pairs` keeps.

    A pair is kept for how it compares with its anchor's hardest pair of the other kind, and the two
    are the triplet. That of the least similar positive and the most similar negative, if both are
    kept, is thus listed for either.

    Args:
        similarities: (A, R) float32.
        positives: (A, R) bool.
        negatives: (A, R) bool.
        epsilon: Slack.

    Returns:
        One triplet per kept pair, in row order, all valid.
    """
    kept = tf.logical_or(*multi_similarity_pairs(similarities, positives, negatives, epsilon))
    far = float("inf")
    least = tf.argmin(tf.where(positives, similarities, far), axis=1, output_type=tf.int32)
    most = tf.argmax(tf.where(negatives, similarities, -far), axis=1, output_type=tf.int32)
    pairs = tf.where(kept)
    anchors, others = tf.cast(pairs[:, 0], tf.int32), tf.cast(pairs[:, 1], tf.int32)
    same = tf.gather_nd(positives, pairs)
    return Triplets(
        anchors,
        tf.where(same, others, tf.gather(least, anchors)),
        tf.where(same, tf.gather(most, anchors), others),
        # Not ones: XLA would count them to the length that the list might have had.
        tf.gather_nd(kept, pairs),
    )


def _at(mask: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    return tf.gather(mask, columns, axis=1, batch_dims=1)

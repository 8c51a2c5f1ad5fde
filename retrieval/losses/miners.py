"""Miners, which select the triplets or pairs of a batch that a loss uses.

Every miner takes distances (A, R) of anchors to references (the multi-similarity miner takes
similarities) and the boolean masks ``positives`` and ``negatives`` of the same shape, as
:mod:`retrieval.losses.ops.pairs` makes them. Miners carry no gradient and need O(A R) memory.

The miner is chosen with the loss: ``hard_triplet``, ``semi_hard_triplet``, ``margin_loss`` and
``multi_similarity`` use the one of their paper, and ``mined_triplet`` has the option ``miner``:

* ``batch_hard``: :func:`batch_hard` (Hermans et al. 2017). The strongest signal, and the most
  sensitive to wrong labels.
* ``semi_hard``: :func:`semi_hard` (Schroff et al. 2015). Negatives further away than the positive
  where there are any, which keeps training from collapsing early.
* ``easy_positive``: :func:`easy_positive` (Xuan et al. 2020). For classes of varied appearance.
* ``distance_weighted``: :func:`distance_weighted` (Wu et al. 2017). Negatives of all distances.
* ``multi_similarity``: :func:`multi_similarity_triplets` (Wang et al. 2019). Every pair that is
  hard relative to its anchor's other pairs: many early in training, few later.
"""

from typing import NamedTuple

import tensorflow as tf

from retrieval.errors import UserError
from retrieval.losses.ops.chunks import map_chunks

INFINITY = float("inf")


class Triplets(NamedTuple):
    """Triplets of an anchor, a positive and a negative, by their rows.

    Attributes:
        anchors: (T,) int32, row of the anchor.
        positives: (T,) int32, row of the positive among the references.
        negatives: (T,) int32, row of the negative among the references.
        valid: (T,) bool, False where the anchor lacks a positive or a negative.
    """

    anchors: tf.Tensor
    positives: tf.Tensor
    negatives: tf.Tensor
    valid: tf.Tensor


def batch_hard(distances: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor) -> Triplets:
    """Pick each anchor's furthest positive and closest negative (Hermans et al. 2017, eq. 5).

    Args:
        distances: (A, R) float32, at least 0.
        positives: (A, R) bool, True for the anchor's positives.
        negatives: (A, R) bool, True for the anchor's negatives.

    Returns:
        A triplets, one per anchor.
    """
    furthest = tf.argmax(tf.where(positives, distances, -1.0), axis=1, output_type=tf.int32)
    closest = tf.argmin(tf.where(negatives, distances, INFINITY), axis=1, output_type=tf.int32)
    valid = _at(positives, furthest) & _at(negatives, closest)
    return Triplets(tf.range(tf.shape(distances)[0]), furthest, closest, valid)


def semi_hard(distances: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor) -> Triplets:
    """Pick for each positive pair the closest negative that is further away than the positive.

    If no negative of the anchor lies beyond the positive, its furthest negative is picked (Schroff
    et al. 2015, section 3.2, as in TensorFlow Addons).

    Args:
        distances: (A, R) float32, at least 0.
        positives: (A, R) bool, True for the anchor's positives.
        negatives: (A, R) bool, True for the anchor's negatives.

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
    # All pairs at once would need a tensor (P, R), where P can be as large as A R, so A pairs are
    # taken at a time.
    def of_pairs(items: tf.Tensor) -> tf.Tensor:
        rows = tf.gather(candidates, tf.gather(anchors, items))
        beyond = tf.where(rows > tf.gather(limits, items)[:, None], rows, INFINITY)
        return tf.argmin(beyond, axis=1, output_type=tf.int32)

    return map_chunks(of_pairs, tf.zeros_like(anchors), tf.shape(candidates)[0])


def easy_positive(distances: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor) -> Triplets:
    """Pick each anchor's closest positive and closest negative (Xuan et al. 2020, "EPHN").

    Args:
        distances: (A, R) float32, at least 0.
        positives: (A, R) bool, True for the anchor's positives.
        negatives: (A, R) bool, True for the anchor's negatives.

    Returns:
        A triplets, one per anchor.
    """
    easiest = tf.argmin(tf.where(positives, distances, INFINITY), axis=1, output_type=tf.int32)
    closest = tf.argmin(tf.where(negatives, distances, INFINITY), axis=1, output_type=tf.int32)
    valid = _at(positives, easiest) & _at(negatives, closest)
    return Triplets(tf.range(tf.shape(distances)[0]), easiest, closest, valid)


def distance_weighted(
    distances: tf.Tensor,
    positives: tf.Tensor,
    negatives: tf.Tensor,
    embedding_size: int | tf.Tensor,
    seed: tf.Tensor,
    cutoff: float = 0.5,
    nonzero_cutoff: float = 1.4,
) -> Triplets:
    """Draw a negative for each positive pair, all distances about equally often (Wu et al. 2017).

    On the unit sphere in D dimensions, the distance d of a random pair has the density
    q(d) ~ d^(D - 2) (1 - d^2 / 4)^((D - 3) / 2). A negative at distance d is drawn with probability
    proportional to 1 / q(max(d, cutoff)). Negatives at ``nonzero_cutoff`` or further are not drawn,
    because they would add nothing to the margin loss; if all of them lie there, they are drawn
    uniformly.

    Args:
        distances: (A, R) float32, Euclidean, of unit embeddings.
        positives: (A, R) bool, True for the anchor's positives.
        negatives: (A, R) bool, True for the anchor's negatives.
        embedding_size: Size D of the embeddings.
        seed: (2,) int32; the same seed draws the same negatives.
        cutoff: Smaller distances are drawn as if they were this one: very close negatives are
            noisy. Defaults to 0.5.
        nonzero_cutoff: Negatives at this distance or further are not drawn. Defaults to 1.4.

    Returns:
        One triplet per positive pair, in row order.
    """
    pairs = tf.where(positives)
    anchors, partners = tf.cast(pairs[:, 0], tf.int32), tf.cast(pairs[:, 1], tf.int32)
    logits = distance_weights(distances, negatives, embedding_size, cutoff, nonzero_cutoff)
    # One number for every pair, positive or not: XLA must know how many numbers to draw.
    numbers = tf.random.stateless_uniform(tf.shape(distances), seed)
    chosen = _draw(logits, anchors, tf.gather_nd(numbers, pairs))
    valid = tf.gather_nd(negatives, tf.stack([anchors, chosen], axis=1))
    return Triplets(anchors, partners, chosen, valid)


def distance_weights(
    distances: tf.Tensor,
    negatives: tf.Tensor,
    embedding_size: int | tf.Tensor,
    cutoff: float = 0.5,
    nonzero_cutoff: float = 1.4,
) -> tf.Tensor:
    """Return the log-probabilities, up to a constant per row, of :func:`distance_weighted`.

    Args:
        distances: (A, R) float32, Euclidean, of unit embeddings.
        negatives: (A, R) bool, True for the anchor's negatives.
        embedding_size: Size D of the embeddings.
        cutoff: See :func:`distance_weighted`. Defaults to 0.5.
        nonzero_cutoff: See :func:`distance_weighted`. Defaults to 1.4.

    Returns:
        (A, R) float32, -inf where a pair is never drawn.
    """
    d = tf.clip_by_value(distances, cutoff, 2.0)
    # 1e-8 keeps antipodal pairs finite.
    log_density = (embedding_size - 2.0) * tf.math.log(d) + (
        (embedding_size - 3.0) / 2
    ) * tf.math.log(tf.maximum(1 - 0.25 * tf.square(d), 1e-8))
    useful = negatives & (distances < nonzero_cutoff)
    any_useful = tf.reduce_any(useful, axis=1, keepdims=True)
    weights = tf.where(any_useful, tf.where(useful, -log_density, -INFINITY), 0.0)
    return tf.where(negatives, weights, -INFINITY)


def _draw(logits: tf.Tensor, rows: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Draw a column of each listed row, by inverting the row's distribution function.

    Args:
        logits: (A, R) float32, log-probabilities up to a constant per row.
        rows: (P,) int32, a row of the logits for each draw.
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


def multi_similarity_pairs(
    similarities: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor, epsilon: float = 0.1
) -> tuple[tf.Tensor, tf.Tensor]:
    """Keep the pairs that are hard relative to their anchor's other pairs (Wang et al. 2019).

    These are equations 11 and 12 of the paper.

    Args:
        similarities: (A, R) float32, of anchors and references.
        positives: (A, R) bool, True for the anchor's positives.
        negatives: (A, R) bool, True for the anchor's negatives.
        epsilon: Slack of the comparisons. Defaults to 0.1.

    Returns:
        Two (A, R) bool: the positives less similar than the most similar negative plus epsilon, and
        the negatives more similar than the least similar positive minus epsilon.
    """
    least = tf.reduce_min(tf.where(positives, similarities, INFINITY), axis=1, keepdims=True)
    most = tf.reduce_max(tf.where(negatives, similarities, -INFINITY), axis=1, keepdims=True)
    return (
        positives & (similarities < most + epsilon),
        negatives & (similarities > least - epsilon),
    )


def multi_similarity_triplets(
    similarities: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor, epsilon: float = 0.1
) -> Triplets:
    """Make a triplet of each pair that :func:`multi_similarity_pairs` keeps.

    A pair is kept because of how it compares with its anchor's hardest pair of the other kind, and
    the two pairs make the triplet. So the triplet of the least similar positive and the most
    similar negative is listed twice if both are kept.

    Args:
        similarities: (A, R) float32, of anchors and references.
        positives: (A, R) bool, True for the anchor's positives.
        negatives: (A, R) bool, True for the anchor's negatives.
        epsilon: Slack of the comparisons. Defaults to 0.1.

    Returns:
        One triplet per kept pair, in row order, all valid.
    """
    kept = tf.logical_or(*multi_similarity_pairs(similarities, positives, negatives, epsilon))
    least = tf.argmin(tf.where(positives, similarities, INFINITY), axis=1, output_type=tf.int32)
    most = tf.argmax(tf.where(negatives, similarities, -INFINITY), axis=1, output_type=tf.int32)
    pairs = tf.where(kept)
    anchors, others = tf.cast(pairs[:, 0], tf.int32), tf.cast(pairs[:, 1], tf.int32)
    same = tf.gather_nd(positives, pairs)
    return Triplets(
        anchors,
        tf.where(same, others, tf.gather(least, anchors)),
        tf.where(same, tf.gather(most, anchors), others),
        # Not tf.ones: under XLA it would have the largest length that the list can have.
        tf.gather_nd(kept, pairs),
    )


def all_triplets(positives: tf.Tensor, negatives: tf.Tensor, limit: int = 10_000_000) -> Triplets:
    """List all triplets. Their number grows as B^3: meant for inspection and small batches.

    Args:
        positives: (A, R) bool, True for the anchor's positives.
        negatives: (A, R) bool, True for the anchor's negatives.
        limit: Largest number of triplets to list. Defaults to 10,000,000.

    Returns:
        Every triplet, in the order of anchor, positive, negative; all valid.

    Raises:
        UserError: There are more than ``limit`` triplets. In a graph it is an
            ``InvalidArgumentError``.
    """
    counts = [
        tf.math.count_nonzero(mask, axis=1, dtype=tf.int64) for mask in (positives, negatives)
    ]
    count = tf.reduce_sum(counts[0] * counts[1])
    message = "all_triplets: more triplets than the limit; mine some, or raise the limit"
    if tf.executing_eagerly() and int(count) > limit:
        raise UserError(f"{message} ({int(count)} > {limit})")
    with tf.control_dependencies([tf.debugging.Assert(count <= limit, [message, count])]):
        pairs = tf.where(positives)
    # Each positive pair is repeated once per negative of its anchor.
    repeats = tf.gather(counts[1], pairs[:, 0])
    repeated = tf.repeat(pairs, repeats, axis=0)
    starts = tf.cumsum(counts[1], exclusive=True)
    first = tf.repeat(tf.cumsum(repeats, exclusive=True), repeats)
    within = tf.range(tf.shape(repeated, out_type=tf.int64)[0]) - first
    columns = tf.gather(tf.where(negatives)[:, 1], tf.gather(starts, repeated[:, 0]) + within)
    anchors, partners = (tf.cast(column, tf.int32) for column in tf.unstack(repeated, 2, axis=1))
    return Triplets(anchors, partners, tf.cast(columns, tf.int32), tf.ones_like(anchors, tf.bool))


def _at(mask: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    return tf.gather(mask, columns, axis=1, batch_dims=1)

"""Mining: which pairs or triplets of a batch a loss looks at. No gradients, O(A R) memory.

All functions take distances (A, R) of anchors to references, the multi-similarity miner's
similarities, and the boolean masks ``positives`` and ``negatives`` of the same shape, as made by
:mod:`retrieval.losses.masks`.

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
"""

import tensorflow as tf

from retrieval.distance_weighting import distance_weighted, distance_weights
from retrieval.losses.chunks import map_chunks
from retrieval.triplets import Triplets, all_triplets

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

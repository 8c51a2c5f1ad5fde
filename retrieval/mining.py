"""Mining: which pairs or triplets of a batch a loss looks at. No gradients, O(A R) memory.

All functions take distances (A, R) of anchors to references and the boolean masks ``positives`` and
``negatives`` of the same shape, as made by :mod:`retrieval.losses.masks`.
"""

from typing import NamedTuple

import tensorflow as tf

from retrieval.losses.chunks import map_chunks


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
    def of_chunk(start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
        rows = tf.gather(candidates, anchors[start:stop])
        beyond = tf.where(rows > limits[start:stop, None], rows, float("inf"))
        return tf.argmin(beyond, axis=1, output_type=tf.int32)

    size = tf.shape(candidates)[0]
    return tf.ensure_shape(map_chunks(of_chunk, tf.shape(anchors)[0], size, tf.int32), [None])


def _at(mask: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    return tf.gather(mask, columns, axis=1, batch_dims=1)

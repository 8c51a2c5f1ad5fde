"""Triplets of rows of a batch: what miners return, and all that there are."""

from typing import NamedTuple

import tensorflow as tf

from retrieval.errors import UserError


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

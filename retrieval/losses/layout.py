"""Pairs read off the order of rows in a P x K batch: no extra images are decoded for them."""

import tensorflow as tf

# Two classes of four rows, taken two by two: two positive and two negative pairs.
BLOCK = (0, 1, 4, 3, 2, 5, 6, 7)


def alternate_rows(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Split rows (B, ...) into anchors (rows 0, 2, 4 ...) and positives (1, 3, 5 ...).

    The last row of an odd batch is dropped.
    """
    pairs = tf.shape(rows)[0] // 2
    shape = tf.concat([[pairs, 2], tf.shape(rows)[1:]], axis=0)
    return tuple(tf.unstack(tf.reshape(rows[: 2 * pairs], shape), num=2, axis=1))


def block_pairs(batch: tf.Tensor) -> tf.Tensor:
    """Pair the rows of a batch of four rows per class, half of the pairs positive.

    In each block of eight rows (two classes), rows 0,1 | 4,3 | 2,5 | 6,7 are paired. Rows left over
    after the last whole block are paired two by two in order; an odd last row is dropped.

    Args:
        batch: Number of rows B, scalar int32.

    Returns:
        (B // 2, 2) int32 row indices.
    """
    whole = batch // 8 * 8
    blocks = tf.range(0, whole, 8)[:, None] + tf.constant(BLOCK)[None, :]
    rest = tf.range(whole, batch // 2 * 2)
    return tf.reshape(tf.concat([tf.reshape(blocks, [-1]), rest], axis=0), [-1, 2])

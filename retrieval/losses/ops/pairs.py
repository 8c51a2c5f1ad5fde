"""Pairs of a batch: masks of positives and negatives, pairs by row order, and masked reductions.

The reductions are finite, with finite gradients, for rows and batches without any pair.
"""

from typing import NamedTuple

import tensorflow as tf

# In place of log(0). Finite, so that no later product with a zero gradient makes a NaN.
LOG_ZERO = -1e30


# The rows of two classes of four rows each, two by two: two positive and two negative pairs.
BLOCK = (0, 1, 4, 3, 2, 5, 6, 7)


class Pairs(NamedTuple):
    """The pairs that a loss works on.

    Attributes:
        labels: (A,), the anchors' labels.
        anchors: (A, D) float32, one row per anchor.
        references: (R, D) float32, or None if the anchors are compared with each other.
        positives: (A, R) bool, True for a reference of the same label that is not the anchor.
        negatives: (A, R) bool, True for a reference of another label.
    """

    labels: tf.Tensor
    anchors: tf.Tensor
    references: tf.Tensor | None
    positives: tf.Tensor
    negatives: tf.Tensor


def pairs_within(labels: tf.Tensor, embeddings: tf.Tensor) -> Pairs:
    """Pair every row of a batch with every other row: labels (B,), embeddings (B, D)."""
    same = tf.equal(labels[:, None], labels[None, :])
    positives = tf.linalg.set_diag(same, tf.zeros_like(labels, tf.bool))
    return Pairs(labels, embeddings, None, positives, tf.logical_not(same))


def pairs_across(
    labels: tf.Tensor,
    anchors: tf.Tensor,
    reference_labels: tf.Tensor,
    references: tf.Tensor,
    usable: tf.Tensor | None = None,
) -> Pairs:
    """Pair every anchor with every reference, by their labels.

    Args:
        labels: (A,), the anchors' labels.
        anchors: (A, D) float32, one row per anchor.
        reference_labels: (R,), the references' labels.
        references: (R, D) float32, one row per reference.
        usable: (R,) bool, the references that may be in a pair. Defaults to None, all of them.

    Returns:
        The pairs, A x R of them.
    """
    same = tf.equal(labels[:, None], reference_labels[None, :])
    negatives = tf.logical_not(same)
    if usable is not None:
        same, negatives = same & usable, negatives & usable
    return Pairs(labels, anchors, references, same, negatives)


def alternate_rows(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Split the rows of a batch into anchors (rows 0, 2, 4, ...) and positives (1, 3, 5, ...).

    The last row of an odd batch is dropped.

    Args:
        rows: (B, ...), such as labels or embeddings.

    Returns:
        Two (B // 2, ...).
    """
    pairs = tf.shape(rows)[0] // 2
    shape = tf.concat([[pairs, 2], tf.shape(rows)[1:]], axis=0)
    anchors, positives = tf.unstack(tf.reshape(rows[: 2 * pairs], shape), num=2, axis=1)
    return anchors, positives


def block_pairs(batch: tf.Tensor) -> tf.Tensor:
    """Pair the rows of a batch of four rows per class, half of the pairs positive.

    In each block of eight rows (two classes), rows 0, 1 | 4, 3 | 2, 5 | 6, 7 are paired. Rows after
    the last whole block are dropped, as in the published baseline: the last class of an odd number
    of classes. A batch of fewer than eight rows is paired two by two in order.

    Args:
        batch: Number of rows B, scalar int32.

    Returns:
        (N, 2) int32 row indices; N = 4 (B // 8), or B // 2 if B < 8.
    """
    whole = batch // 8 * 8
    blocks = tf.range(0, whole, 8)[:, None] + tf.constant(BLOCK)[None, :]
    rest = tf.range(tf.where(whole > 0, 0, batch // 2 * 2))
    return tf.reshape(tf.concat([tf.reshape(blocks, [-1]), rest], axis=0), [-1, 2])


def mean_over(values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """Average the valid entries, or return 0 if there are none.

    Args:
        values: Any shape, finite everywhere.
        valid: Bool, the same shape.

    Returns:
        Scalar of the dtype of ``values``.
    """
    total = tf.reduce_sum(tf.where(valid, values, tf.zeros_like(values)))
    return total / tf.maximum(tf.math.count_nonzero(valid, dtype=values.dtype), 1)


@tf.custom_gradient
def masked_logsumexp(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Compute log(sum(exp(values))) over the masked entries of each row, without overflow.

    Args:
        values: (A, R) float32, the exponents.
        mask: (A, R) bool, True for the entries that count.

    Returns:
        (A,); ``LOG_ZERO`` for rows without a masked entry.
    """
    masked = tf.where(mask, values, float("-inf"))
    # At least LOG_ZERO: an empty row must not compute inf - inf.
    largest = tf.maximum(tf.reduce_max(masked, axis=1, keepdims=True), LOG_ZERO)
    shares = tf.exp(masked - largest)
    total = tf.reduce_sum(shares, axis=1, keepdims=True)
    empty = tf.equal(total, 0)
    result = largest + tf.math.log(tf.where(empty, tf.ones_like(total), total))

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, None]:
        # A gather downstream returns IndexedSlices.
        upstream = tf.convert_to_tensor(upstream)[:, None]
        return shares * tf.math.divide_no_nan(upstream, total), None

    return tf.squeeze(result, axis=1), gradient


def apply_margin(gaps: tf.Tensor, margin: float | str) -> tf.Tensor:
    """Turn gaps (positive minus negative distances) into losses.

    Args:
        gaps: Gaps of triplets, of any shape.
        margin: A number m gives max(gap + m, 0), ``"soft"`` gives log(1 + exp(gap)), and ``"none"``
            gives the gap itself.

    Returns:
        The losses, of the same shape.
    """
    if margin == "soft":
        return tf.nn.softplus(gaps)
    return gaps if margin == "none" else tf.nn.relu(gaps + float(margin))

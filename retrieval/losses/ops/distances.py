"""Pairwise distances and similarities in O(A R) memory, with gradients that stay finite.

The gradients are written by hand: one matrix product instead of two when a batch is compared with
itself, no division by a zero distance, and no (A, R, D) tensor. The names of distances are those of
:data:`retrieval.validation.Distance`.
"""

import math

import tensorflow as tf


def similarities(anchors: tf.Tensor, references: tf.Tensor | None = None) -> tf.Tensor:
    """Compute all inner products.

    Args:
        anchors: (A, D) float32, one row per anchor.
        references: (R, D) float32. Defaults to None, which compares the anchors with each other.

    Returns:
        (A, R) float32.
    """
    if references is None:
        return _self_products(anchors)
    return tf.matmul(anchors, references, transpose_b=True)


def cosines(anchors: tf.Tensor, references: tf.Tensor | None = None) -> tf.Tensor:
    """Compute all cosines: (A, D), (R, D) -> (A, R)."""
    unit = None if references is None else unit_rows(references)
    return similarities(unit_rows(anchors), unit)


@tf.custom_gradient
def _self_products(rows: tf.Tensor) -> tf.Tensor:
    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return tf.matmul(upstream + tf.transpose(upstream), rows)

    return tf.matmul(rows, rows, transpose_b=True), gradient


def squared_distances(anchors: tf.Tensor, references: tf.Tensor | None = None) -> tf.Tensor:
    """Compute all squared Euclidean distances.

    Args:
        anchors: (A, D) float32, one row per anchor.
        references: (R, D) float32. Defaults to None, which compares the anchors with each other.

    Returns:
        (A, R) float32, at least 0. The distance of an item to itself is 0 up to rounding.
    """
    # Distances do not change when all points are shifted, and centered points lose fewer digits.
    center = tf.stop_gradient(_mean_row(anchors if references is None else references))
    if references is None:
        return _self_squared_distances(anchors - center)
    return _cross_squared_distances(anchors - center, references - center)


def _mean_row(rows: tf.Tensor) -> tf.Tensor:
    count = tf.maximum(tf.cast(tf.shape(rows)[0], rows.dtype), 1)
    return tf.reduce_sum(rows, axis=0, keepdims=True) / count


@tf.custom_gradient
def _self_squared_distances(rows: tf.Tensor) -> tf.Tensor:
    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        weights = upstream + tf.transpose(upstream)
        return 2 * (tf.reduce_sum(weights, axis=1)[:, None] * rows - tf.matmul(weights, rows))

    return _expanded(rows, rows), gradient


@tf.custom_gradient
def _cross_squared_distances(anchors: tf.Tensor, references: tf.Tensor) -> tf.Tensor:
    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        to_anchors = tf.reduce_sum(upstream, axis=1)[:, None] * anchors
        to_references = tf.reduce_sum(upstream, axis=0)[:, None] * references
        return (
            2 * (to_anchors - tf.matmul(upstream, references)),
            2 * (to_references - tf.matmul(upstream, anchors, transpose_a=True)),
        )

    return _expanded(anchors, references), gradient


def _expanded(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    # |a|^2 + |b|^2 - 2 a.b as one product: the norms are two more columns, which saves two passes
    # over the (A, R) matrix.
    a_norm = tf.reduce_sum(tf.square(a), axis=1, keepdims=True)
    b_norm = tf.reduce_sum(tf.square(b), axis=1, keepdims=True)
    left = tf.concat([-2 * a, a_norm, tf.ones_like(a_norm)], axis=1)
    right = tf.concat([b, tf.ones_like(b_norm), b_norm], axis=1)
    return tf.nn.relu(tf.matmul(left, right, transpose_b=True))


@tf.custom_gradient
def safe_sqrt(squared: tf.Tensor) -> tf.Tensor:
    """Take the square root, with gradient 0 instead of infinity at 0."""
    root = tf.sqrt(squared)

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return tf.math.divide_no_nan(0.5 * upstream, root)

    return root, gradient


def euclidean_distances(anchors: tf.Tensor, references: tf.Tensor | None = None) -> tf.Tensor:
    """Compute all Euclidean distances: (A, D), (R, D) -> (A, R)."""
    return safe_sqrt(squared_distances(anchors, references))


def unit_rows(rows: tf.Tensor) -> tf.Tensor:
    """L2-normalize rows (B, D). Rows shorter than 1e-6 keep a length below 1, down to 0."""
    return tf.math.l2_normalize(rows, axis=1, epsilon=1e-12)


@tf.custom_gradient
def cityblock_distances(anchors: tf.Tensor, references: tf.Tensor) -> tf.Tensor:
    """Compute all city-block distances, sums of absolute differences, one row at a time.

    Args:
        anchors: (A, D) float32, one row per anchor.
        references: (R, D) float32, one row per reference.

    Returns:
        (A, R) float32. Components that coincide have gradient 0.
    """

    def of_anchor(anchor: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.abs(anchor - references), axis=1)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return (
            _weighted_signs(anchors, references, upstream),
            _weighted_signs(references, anchors, tf.transpose(upstream)),
        )

    return tf.map_fn(of_anchor, anchors, parallel_iterations=1), gradient


def _weighted_signs(rows: tf.Tensor, others: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Return sum_j weights[i, j] sign(rows[i] - others[j]): (N, D), (M, D), (N, M) -> (N, D)."""

    def of_row(row_and_weights: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        row, row_weights = row_and_weights
        return tf.linalg.matvec(tf.sign(row - others), row_weights, transpose_a=True)

    return tf.map_fn(of_row, (rows, weights), parallel_iterations=1, fn_output_signature=rows.dtype)


def rank_distances(name: str, anchors: tf.Tensor, references: tf.Tensor) -> tf.Tensor:
    """Compute distances that *order* pairs as the named distance does, without a gradient.

    Args:
        name: Name of the distance.
        anchors: (A, D) float32, one row per anchor.
        references: (R, D) float32, one row per reference.

    Returns:
        (A, R) float32, at least 0. For ``euclidean`` they are the squares, which are cheaper.
    """
    anchors, references = tf.stop_gradient(anchors), tf.stop_gradient(references)
    if name == "cityblock":
        return cityblock_distances(anchors, references)
    if name == "cosine":
        anchors, references = unit_rows(anchors), unit_rows(references)
        return tf.nn.relu(1 - tf.matmul(anchors, references, transpose_b=True))
    return squared_distances(anchors, references)


def all_distances(name: str, anchors: tf.Tensor, references: tf.Tensor | None = None) -> tf.Tensor:
    """Compute all distances, differentiably.

    Args:
        name: Name of the distance.
        anchors: (A, D) float32, one row per anchor.
        references: (R, D) float32. Defaults to None, which compares the anchors with each other.

    Returns:
        (A, R) float32. Coinciding rows have distance 0 and gradient 0, up to rounding.
    """
    if name == "cityblock":
        return cityblock_distances(anchors, anchors if references is None else references)
    if name == "cosine":
        return 1 - cosines(anchors, references)
    squared = squared_distances(anchors, references)
    return safe_sqrt(squared) if name == "euclidean" else squared


def paired_distances(name: str, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Compute the distance of each row of ``a`` to the same row of ``b``, differentiably.

    Args:
        name: Name of the distance.
        a: (P, D) float32, the first item of each pair.
        b: (P, D) float32, the second item of each pair.

    Returns:
        (P,) float32. Coinciding rows have distance 0 and gradient 0.
    """
    if name == "cosine":
        return 1 - tf.reduce_sum(unit_rows(a) * unit_rows(b), axis=1)
    if name == "cityblock":
        return tf.reduce_sum(tf.abs(a - b), axis=1)
    squared = tf.reduce_sum(tf.square(a - b), axis=1)
    return safe_sqrt(squared) if name == "euclidean" else squared


def add_angle(cosines: tf.Tensor, angle: float) -> tf.Tensor:
    """Compute cos(arccos(c) + angle) without the infinite slope of arccos at -1 and 1.

    Args:
        cosines: Any shape. Values beyond -1 or 1 because of rounding are clipped.
        angle: The angle in radians.

    Returns:
        The same shape.
    """
    cosines = tf.clip_by_value(cosines, -1.0, 1.0)
    sines = safe_sqrt(1 - tf.square(cosines))
    return cosines * math.cos(angle) - sines * math.sin(angle)

"""Seeded augmentation of training batches: crop, flip, colour."""

import tensorflow as tf

SCALE = (0.4, 1.0)  # area share of a random resized crop
RATIO = (3 / 4, 4 / 3)
JITTER = 0.25


def augment_batch(
    images: tf.Tensor, size: int, key: tf.Tensor, *, flip: bool, kind: str
) -> tf.Tensor:
    """Crop, mirror and recolour a batch, each image on its own draw.

    Args:
        images: uint8, (B, L, L, 3), L >= size.
        size: Side of the output, pixels.
        key: int64, (2,): the same key gives the same result.
        flip: Mirror half of the images.
        kind: ``none`` (random crop of ``size`` where L is larger), ``crop`` (random resized crop),
            ``colour`` (brightness, contrast, saturation), ``strong`` (crop and colour).

    Returns:
        float32, (B, size, size, 3) in 0..255.
    """
    images = tf.cast(images, tf.float32)
    if kind in ("crop", "strong"):
        images = random_resized_crop(images, size, _fold(key, 1))
    elif images.shape[1] != size:
        images = random_crop(images, size, _fold(key, 2))
    if flip:
        chosen = _uniform(_fold(key, 3), tf.shape(images)[0]) < 0.5
        images = tf.where(chosen[:, None, None, None], images[:, :, ::-1], images)
    if kind in ("colour", "strong"):
        images = colour_jitter(images, _fold(key, 4))
    return images


def random_crop(images: tf.Tensor, size: int, key: tf.Tensor) -> tf.Tensor:
    """Cut a ``size`` square out of each image (B, L, L, 3) at a random place."""
    count, slack = tf.shape(images)[0], images.shape[1] - size + 1
    corners = tf.random.stateless_uniform((count, 2), key, 0, slack, tf.int32)
    ranges = tf.range(size)
    rows = tf.gather(images, corners[:, :1] + ranges, axis=1, batch_dims=1)
    return tf.gather(rows, corners[:, 1:] + ranges, axis=2, batch_dims=1)


def random_resized_crop(images: tf.Tensor, size: int, key: tf.Tensor) -> tf.Tensor:
    """Cut a random box (area 0.4 to 1, ratio 3:4 to 4:3) from each image and resize it."""
    count = tf.shape(images)[0]
    u = tf.random.stateless_uniform((4, count), key)
    area = SCALE[0] + u[0] * (SCALE[1] - SCALE[0])
    low, high = tf.math.log(RATIO[0]), tf.math.log(RATIO[1])
    ratio = tf.exp(low + u[1] * (high - low))
    height = tf.minimum(tf.sqrt(area / ratio), 1.0)
    width = tf.minimum(tf.sqrt(area * ratio), 1.0)
    top, left = u[2] * (1 - height), u[3] * (1 - width)
    boxes = tf.stack([top, left, top + height, left + width], axis=1)
    return tf.image.crop_and_resize(images, boxes, tf.range(count), (size, size))


def colour_jitter(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Scale brightness, contrast and saturation of each image by 0.75 to 1.25."""
    factors = 1.0 + JITTER * (2.0 * tf.random.stateless_uniform((3, tf.shape(images)[0]), key) - 1)
    bright, contrast, saturation = (f[:, None, None, None] for f in tf.unstack(factors))
    images = images * bright
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    images = mean + contrast * (images - mean)
    grey = tf.reduce_mean(images, axis=3, keepdims=True)
    return tf.clip_by_value(grey + saturation * (images - grey), 0.0, 255.0)


def _fold(key: tf.Tensor, number: int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(key, number)


def _uniform(key: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform((count,), key)

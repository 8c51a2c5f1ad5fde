"""Random views and colors of training images: functions of seed, step and place in the batch."""

import tensorflow as tf

from retrieval.input_pipeline.decoding import resize

AREA = (0.4, 1.0)  # area share of a random resized crop
RATIO = (3 / 4, 4 / 3)  # its aspect ratio
JITTER = 0.25  # brightness, contrast and saturation change by up to this factor
GRAY = (0.299, 0.587, 0.114)  # luminance (ITU-R BT.601)
VIEW_STREAM, COLOR_STREAM = 0, 1


def draw(seed: int, stream: int, step: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Draw uniform numbers in 0..1 that depend on the arguments alone: float32, ``shape``."""
    key = tf.stack([tf.constant(2 * seed + stream, tf.int64), step])
    return tf.random.stateless_uniform(shape, key, alg="philox")


def draw_views(
    seed: int, step: tf.Tensor, batch: int, *, loaded: int, size: int, flip: bool, resized: bool
) -> tf.Tensor:
    """Draw what each image of a batch shows.

    Args:
        seed: The run's seed.
        step: Step number, scalar int64.
        batch: Images in the batch.
        loaded: Side of the square images that views are cut from, pixels.
        size: Side of a view that is only moved, pixels.
        flip: Mirror half of the images.
        resized: Random resized crop (area 0.4 to 1, ratio 3:4 to 4:3) instead of a moved one.

    Returns:
        int32, (batch, 5): top, left, height, width in pixels, and 1 where mirrored.
    """
    u = draw(seed, VIEW_STREAM, step, (5, batch))
    if resized:
        area = AREA[0] + u[3] * (AREA[1] - AREA[0])
        ratio = RATIO[0] * (RATIO[1] / RATIO[0]) ** u[4]
        height, width = (loaded * tf.sqrt(area * r) for r in (1 / ratio, ratio))
        height, width = (
            tf.cast(tf.round(tf.minimum(x, loaded)), tf.int32) for x in (height, width)
        )
    else:
        height = width = tf.fill((batch,), size)
    top, left = (
        tf.cast(tf.floor(part * tf.cast(loaded - x + 1, tf.float32)), tf.int32)
        for part, x in ((u[0], height), (u[1], width))
    )
    mirrored = tf.cast(u[2] < 0.5, tf.int32) * int(flip)
    return tf.stack([top, left, height, width, mirrored], axis=1)


def cut_view(image: tf.Tensor, view: tf.Tensor, size: int, *, resized: bool) -> tf.Tensor:
    """Cut a view (5,), see :func:`draw_views`, out of an image: uint8 (size, size, 3)."""
    if resized or image.shape != (size, size, 3):
        start, extent = tf.pad(view[:2], [[0, 1]]), tf.concat([view[2:4], [3]], axis=0)
        image = tf.slice(image, start, extent)
    if resized:
        image = resize(image, size, size)
    # Reversing along [1] or along no axis at all spares a branch per image.
    image = tf.reverse(image, tf.range(1, 1 + view[4]))
    return tf.ensure_shape(image, (size, size, 3))


def jitter(image: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """Change brightness b, then contrast c, then saturation s of an image.

    Contrast mixes with the image's mean gray, saturation with the pixel's own gray, so the three
    together are one linear map of the colors: x -> b c (s x + (1 - s) gray(x)) + b (1 - c) mean.

    Args:
        image: uint8, (S, S, 3).
        u: (3,) in 0..1: b, c and s lie in 1 - JITTER .. 1 + JITTER; 0.5 changes nothing.

    Returns:
        uint8, (S, S, 3).
    """
    bright, contrast, saturation = tf.unstack(1 + JITTER * (2 * u - 1))
    gray = tf.tile(tf.constant(GRAY)[:, None], (1, 3))  # colors (n, 3) @ gray: grays (n, 3)
    colors = tf.reshape(tf.cast(image, tf.float32), (-1, 3))
    mean = tf.reduce_mean(colors, axis=0, keepdims=True) @ gray
    mix = bright * contrast * (saturation * tf.eye(3) + (1 - saturation) * gray)
    colors = colors @ mix + bright * (1 - contrast) * mean
    return tf.reshape(tf.cast(tf.clip_by_value(colors + 0.5, 0, 255), tf.uint8), tf.shape(image))

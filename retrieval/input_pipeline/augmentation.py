"""Random crops, flips and colors of training images.

They depend only on the seed, the step and the place in the batch, so that a resumed run sees the
same pixels as an uninterrupted one.
"""

import tensorflow as tf

from retrieval.input_pipeline.decoding import resize
from retrieval.validation import DEFAULT_CROP_AREA, ImageSize, sides_of

RATIO = (3 / 4, 4 / 3)  # aspect ratio of a random resized crop
JITTER = 0.25  # largest relative change of brightness, contrast and saturation
GRAY = (0.299, 0.587, 0.114)  # luminance (ITU-R BT.601)
CROP_STREAM, COLOR_STREAM = 0, 1  # independent random numbers of the same seed and step


def draw(seed: int, stream: int, step: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Draw uniform random numbers that depend only on the arguments.

    Args:
        seed: The run's seed.
        stream: ``CROP_STREAM`` or ``COLOR_STREAM``.
        step: Training step, scalar int64.
        shape: Shape of the result.

    Returns:
        float32, from 0 (inclusive) to 1 (exclusive).
    """
    key = tf.stack([tf.constant(2 * seed + stream, tf.int64), step])
    return tf.random.stateless_uniform(shape, key, alg="philox")


def draw_crops(
    seed: int,
    step: tf.Tensor,
    batch: int,
    *,
    loaded: ImageSize,
    size: ImageSize,
    flip: bool,
    resized: bool,
    least_area: float = DEFAULT_CROP_AREA,
) -> tf.Tensor:
    """Draw the crops and flips of a batch.

    Args:
        seed: The run's seed.
        step: Training step, scalar int64.
        batch: Number of images in the batch.
        loaded: Size of the images to crop: the side of a square, or (height, width), in pixels.
        size: Size of a crop that is not resized.
        flip: Whether to flip half of the images horizontally.
        resized: Whether to draw random resized crops (aspect ratio 3:4 to 4:3) rather than crops
            of ``size``. The aspect ratio is relative to that of the images.
        least_area: Smallest area of a random resized crop, as a share of the image; the largest is
            the whole image. Defaults to 0.4.

    Returns:
        int32, (batch, 5): top, left, height and width in pixels, and 1 for a flip.
    """
    loaded, size = sides_of(loaded), sides_of(size)
    u = draw(seed, CROP_STREAM, step, (5, batch))
    if resized:
        area = least_area + u[3] * (1 - least_area)
        ratio = RATIO[0] * (RATIO[1] / RATIO[0]) ** u[4]
        height, width = (
            tf.cast(tf.round(tf.minimum(side * tf.sqrt(area * r), side)), tf.int32)
            for side, r in zip(loaded, (1 / ratio, ratio), strict=True)
        )
    else:
        height, width = (tf.fill((batch,), side) for side in size)
    top, left = (
        tf.cast(tf.floor(part * tf.cast(side - x + 1, tf.float32)), tf.int32)
        for part, side, x in ((u[0], loaded[0], height), (u[1], loaded[1], width))
    )
    flipped = tf.cast(u[2] < 0.5, tf.int32) * int(flip)
    return tf.stack([top, left, height, width, flipped], axis=1)


def apply_crop(image: tf.Tensor, crop: tf.Tensor, size: ImageSize, *, resized: bool) -> tf.Tensor:
    """Crop and flip an image.

    Args:
        image: uint8, (H, W, 3).
        crop: One row of :func:`draw_crops`, (5,).
        size: Size of the result: the side of a square, or (height, width), in pixels.
        resized: Whether the crop is to be resized to ``size``.

    Returns:
        uint8, (height, width, 3).
    """
    size = sides_of(size)
    if resized or image.shape != (*size, 3):
        start, extent = tf.pad(crop[:2], [[0, 1]]), tf.concat([crop[2:4], [3]], axis=0)
        image = tf.slice(image, start, extent)
    if resized:
        image = resize(image, *size)
    # Reversing along axis 1 or along no axis at all saves a conditional per image.
    image = tf.reverse(image, tf.range(1, 1 + crop[4]))
    return tf.ensure_shape(image, (*size, 3))


def jitter(image: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """Change brightness b, then contrast c, then saturation s of an image.

    Contrast mixes a color with the mean gray of the image, saturation with the gray of the pixel.
    Together the three are one linear map: x -> b c (s x + (1 - s) gray(x)) + b (1 - c) mean.

    Args:
        image: uint8, (H, W, 3).
        u: (3,), from 0 to 1, which is mapped to 1 - JITTER .. 1 + JITTER for b, c and s; 0.5
            changes nothing.

    Returns:
        uint8, (H, W, 3).
    """
    bright, contrast, saturation = tf.unstack(1 + JITTER * (2 * u - 1))
    gray = tf.tile(tf.constant(GRAY)[:, None], (1, 3))  # colors (n, 3) @ gray: grays (n, 3)
    colors = tf.reshape(tf.cast(image, tf.float32), (-1, 3))
    mean = tf.reduce_mean(colors, axis=0, keepdims=True) @ gray
    mix = bright * contrast * (saturation * tf.eye(3) + (1 - saturation) * gray)
    colors = colors @ mix + bright * (1 - contrast) * mean
    return tf.reshape(tf.cast(tf.clip_by_value(colors + 0.5, 0, 255), tf.uint8), tf.shape(image))

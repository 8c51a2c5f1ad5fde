"""One image file to one square of pixels, as a TensorFlow graph that tf.data can run.

JPEG, PNG, WebP, GIF (first frame) and BMP are told apart by content. Grey images are repeated over
the channels, transparency is dropped, a JPEG is turned upright as its EXIF orientation tells.
"""

import tensorflow as tf

from retrieval.orientation import upright

CROP_RATIOS = (1, 2, 4, 8)  # what the JPEG decoder can shrink by while it decodes


def read_square(path: tf.Tensor, side: int, box: tf.Tensor | None = None) -> tf.Tensor:
    """Read an image and resize it, without keeping its aspect ratio.

    Args:
        path: File name, scalar string.
        side: Side of the result, pixels.
        box: (4,) float32: x, y, width, height of the part to keep, in pixels as they are stored,
            before the image is turned; None keeps all.

    Returns:
        uint8, (side, side, 3), RGB.
    """
    contents = tf.io.read_file(path)
    image, ratio = decode(contents, side, None if box is None else box[2:])
    if box is not None:
        image = cut_box(image, box / tf.cast(ratio, tf.float32))
    # A square is turned as well after it is resized as before, and is smaller.
    return upright(resize(image, side, side), contents)


def decode(
    contents: tf.Tensor, least: int, extent: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode an image; a JPEG at 1/2, 1/4 or 1/8 size where that still is large enough.

    The JPEG decoder shrinks exactly, block by block, and faster than it decodes in full.

    Args:
        contents: The file's bytes.
        least: Pixels the shorter side must keep, if it has them.
        extent: (2,) width and height of the part that matters, pixels; None: the whole image.

    Returns:
        uint8 (H, W, 3) and the ratio, a scalar int32: 1, 2, 4 or 8.
    """

    def jpeg() -> tuple[tf.Tensor, tf.Tensor]:
        sides = tf.io.extract_jpeg_shape(contents)[:2] if extent is None else extent
        times = tf.cast(tf.reduce_min(sides), tf.int32) // least
        level = tf.reduce_sum(tf.cast(times >= CROP_RATIOS[1:], tf.int32))
        return tf.switch_case(level, [lambda r=r: at_ratio(r) for r in CROP_RATIOS])

    def at_ratio(ratio: int) -> tuple[tf.Tensor, tf.Tensor]:
        # The accurate method costs nothing here and agrees with Pillow and OpenCV.
        image = tf.io.decode_jpeg(contents, 3, ratio, dct_method="INTEGER_ACCURATE")
        return image, tf.constant(ratio)

    def other() -> tuple[tf.Tensor, tf.Tensor]:
        return tf.io.decode_image(contents, 3, expand_animations=False), tf.constant(1)

    image, ratio = tf.cond(tf.io.is_jpeg(contents), jpeg, other)
    return tf.ensure_shape(image, (None, None, 3)), ratio


def cut_box(image: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """Cut a box (4,) x, y, width, height out of an image (H, W, 3): at least 1 pixel, inside it.

    Loading a data set refuses boxes that lie wholly outside: retrieval.datasets.box_checks.
    """
    limits = tf.shape(image)[1::-1]
    start = tf.clip_by_value(tf.cast(tf.round(box[:2]), tf.int32), 0, limits - 1)
    stop = tf.clip_by_value(tf.cast(tf.round(box[:2] + box[2:]), tf.int32), start + 1, limits)
    return image[start[1] : stop[1], start[0] : stop[0]]


def resize(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Resize one image (H, W, 3) uint8 to (height, width, 3) uint8.

    Bilinear, which reads every pixel of an image up to twice as large; averages over areas beyond,
    where bilinear would skip pixels and alias.
    """
    # From float32 the kernel is faster than from uint8.
    batch, size = tf.cast(tf.expand_dims(image, 0), tf.float32), (height, width)

    def bilinear() -> tf.Tensor:
        return tf.raw_ops.ResizeBilinear(images=batch, size=size, half_pixel_centers=True)

    def area() -> tf.Tensor:
        return tf.raw_ops.ResizeArea(images=batch, size=size)

    skips = tf.reduce_any(tf.shape(image)[:2] >= (2 * height, 2 * width))
    return tf.cast(tf.squeeze(tf.cond(skips, area, bilinear), 0) + 0.5, tf.uint8)

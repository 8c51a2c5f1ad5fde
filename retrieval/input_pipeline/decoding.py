"""One image file to one square of pixels, as a TensorFlow graph that tf.data can run.

JPEG, PNG, WebP, GIF (first frame) and BMP are told apart by content. Gray images are repeated over
the channels, transparency is dropped, a JPEG is turned upright as its EXIF orientation tells.

Which way up a photograph is: phones store it as the sensor lay, and a number that tells.

The number (1..8) is in the EXIF part of a JPEG file, which TensorFlow's decoder leaves unread.
The format: CIPA DC-008 (Exif 2.32), section 4.6; TIFF 6.0, section 2.
"""

import tensorflow as tf

LOOKING, FOUND, NONE = 0, 1, 2
MOST_BYTES = 65_536  # an EXIF part is not longer
TAG = 0x0112


def upright(square: tf.Tensor, contents: tf.Tensor) -> tf.Tensor:
    """Turn or mirror an image as its file's EXIF orientation tells, as a graph for tf.data.

    Args:
        square: The image as it is stored, (S, S, C), of any size.
        contents: The file's bytes, scalar string; of any format.

    Returns:
        The image (S, S, C) the right way up.
    """
    # Most files of a data set have one short part, JFIF's, or none, which is told at a glance.
    head = tf.io.decode_raw(contents, tf.uint8, fixed_length=22)
    short = tf.reduce_all(head[3:6] == (0xE0, 0, 16))
    following = tf.where(short, head[21], head[3])
    return tf.cond(following // 16 >= 14, lambda: _turned(square, contents), lambda: square)


# As a call of its own: TensorFlow passes by each operation of a branch that is not taken.
@tf.function(autograph=False, experimental_attributes={"_noinline": True})
def _turned(square: tf.Tensor, contents: tf.Tensor) -> tf.Tensor:
    number = orientation(contents)
    return tf.cond(number == 1, lambda: square, lambda: turn(square, number))


def orientation(contents: tf.Tensor) -> tf.Tensor:
    """Read a JPEG's EXIF orientation.

    Args:
        contents: An image file's bytes, scalar string; of any format.

    Returns:
        int32, scalar, 1..8; 1, upright, where the file has none or a damaged one.
    """

    def look(at: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        head = _bytes_at(contents, at, 10)
        is_exif = tf.reduce_all(tf.gather(head, (0, 1, 4, 5, 6, 7)) == (255, 225, *b"Exif"))
        # Only the parts that come before the picture: applications' (E0 to EF) and comments.
        skipped = (head[0] == 255) & ((head[1] // 16 == 14) | (head[1] == 254))
        state = tf.where(is_exif, FOUND, tf.where(skipped, LOOKING, NONE))
        return tf.where(is_exif, at + 10, at + 2 + 256 * head[2] + head[3]), state

    start = tf.constant(2), tf.constant(LOOKING)
    at, state = tf.while_loop(lambda _, state: state == LOOKING, look, start)
    return tf.cond(
        state == FOUND,
        lambda: _value(_bytes_at(contents, at, MOST_BYTES)),
        lambda: tf.constant(1),
    )


def turn(square: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """Turn or mirror a square image (S, S, C) as its EXIF orientation 1..8 tells."""

    def swapped(image: tf.Tensor) -> tf.Tensor:
        return tf.transpose(image, (1, 0, 2))

    branches = (
        lambda: square,
        lambda: square[:, ::-1],
        lambda: square[::-1, ::-1],
        lambda: square[::-1],
        lambda: swapped(square),
        lambda: swapped(square)[:, ::-1],
        lambda: swapped(square[::-1, ::-1]),
        lambda: swapped(square)[::-1],
    )
    return tf.switch_case(number - 1, branches)


def _bytes_at(contents: tf.Tensor, at: tf.Tensor, length: int) -> tf.Tensor:
    """Return bytes as int32 (length,), zeros beyond the file's end."""
    at = tf.clip_by_value(at, 0, tf.strings.length(contents))
    part = tf.strings.substr(contents, at, length)
    return tf.cast(tf.io.decode_raw(part, tf.uint8, fixed_length=length), tf.int32)


def _value(tiff: tf.Tensor) -> tf.Tensor:
    """Look the orientation up in the first directory of a TIFF structure, int32 (n,)."""
    order = tf.cond(tiff[0] == ord("I"), lambda: tf.constant([0, 1]), lambda: tf.constant([1, 0]))
    weights = 256**order  # of the two bytes of a number

    def number(pairs: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(pairs * weights, axis=-1)

    # Of the offset's four bytes, the two that stay inside the part.
    place = number(tf.cond(tiff[0] == ord("I"), lambda: tiff[4:6], lambda: tiff[6:8]))
    place = tf.clip_by_value(place, 0, MOST_BYTES - 2)
    count = tf.minimum(number(tiff[place : place + 2]), (MOST_BYTES - 2 - place) // 12)
    entries = tf.reshape(tiff[place + 2 : place + 2 + 12 * count], (-1, 12))
    values = tf.boolean_mask(number(entries[:, 8:10]), number(entries[:, :2]) == TAG)
    found = tf.concat([values, [1]], axis=0)[0]
    return tf.where((found >= 1) & (found <= 8), found, 1)


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

    Loading a data set refuses boxes that lie wholly outside: retrieval.datasets.checks.
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

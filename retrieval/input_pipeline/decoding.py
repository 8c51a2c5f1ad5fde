"""Read an image file at a given height and width, with TensorFlow operations that tf.data can run.

JPEG, PNG, WebP, GIF (the first frame) and BMP are told apart by their content. Gray images become
RGB, transparency is dropped, and photographs are rotated as their EXIF orientation says: cameras
store the pixels as the sensor captured them, together with a number from 1 to 8 that says how to
rotate or flip them for display.

TensorFlow's decoders ignore that number (tensorflow/tensorflow#33932), and Pillow would have to
open every file a second time, in Python. So it is read here, from the bytes in memory; the format
is specified in CIPA DC-008 (Exif 2.32), section 4.6, and TIFF 6.0, section 2.
"""

import tensorflow as tf

from retrieval.validation import ImageSize, sides_of

JPEG_RATIOS = (1, 2, 4, 8)  # the JPEG decoder can divide the size by these while it decodes
LARGEST_SEGMENT = 65_536  # bytes; the length of a JPEG segment is a 16-bit number
ORIENTATION_TAG = 0x0112
LYING = 5  # orientations from this number on exchange height and width
SEARCHING, FOUND, ABSENT = 0, 1, 2


def read_resized(path: tf.Tensor, size: ImageSize, box: tf.Tensor | None = None) -> tf.Tensor:
    """Read an image and resize it, without keeping its aspect ratio.

    Args:
        path: File name, scalar string.
        size: Size of the result in pixels: the side of a square, or (height, width).
        box: (4,), float32: x, y, width and height of the part to keep, in pixels of the stored
            image, before any rotation. Defaults to None, the whole image.

    Returns:
        uint8, (H, W, 3), RGB.
    """
    return decode_resized(tf.io.read_file(path), size, box)


def decode_resized(contents: tf.Tensor, size: ImageSize, box: tf.Tensor | None = None) -> tf.Tensor:
    """Decode the bytes of an image file and resize the image; see :func:`read_resized`.

    Args:
        contents: Bytes of the file, scalar string.
        size: Size of the result in pixels: the side of a square, or (height, width).
        box: See :func:`read_resized`. Defaults to None, the whole image.

    Returns:
        uint8, (H, W, 3), RGB.
    """
    height, width = sides_of(size)
    if height == width:
        # Resizing to a square and rotating can be exchanged, and the resized image is smaller.
        return upright(_read(contents, (height, width), box), contents)
    number = _orientation(contents)
    # As the sensor stored it: numbers from 5 to 8 exchange height and width.
    stored = tf.where(number < LYING, (height, width), (width, height))
    image = _read(contents, (stored[0], stored[1]), box)
    image = tf.cond(number == 1, lambda: image, lambda: apply_orientation(image, number))
    return tf.ensure_shape(image, (height, width, 3))


def _read(contents: tf.Tensor, size: tuple, box: tf.Tensor | None) -> tf.Tensor:
    """Decode an image, crop it to a box and resize it to (height, width), not yet rotated."""
    image, ratio = decode(contents, size, None if box is None else box[2:])
    if box is not None:
        image = crop_to_box(image, box / tf.cast(ratio, tf.float32))
    return resize(image, *size)


def decode(
    contents: tf.Tensor, least: int | tuple, extent: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode an image; a JPEG at 1/2, 1/4 or 1/8 of its size if that is still large enough.

    The JPEG decoder shrinks exactly, block by block, and is faster than in full size.

    Args:
        contents: Bytes of the file, scalar string.
        least: Height and width in pixels that the image must keep, if it has them; a number
            stands for both.
        extent: (2,), width and height in pixels of the part that matters. Defaults to None, the
            whole image.

    Returns:
        The image, uint8 (H, W, 3), and the ratio 1, 2, 4 or 8, a scalar int32.
    """

    def jpeg() -> tuple[tf.Tensor, tf.Tensor]:
        sides = tf.io.extract_jpeg_shape(contents)[:2] if extent is None else extent[::-1]
        times = tf.reduce_min(tf.cast(sides, tf.int32) // least)
        level = tf.reduce_sum(tf.cast(times >= JPEG_RATIOS[1:], tf.int32))
        return tf.switch_case(level, [lambda r=r: at_ratio(r) for r in JPEG_RATIOS])

    def at_ratio(ratio: int) -> tuple[tf.Tensor, tf.Tensor]:
        # The accurate method costs nothing here and agrees with Pillow and OpenCV.
        image = tf.io.decode_jpeg(contents, 3, ratio, dct_method="INTEGER_ACCURATE")
        return image, tf.constant(ratio)

    def other() -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cond(is_webp(contents), webp, any_other), tf.constant(1)

    def webp() -> tf.Tensor:
        # Alone among the decoders, this one refuses to drop transparency.
        return tf.io.decode_image(contents, 0, expand_animations=False)[..., :3]

    def any_other() -> tf.Tensor:
        return tf.io.decode_image(contents, 3, expand_animations=False)

    image, ratio = tf.cond(tf.io.is_jpeg(contents), jpeg, other)
    return tf.ensure_shape(image, (None, None, 3)), ratio


def is_webp(contents: tf.Tensor) -> tf.Tensor:
    """Tell whether the bytes of a file are a WebP image: a RIFF container of that kind."""
    return tf.strings.regex_full_match(tf.strings.substr(contents, 0, 12), r"RIFF\C{4}WEBP")


def crop_to_box(image: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """Crop an image (H, W, 3) to a box (4,) x, y, width, height; at least one pixel remains.

    Boxes that lie wholly outside the image are refused when a data set is loaded: see
    :mod:`retrieval.datasets.checks`.
    """
    limits = tf.shape(image)[1::-1]
    start = tf.clip_by_value(tf.cast(tf.round(box[:2]), tf.int32), 0, limits - 1)
    stop = tf.clip_by_value(tf.cast(tf.round(box[:2] + box[2:]), tf.int32), start + 1, limits)
    return image[start[1] : stop[1], start[0] : stop[0]]


def resize(image: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    """Resize an image (H, W, 3) uint8 to (height, width, 3) uint8.

    Bilinear interpolation reads every pixel of an image up to twice as large. Larger images are
    averaged over areas instead, because bilinear interpolation would skip pixels and alias.
    """
    # From float32 the kernel is faster than from uint8.
    batch, size = tf.cast(tf.expand_dims(image, 0), tf.float32), (height, width)

    def bilinear() -> tf.Tensor:
        return tf.raw_ops.ResizeBilinear(images=batch, size=size, half_pixel_centers=True)

    def area() -> tf.Tensor:
        return tf.raw_ops.ResizeArea(images=batch, size=size)

    skips = tf.reduce_any(tf.shape(image)[:2] >= (2 * height, 2 * width))
    return tf.cast(tf.squeeze(tf.cond(skips, area, bilinear), 0) + 0.5, tf.uint8)


def upright(square: tf.Tensor, contents: tf.Tensor) -> tf.Tensor:
    """Rotate or flip a square image as the EXIF orientation of its file says.

    Args:
        square: The image as stored, (S, S, C), of any size.
        contents: Bytes of the file, scalar string, of any image format.

    Returns:
        The image for display, (S, S, C).
    """
    return tf.cond(_may_have_exif(contents), lambda: _reoriented(square, contents), lambda: square)


def _may_have_exif(contents: tf.Tensor) -> tf.Tensor:
    # Most files have no application segment, or only the short one of JFIF: a quick test for them.
    head = tf.io.decode_raw(contents, tf.uint8, fixed_length=22)
    has_jfif = tf.reduce_all(head[3:6] == (0xE0, 0, 16))
    next_marker = tf.where(has_jfif, head[21], head[3])
    return next_marker // 16 >= 14


# A function of its own: TensorFlow visits each operation even of the branch that is not taken.
@tf.function(autograph=False, experimental_attributes={"_noinline": True})
def _reoriented(square: tf.Tensor, contents: tf.Tensor) -> tf.Tensor:
    number = read_orientation(contents)
    return tf.cond(number == 1, lambda: square, lambda: apply_orientation(square, number))


def _orientation(contents: tf.Tensor) -> tf.Tensor:
    """Return the EXIF orientation of a file, 1 to 8, at once for one that has none."""
    return tf.cond(
        _may_have_exif(contents),
        lambda: _searched_orientation(contents),
        lambda: tf.constant(1),
    )


@tf.function(autograph=False, experimental_attributes={"_noinline": True})
def _searched_orientation(contents: tf.Tensor) -> tf.Tensor:
    return read_orientation(contents)


def read_orientation(contents: tf.Tensor) -> tf.Tensor:
    """Read the EXIF orientation of a JPEG file.

    Args:
        contents: Bytes of the file, scalar string, of any image format.

    Returns:
        int32, scalar, from 1 to 8; 1 (upright) if the file has no orientation or a damaged one.
    """

    def step(at: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        head = _bytes_at(contents, at, 10)
        is_exif = tf.reduce_all(tf.gather(head, (0, 1, 4, 5, 6, 7)) == (255, 225, *b"Exif"))
        # EXIF comes before the image data, among application segments (E0 to EF) and comments.
        is_other = (head[0] == 255) & ((head[1] // 16 == 14) | (head[1] == 254))
        state = tf.where(is_exif, FOUND, tf.where(is_other, SEARCHING, ABSENT))
        return tf.where(is_exif, at + 10, at + 2 + 256 * head[2] + head[3]), state

    start = tf.constant(2), tf.constant(SEARCHING)
    at, state = tf.while_loop(lambda _, state: state == SEARCHING, step, start)
    return tf.cond(
        state == FOUND,
        lambda: _orientation_in(_bytes_at(contents, at, LARGEST_SEGMENT)),
        lambda: tf.constant(1),
    )


def apply_orientation(image: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """Rotate or flip an image (H, W, C) as an EXIF orientation from 1 to 8 says."""

    def transposed(image: tf.Tensor) -> tf.Tensor:
        return tf.transpose(image, (1, 0, 2))

    branches = (
        lambda: image,
        lambda: image[:, ::-1],
        lambda: image[::-1, ::-1],
        lambda: image[::-1],
        lambda: transposed(image),
        lambda: transposed(image)[:, ::-1],
        lambda: transposed(image[::-1, ::-1]),
        lambda: transposed(image)[::-1],
    )
    return tf.switch_case(number - 1, branches)


def _bytes_at(contents: tf.Tensor, at: tf.Tensor, length: int) -> tf.Tensor:
    """Return bytes of a string as int32 (length,), padded with zeros beyond its end."""
    at = tf.clip_by_value(at, 0, tf.strings.length(contents))
    part = tf.strings.substr(contents, at, length)
    return tf.cast(tf.io.decode_raw(part, tf.uint8, fixed_length=length), tf.int32)


def _orientation_in(tiff: tf.Tensor) -> tf.Tensor:
    """Look up the orientation in the first directory of a TIFF structure, int32 bytes (n,)."""
    little_endian = tiff[0] == ord("I")
    order = tf.cond(little_endian, lambda: tf.constant([0, 1]), lambda: tf.constant([1, 0]))
    place_values = 256**order  # of the two bytes of a number

    def number(pairs: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(pairs * place_values, axis=-1)

    # Of the four bytes of the directory's offset, the two that can differ from 0 in a segment.
    offset = number(tf.cond(little_endian, lambda: tiff[4:6], lambda: tiff[6:8]))
    offset = tf.clip_by_value(offset, 0, LARGEST_SEGMENT - 2)
    count = tf.minimum(number(tiff[offset : offset + 2]), (LARGEST_SEGMENT - 2 - offset) // 12)
    entries = tf.reshape(tiff[offset + 2 : offset + 2 + 12 * count], (-1, 12))
    is_orientation = number(entries[:, :2]) == ORIENTATION_TAG
    values = tf.boolean_mask(number(entries[:, 8:10]), is_orientation)
    found = tf.concat([values, [1]], axis=0)[0]
    return tf.where((found >= 1) & (found <= 8), found, 1)

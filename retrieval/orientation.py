"""Which way up a photograph is: phones store it as the sensor lay, and a number that tells.

The number (1..8) is in the EXIF part of a JPEG file, which TensorFlow's decoder leaves unread. The
format: CIPA DC-008 (Exif 2.32), section 4.6; TIFF 6.0, section 2.
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

"""Images from disk to batches with tf.data: decode, resize, crop, flip, batch, prefetch.

Every random choice is a function of (seed, position of the image in the run), so a resumed run
sees the same pixels. EXIF orientation is ignored, as the published baselines do.
"""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.train_augmentation import augment_batch

AUTOTUNE = tf.data.AUTOTUNE


def train_dataset(
    paths: Sequence[str],
    labels: np.ndarray,
    rows: np.ndarray,
    *,
    size: int,
    pre_crop: int | None = None,
    flip: bool = True,
    augment: str = "none",
    seed: int = 0,
    first_step: int = 0,
    cache_gb: float = 0.0,
    boxes: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Return the training batches of consecutive steps.

    Args:
        paths: Image files.
        labels: (n,) integers, one per path.
        rows: (steps, B) row numbers: the batch of each step.
        size: Side of the square network input, pixels.
        pre_crop: Resize to this side first, then crop ``size`` at random; None resizes to ``size``.
        flip: Mirror at random.
        augment: ``none``, ``crop`` (random resized crop), ``colour`` or ``strong`` (both).
        seed: Seeds crops, flips and colours.
        first_step: The step ``rows[0]`` belongs to.
        cache_gb: Decode everything once and keep it, if it fits this many GB as uint8.
        boxes: (n, 4) crops x, y, width, height in pixels, applied before resizing.

    Returns:
        Pairs of images float32 (B, size, size, 3) in 0..255 and labels (B,).
    """
    loaded = max(size, pre_crop or size)
    load = _loader(paths, loaded, cache_gb, boxes)
    classes = tf.constant(labels)
    steps = tf.data.Dataset.from_tensor_slices(rows.reshape(-1).astype(np.int64))
    batches = steps.map(load, num_parallel_calls=AUTOTUNE, deterministic=True).batch(
        rows.shape[1], drop_remainder=True
    )
    numbered = tf.data.Dataset.zip(
        tf.data.Dataset.range(first_step, first_step + len(rows)),
        tf.data.Dataset.from_tensor_slices(rows.astype(np.int64)),
        batches,
    )

    def finish(step: tf.Tensor, row: tf.Tensor, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        key = tf.stack([tf.constant(seed, tf.int64), step])
        return augment_batch(images, size, key, flip=flip, kind=augment), tf.gather(classes, row)

    return numbered.map(finish, num_parallel_calls=AUTOTUNE, deterministic=True).prefetch(AUTOTUNE)


def eval_dataset(
    paths: Sequence[str],
    *,
    size: int,
    pre_crop: int | None = None,
    batch_size: int = 64,
    boxes: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Return the images in order, for embedding.

    Args:
        paths: Image files.
        size: Side of the square output, pixels.
        pre_crop: Resize to this side first, then take the centre; None resizes to ``size``.
        batch_size: Images per batch; the last one may be smaller.
        boxes: (n, 4) crops x, y, width, height in pixels, applied before resizing.

    Returns:
        Batches of images float32 (b, size, size, 3) in 0..255.
    """
    loaded = max(size, pre_crop or size)
    load = _loader(paths, loaded, 0.0, boxes)
    edge = (loaded - size) // 2
    images = tf.data.Dataset.range(len(paths)).map(load, num_parallel_calls=AUTOTUNE)
    crop = images.batch(batch_size).map(
        lambda x: tf.cast(x[:, edge : edge + size, edge : edge + size], tf.float32)
    )
    return crop.prefetch(AUTOTUNE)


def decode(contents: tf.Tensor, size: int, box: tf.Tensor | None = None) -> tf.Tensor:
    """Decode one JPEG, PNG or GIF and resize it to a square.

    Args:
        contents: The file's bytes.
        size: Side of the output, pixels.
        box: Optional crop (4,) x, y, width, height in pixels.

    Returns:
        uint8, (size, size, 3); grey images are repeated over the channels.
    """
    # This kernel reads every format TensorFlow knows, and passes the fast DCT on to JPEG.
    image = tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_FAST")
    if box is not None:
        x, y, w, h = tf.unstack(tf.cast(tf.round(box), tf.int32))
        image = image[y : y + h, x : x + w]
    image.set_shape([None, None, 3])
    resized = tf.image.resize(image, (size, size), antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)


def _loader(paths: Sequence[str], size: int, cache_gb: float, boxes: np.ndarray | None):
    names = tf.constant(list(paths))
    crops = None if boxes is None else tf.constant(boxes, tf.float32)

    def load(row: tf.Tensor) -> tf.Tensor:
        box = None if crops is None else crops[row]
        return decode(tf.io.read_file(names[row]), size, box)

    if len(paths) * size * size * 3 > cache_gb * 1e9:
        return load
    everything = tf.data.Dataset.range(len(paths)).map(load, num_parallel_calls=AUTOTUNE)
    decoded = tf.constant(np.concatenate(list(everything.batch(256).as_numpy_iterator())))
    return lambda row: decoded[row]


@contextlib.contextmanager
def naming_unreadable_images(paths: Sequence[str]) -> Iterator[None]:
    """Turn TensorFlow's error about an image into one line that names the file.

    Args:
        paths: The files the block may read, searched in order when something fails.

    Yields:
        Nothing.

    Raises:
        UserError: An image is missing or cannot be decoded.
    """
    try:
        yield
    except tf.errors.OpError as error:
        for path in paths:
            try:
                decode(tf.io.read_file(path), 8)
            except tf.errors.NotFoundError:
                raise UserError(f"{path}: no such file; remove it from the list") from error
            except tf.errors.OpError:
                raise UserError(
                    f"{path}: cannot be decoded (truncated, or not a JPEG or PNG); "
                    "replace or remove it"
                ) from error
        raise

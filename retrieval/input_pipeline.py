"""Images from disk to batches with tf.data: decode, cut a view, resize, batch, prefetch.

Photos are decoded at 1/2, 1/4 or 1/8 size where that is still larger than what is needed (the
JPEG's own, well-filtered downscaling), and each view is cut, mirrored and resized by one bilinear
operation. EXIF orientation is ignored, as the published baselines do.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.train_augmentation import draw_colours, draw_views

AUTOTUNE = tf.data.AUTOTUNE
WHOLE = (0.0, 0.0, 1.0, 1.0)
Loader = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


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
    """Return the training batches of consecutive steps; a resumed run sees the same pixels.

    Args:
        paths: Image files.
        labels: (n,) integers, one per path.
        rows: (steps, B) row numbers: the batch of each step.
        size: Side of the square network input, pixels.
        pre_crop: Side of the resized image that the input is cut from at random; None: no cut.
        flip: Mirror at random.
        augment: ``none``, ``crop`` (random resized crop), ``colour`` or ``strong`` (both).
        seed: Seeds views and colours.
        first_step: The step ``rows[0]`` belongs to.
        cache_gb: Decode everything once and keep it, if it fits this many GB as uint8.
        boxes: (n, 4) crops x, y, width, height in pixels, applied before all else.

    Returns:
        Pairs of images float32 (B, size, size, 3) in 0..255 and labels (B,).
    """
    loaded = max(size, pre_crop or size)
    steps, batch = range(first_step, first_step + len(rows)), rows.shape[1]
    views = draw_views(
        steps,
        batch,
        seed,
        keep=size / loaded,
        slack=loaded - size,
        flip=flip,
        resized=augment in ("crop", "strong"),
    )
    flat = tf.data.Dataset.from_tensor_slices((rows.reshape(-1), views.reshape(-1, 4)))
    load = _loader(paths, size, loaded, cache_gb, boxes)
    images = flat.map(load, num_parallel_calls=AUTOTUNE, deterministic=True).batch(
        batch, drop_remainder=True, num_parallel_calls=2
    )
    targets = tf.data.Dataset.from_tensor_slices(np.asarray(labels)[rows])
    if augment in ("colour", "strong"):
        colours = tf.data.Dataset.from_tensor_slices(draw_colours(steps, batch, seed))
        images = tf.data.Dataset.zip(images, colours).map(jitter, num_parallel_calls=2)
    return tf.data.Dataset.zip(images, targets).prefetch(4)


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
        pre_crop: Side of the resized image whose centre is taken; None: no cut.
        batch_size: Images per batch; the last one may be smaller.
        boxes: (n, 4) crops x, y, width, height in pixels, applied before all else.

    Returns:
        Batches of images float32 (b, size, size, 3) in 0..255.
    """
    loaded = max(size, pre_crop or size)
    edge = (loaded - size) // 2 / loaded
    view = tf.constant([edge, edge, edge + size / loaded, edge + size / loaded], tf.float32)
    load = _loader(paths, size, loaded, 0.0, boxes)
    images = tf.data.Dataset.range(len(paths)).map(
        lambda row: load(row, view), num_parallel_calls=AUTOTUNE, deterministic=True
    )
    return images.batch(batch_size).prefetch(AUTOTUNE)


def decode(contents: tf.Tensor, least: int) -> tf.Tensor:
    """Decode one JPEG, PNG or GIF, shrunk by a power of two while its sides stay large enough.

    Args:
        contents: The file's bytes.
        least: Smallest acceptable side of the result, pixels, if the image is that large.

    Returns:
        uint8, (H, W, 3); grey images are repeated over the channels.
    """

    def read(ratio: int) -> tf.Tensor:
        # This kernel reads every format TensorFlow knows; ratio and DCT method are for JPEG.
        return tf.io.decode_jpeg(contents, channels=3, ratio=ratio, dct_method="INTEGER_FAST")

    def shrunk() -> tf.Tensor:
        times = tf.reduce_min(tf.io.extract_jpeg_shape(contents)[:2]) // least
        level = tf.cast(times >= 2, tf.int32) + tf.cast(times >= 4, tf.int32)
        level += tf.cast(times >= 8, tf.int32)
        return tf.switch_case(level, [lambda r=r: read(r) for r in (1, 2, 4, 8)])

    def plain() -> tf.Tensor:
        image = read(1)
        large = tf.reduce_min(tf.shape(image)[:2]) >= 2 * least
        smooth = lambda: tf.cast(  # noqa: E731
            tf.image.resize(image, (2 * least, 2 * least), antialias=True), tf.uint8
        )
        return tf.cond(large, smooth, lambda: image)

    return tf.cond(tf.io.is_jpeg(contents), shrunk, plain)


def cut(image: tf.Tensor, view: tf.Tensor, size: int) -> tf.Tensor:
    """Cut a box out of an image and resize it to a square, in one bilinear operation.

    Args:
        image: uint8 (H, W, 3).
        view: (4,) top, left, bottom, right in 0..1; left > right mirrors.
        size: Side of the output, pixels.

    Returns:
        float32, (size, size, 3) in 0..255.
    """
    extent = tf.cast(tf.shape(image)[:2], tf.float32)
    extent = tf.concat([extent, extent], axis=0)
    ends = view * extent
    # Sample at pixel centres, as tf.image.resize does; the operation samples at the box's edge.
    half = (tf.roll(ends, 2, axis=0) - ends) * (0.5 / size)
    centres = (ends + half - 0.5) / tf.maximum(extent - 1.0, 1.0)
    box = tf.clip_by_value(centres, 0.0, 1.0)
    return tf.image.crop_and_resize(image[None], box[None], [0], (size, size))[0]


def jitter(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Scale brightness, contrast and saturation of images (B, S, S, 3) by factors (B, 3)."""
    bright, contrast, saturation = (f[:, None, None, None] for f in tf.unstack(factors, axis=1))
    images = images * bright
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    images = mean + contrast * (images - mean)
    grey = tf.reduce_mean(images, axis=3, keepdims=True)
    return tf.clip_by_value(grey + saturation * (images - grey), 0.0, 255.0)


def _loader(
    paths: Sequence[str], size: int, loaded: int, cache_gb: float, boxes: np.ndarray | None
) -> Loader:
    names = tf.constant(list(paths))
    crops = None if boxes is None else tf.constant(boxes, tf.float32)

    def load(row: tf.Tensor, view: tf.Tensor) -> tf.Tensor:
        contents = tf.io.read_file(names[row])
        if crops is None:
            return cut(decode(contents, loaded), view, size)
        x, y, w, h = tf.unstack(tf.cast(tf.round(crops[row]), tf.int32))
        image = tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_FAST")
        return cut(image[y : y + h, x : x + w], view, size)

    if len(paths) * loaded * loaded * 3 > cache_gb * 1e9:
        return load
    keep = _loader(paths, loaded, loaded, 0.0, boxes)
    everything = tf.data.Dataset.range(len(paths)).map(
        lambda row: tf.cast(tf.round(keep(row, tf.constant(WHOLE))), tf.uint8),
        num_parallel_calls=AUTOTUNE,
    )
    decoded = tf.constant(np.concatenate(list(everything.batch(256).as_numpy_iterator())))
    return lambda row, view: cut(decoded[row], view, size)


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

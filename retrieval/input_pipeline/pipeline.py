"""From image files to batches with tf.data: decode, resize, crop, batch, prefetch."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from retrieval.errors import UserError
from retrieval.input_pipeline.augmentation import (
    COLOR_STREAM,
    apply_crop,
    draw,
    draw_crops,
    jitter,
)
from retrieval.input_pipeline.decoding import decode_resized, read_resized, resize
from retrieval.input_pipeline.image_cache import (
    cache_bytes,
    cached_bytes,
    is_worthwhile,
    loaded_sides,
)
from retrieval.progress import progress_bar
from retrieval.validation import (
    DEFAULT_CROP_AREA,
    RESIZED_CROPS,
    Augmentation,
    ImageSize,
    Sides,
    check_choice,
    check_pre_crop,
    choices_of,
    sides_of,
)

AUTOTUNE = tf.data.AUTOTUNE
WHOLE_BATCH = slice(None)
UNDECODABLE = (
    "cannot be decoded (truncated, or no JPEG, PNG, WebP, GIF or BMP image); replace or remove it"
)


def train_dataset(
    paths: Sequence[str],
    labels: np.ndarray,
    rows: np.ndarray,
    *,
    size: ImageSize,
    pre_crop: ImageSize | None = None,
    flip: bool = True,
    augment: str = "none",
    crop_area: float = DEFAULT_CROP_AREA,
    seed: int = 0,
    first_step: int = 0,
    cache_gb: float = 0.0,
    boxes: np.ndarray | None = None,
    progress: bool = False,
    share: slice = WHOLE_BATCH,
    parts: int = 1,
) -> tf.data.Dataset:
    """Return the training batches of consecutive steps.

    A batch depends only on the arguments and its step, so that a resumed run sees the same pixels.

    Args:
        paths: Image files, n of them.
        labels: (n,), integers, one per path.
        rows: (steps, B), the batch of every step as indices into ``paths``.
        size: Size of the network input in pixels: the side of a square, or (height, width).
        pre_crop: Size that images are resized to before a random crop. Defaults to ``size`` (no
            crop), and to one and a half times ``size`` for random resized crops.
        flip: Whether to flip half of the images horizontally; not for data in which left and right
            matter, such as letters. Defaults to True.
        augment: ``none``, ``crop`` (random resized crop), ``color`` or ``strong`` (both). Defaults
            to ``none``.
        crop_area: Smallest area of a random resized crop, as a share of the image. Defaults to 0.4.
        seed: Seed of the crops, flips and colors. Defaults to 0.
        first_step: Step that ``rows[0]`` belongs to. Defaults to 0.
        cache_gb: Memory for decoded images, in GB. If all images fit and are drawn at least twice
            on average, they are decoded once, before the first step, with the same pixels as
            otherwise. Defaults to 0.0, no cache.
        boxes: (n, 4), crops x, y, width, height in pixels, applied before all else. Defaults to
            None, whole images.
        progress: Whether to show a progress bar while the cache is filled, and to say so if it is
            too small. Defaults to False.
        share: The rows of each batch that are loaded, where several workers share the batches:
            they see the same pixels as one that loads all. Defaults to the whole batch.
        parts: Number of equal parts that the share of a batch is handed out in, one after the
            other, for as many devices. Defaults to 1.

    Returns:
        Dataset of images uint8 (b, H, W, 3), RGB, and labels (b,), with b = B unless the batch is
        shared.

    Raises:
        UserError: An unknown ``augment``, a ``pre_crop`` smaller than ``size``, an empty box or,
            while the cache is filled, an image that cannot be read.
    """
    check_choice("augment", augment, choices_of(Augmentation))
    resized, colored = augment in RESIZED_CROPS, augment in ("color", "strong")
    check_pre_crop(pre_crop, size)
    sides = sides_of(size)
    loaded = loaded_sides(size, pre_crop, augment)
    read = _image_source(paths, loaded, boxes, rows.size, cache_gb, progress)
    steps, batch = np.arange(first_step, first_step + len(rows)), rows.shape[1]
    unchanged = loaded == sides and not (flip or resized)
    with tf.device("CPU"):  # where tf.data runs, also on a machine with a GPU
        targets = tf.constant(labels)

    def draw_batch(step: tf.Tensor, indices: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # To split a batch costs time per image and tensor: indices and crops share one tensor.
        crops = draw_crops(
            seed,
            step,
            batch,
            loaded=loaded,
            size=sides,
            flip=flip,
            resized=resized,
            least_area=crop_area,
        )
        drawn = tf.concat([tf.cast(indices, tf.int32)[:, None], crops], axis=1)[share]
        return (drawn, draw(seed, COLOR_STREAM, step, (batch, 3))[share]) if colored else (drawn,)

    def load(drawn: tf.Tensor, *colors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        index, image = drawn[0], read(drawn[0])
        if not unchanged:
            image = apply_crop(image, drawn[1:], sides, resized=resized)
        return jitter(image, *colors) if colored else image, index

    data = tf.data.Dataset.from_tensor_slices((steps, rows)).map(draw_batch).unbatch()
    data = data.map(load, num_parallel_calls=AUTOTUNE, deterministic=True)
    data = data.batch(len(range(batch)[share]) // parts, drop_remainder=True)
    return data.map(lambda images, indices: (images, tf.gather(targets, indices))).prefetch(4)


def eval_dataset(
    paths: Sequence[str],
    *,
    size: ImageSize,
    pre_crop: ImageSize | None = None,
    batch_size: int = 64,
    boxes: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Return images in order, without augmentation.

    Args:
        paths: Paths of the image files.
        size: Size of the network input in pixels: the side of a square, or (height, width).
        pre_crop: Size that images are resized to before the center is cropped. Defaults to None,
            no crop.
        batch_size: Number of images per batch; the last one may be smaller. Defaults to 64.
        boxes: (n, 4), crops x, y, width, height in pixels, applied before all else. Defaults to
            None, whole images.

    Returns:
        Dataset of images uint8 (b, H, W, 3), RGB.

    Raises:
        UserError: A ``pre_crop`` smaller than ``size``, or an empty box.
    """
    check_pre_crop(pre_crop, size)
    height, width = sides_of(size)
    loaded = sides_of(size if pre_crop is None else pre_crop)
    top, left = (loaded[0] - height) // 2, (loaded[1] - width) // 2
    read = _file_reader(paths, loaded, boxes)
    return (
        tf.data.Dataset.range(len(paths))
        .map(
            lambda row: read(row)[top : top + height, left : left + width],
            num_parallel_calls=AUTOTUNE,
            deterministic=True,
        )
        .batch(batch_size)
        .prefetch(2)
    )


def eval_pictures(
    pictures: Sequence[bytes | np.ndarray],
    *,
    size: ImageSize,
    pre_crop: ImageSize | None = None,
    pool: Executor,
) -> np.ndarray:
    """Prepare images in memory as :func:`eval_dataset` prepares files.

    The bytes of a file give the same pixels as the file. An array is resized by the same rule; a
    JPEG decoder may have shrunk the file's pixels by a rule of its own.

    Args:
        pictures: Bytes of image files, or uint8 (H, W, 3) RGB of any sizes.
        size: See :func:`eval_dataset`.
        pre_crop: See :func:`eval_dataset`. Defaults to None, no crop.
        pool: Runs the decoding, which releases the interpreter's lock.

    Returns:
        uint8, (n, H, W, 3), RGB.

    Raises:
        UserError: Bytes that cannot be decoded, named by their place from 0, or a ``pre_crop``
            smaller than ``size``.
    """
    check_pre_crop(pre_crop, size)
    height, width = sides_of(size)
    loaded = sides_of(size if pre_crop is None else pre_crop)
    top, left = (loaded[0] - height) // 2, (loaded[1] - width) // 2
    decoded, resized = _decoder(loaded), _resizer(loaded)

    def prepare(place: int) -> np.ndarray:
        picture = pictures[place]
        try:
            whole = (decoded if isinstance(picture, bytes) else resized)(tf.constant(picture))
        except tf.errors.OpError as error:
            raise UserError(f"image {place}: {UNDECODABLE}") from error
        prepared: np.ndarray = whole.numpy()[top : top + height, left : left + width]
        return prepared

    return np.stack(list(pool.map(prepare, range(len(pictures)))))


@functools.lru_cache(maxsize=8)
def _decoder(sides: Sides) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a graph from the bytes of an image file to an image, uint8 (*sides, 3)."""
    signature = [tf.TensorSpec((), tf.string)]
    return tf.function(lambda contents: decode_resized(contents, sides), signature, autograph=False)


@functools.lru_cache(maxsize=8)
def _resizer(sides: Sides) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a graph from an image, uint8 (H, W, 3), to an image uint8 (*sides, 3)."""
    signature = [tf.TensorSpec((None, None, 3), tf.uint8)]
    return tf.function(lambda image: resize(image, *sides), signature, autograph=False)


@contextlib.contextmanager
def naming_unreadable_images(paths: Sequence[str]) -> Iterator[None]:
    """Turn a TensorFlow error about an image into one line that names the file.

    Args:
        paths: The files that the block may read. If the block fails, all are tried in order.

    Yields:
        Nothing.

    Raises:
        UserError: An image is missing or cannot be decoded.
    """
    try:
        yield
    except tf.errors.OpError as error:
        message = _first_unreadable(paths)
        if message is None:
            raise
        raise UserError(message) from error


def _first_unreadable(paths: Sequence[str]) -> str | None:
    """Return an error about the first file that is not a readable image; None if all are."""
    read, readable = _file_reader(paths, (8, 8), None), 0
    rows = tf.data.Dataset.range(len(paths))
    try:
        for _ in rows.map(read, num_parallel_calls=AUTOTUNE, deterministic=True):
            readable += 1
    except tf.errors.NotFoundError:
        return f"{paths[readable]}: no such file; restore it or take it off the list"
    except tf.errors.OpError:
        return f"{paths[readable]}: {UNDECODABLE}"
    return None


def _file_reader(
    paths: Sequence[str], sides: Sides, boxes: np.ndarray | None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function, for a graph, from a row to its image, uint8 (*sides, 3)."""
    names = tf.constant(list(paths), tf.string)
    if boxes is None:
        return lambda row: read_resized(tf.gather(names, row), sides)
    for row in np.flatnonzero(~(boxes[:, 2:] > 0).all(axis=1))[:1]:
        raise UserError(f"{paths[row]}: its crop box {boxes[row].tolist()} is empty")
    with tf.device("CPU"):
        boxes = tf.constant(boxes, tf.float32)
    return lambda row: read_resized(tf.gather(names, row), sides, boxes[row])


def _image_source(
    paths: Sequence[str],
    sides: Sides,
    boxes: np.ndarray | None,
    draws: int,
    cache_gb: float,
    progress: bool,
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return what :func:`_file_reader` does; it reads from memory if that is worthwhile."""
    read, shape = _file_reader(paths, sides, boxes), (len(paths), *sides, 3)
    gigabytes = cache_bytes(len(paths), sides) / 1e9
    if not cached_bytes(len(paths), sides, draws, cache_gb):
        if is_worthwhile(len(paths), draws) and progress and cache_gb:
            tqdm.write(
                f"decoding from disk in every step: all {len(paths):,} training images take "
                f"{gigabytes:.1f} GB in memory; --cache-images-gb {math.ceil(gigabytes * 10) / 10} "
                "keeps them"
            )
        return read
    # Aligned as TensorFlow wants it, the memory is shared with it rather than copied.
    memory = np.empty(np.prod(shape) + 64, np.uint8)
    start = -memory.ctypes.data % 64
    images = memory[start : start + np.prod(shape)].reshape(shape)
    title = f"decoding into memory ({gigabytes:.1f} GB)"
    with (
        naming_unreadable_images(paths),
        progress_bar(title, len(paths), show=progress) as advance,
    ):
        rows = tf.data.Dataset.range(len(paths))
        done = 0
        for batch in rows.map(read, num_parallel_calls=AUTOTUNE, deterministic=True).batch(64):
            images[done : done + len(batch)] = batch
            done += len(batch)
            advance(len(batch))
    decoded = tf.experimental.dlpack.from_dlpack(images.__dlpack__())
    return lambda row: tf.gather(decoded, row)

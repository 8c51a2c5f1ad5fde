"""Images from disk to batches with tf.data: decode, resize, cut a view, batch, prefetch."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from retrieval.errors import UserError
from retrieval.input_pipeline.augmentation import COLOR_STREAM, cut_view, draw, draw_views, jitter
from retrieval.input_pipeline.decoding import read_square
from retrieval.validation import Augmentation, check_choice, choices_of

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
    progress: bool = False,
) -> tf.data.Dataset:
    """Return the training batches of consecutive steps; a resumed run sees the same pixels.

    Args:
        paths: Image files, n of them.
        labels: (n,) integers, one per path.
        rows: (steps, B) row numbers: the batch of each step.
        size: Side of the square network input, pixels.
        pre_crop: Side each image is resized to before the input is cut out at random. Default:
            ``size`` (no cut), or half as much again for random resized crops.
        flip: Mirror at random; not for data where left and right matter, such as letters.
        augment: ``none``, ``crop`` (random resized crop), ``color`` or ``strong`` (both).
        seed: Seeds views and colors.
        first_step: The step ``rows[0]`` belongs to.
        cache_gb: Memory for decoded images. If they fit, and are drawn twice or more on average,
            all are decoded once, before the first step. The pixels are the same either way.
        boxes: (n, 4) crops x, y, width, height in pixels, applied before all else.
        progress: Show a bar while the cache is filled; say so where it is too small.

    Returns:
        Pairs of images uint8 (B, size, size, 3), RGB, and labels (B,).

    Raises:
        UserError: Unknown ``augment``, a ``pre_crop`` below ``size``, an empty box or, while the
            cache is filled, an unreadable image.
    """
    check_choice("augment", augment, choices_of(Augmentation))
    resized, colored = augment in ("crop", "strong"), augment in ("color", "strong")
    side = _loaded_side(size, pre_crop or (size * 3 // 2 if resized else size))
    read = _image_source(paths, side, boxes, rows.size, cache_gb, progress)
    steps, batch = np.arange(first_step, first_step + len(rows)), rows.shape[1]
    plain = side == size and not (flip or resized)
    with tf.device("CPU"):  # where tf.data runs, also on a machine with a GPU
        targets = tf.constant(labels)

    def plan(step: tf.Tensor, drawn: tf.Tensor) -> tuple[tf.Tensor, ...]:
        views = draw_views(seed, step, batch, loaded=side, size=size, flip=flip, resized=resized)
        return _plan(seed, step, drawn, views, colored=colored)

    def show(shown: tf.Tensor, *colors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        row, image = shown[0], read(shown[0])
        if not plain:
            image = cut_view(image, shown[1:], size, resized=resized)
        return jitter(image, *colors) if colored else image, row

    data = tf.data.Dataset.from_tensor_slices((steps, rows)).map(plan).unbatch()
    data = data.map(show, num_parallel_calls=AUTOTUNE, deterministic=True)
    data = data.batch(batch, drop_remainder=True)
    return data.map(lambda images, drawn: (images, tf.gather(targets, drawn))).prefetch(4)


def _plan(
    seed: int, step: tf.Tensor, drawn: tf.Tensor, views: tf.Tensor, *, colored: bool
) -> tuple[tf.Tensor, ...]:
    """Return what each image of a step's batch is shown by: row and view, and its colors.

    Taking a batch apart costs time per image and per tensor: one tensor, unless colors change.
    """
    shown = tf.concat([tf.cast(drawn, tf.int32)[:, None], views], axis=1)
    if not colored:
        return (shown,)
    return shown, draw(seed, COLOR_STREAM, step, (drawn.shape[0], 3))


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
        pre_crop: Side each image is resized to before its center is cut out; None: no cut.
        batch_size: Images per batch; the last one may be smaller.
        boxes: (n, 4) crops x, y, width, height in pixels, applied before all else.

    Returns:
        Batches of images uint8 (b, size, size, 3), RGB.

    Raises:
        UserError: A ``pre_crop`` below ``size``, or an empty box.
    """
    side = _loaded_side(size, pre_crop or size)
    edge = (side - size) // 2
    read = _file_reader(paths, side, boxes)
    return (
        tf.data.Dataset.range(len(paths))
        .map(
            lambda row: read(row)[edge : edge + size, edge : edge + size],
            num_parallel_calls=AUTOTUNE,
            deterministic=True,
        )
        .batch(batch_size)
        .prefetch(2)
    )


@contextlib.contextmanager
def naming_unreadable_images(paths: Sequence[str]) -> Iterator[None]:
    """Turn TensorFlow's error about an image into one line that names the file.

    Args:
        paths: The files the block may read; all are tried, in order, when something fails.

    Yields:
        Nothing.

    Raises:
        UserError: An image is missing or cannot be decoded.
    """
    try:
        yield
    except tf.errors.OpError as error:
        bad = _first_unreadable(paths)
        if bad is None:
            raise
        raise UserError(bad) from error


def _first_unreadable(paths: Sequence[str]) -> str | None:
    read, good = _file_reader(paths, 8, None), 0
    rows = tf.data.Dataset.range(len(paths))
    try:
        for _ in rows.map(read, num_parallel_calls=AUTOTUNE, deterministic=True):
            good += 1
    except tf.errors.NotFoundError:
        return f"{paths[good]}: no such file; restore it or take it off the list"
    except tf.errors.OpError:
        return (
            f"{paths[good]}: cannot be decoded (truncated, or no JPEG, PNG, WebP, GIF or BMP "
            "image); replace or remove it"
        )
    return None


def _loaded_side(size: int, pre_crop: int) -> int:
    if pre_crop < size:
        raise UserError(
            f"pre_crop = {pre_crop} is smaller than the image size: give {size} or more"
        )
    return pre_crop


def _file_reader(
    paths: Sequence[str], side: int, boxes: np.ndarray | None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a graph function: row number -> uint8 (side, side, 3), read from its file."""
    names = tf.constant(list(paths), tf.string)
    if boxes is None:
        return lambda row: read_square(tf.gather(names, row), side)
    for row in np.flatnonzero(~(boxes[:, 2:] > 0).all(axis=1))[:1]:
        raise UserError(f"{paths[row]}: its crop box {boxes[row].tolist()} is empty")
    with tf.device("CPU"):
        boxes = tf.constant(boxes, tf.float32)
    return lambda row: read_square(tf.gather(names, row), side, boxes[row])


def _image_source(
    paths: Sequence[str],
    side: int,
    boxes: np.ndarray | None,
    draws: int,
    cache_gb: float,
    progress: bool,
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return what :func:`_file_reader` does, from memory where that fits and pays."""
    read, shape = _file_reader(paths, side, boxes), (len(paths), side, side, 3)
    gigabytes, pays = np.prod(shape) / 1e9, draws >= 2 * len(paths)
    if not pays or gigabytes > cache_gb:
        if pays and progress and cache_gb:
            tqdm.write(f"decoding from disk in every step: {gigabytes:.1f} GB exceed the cache")
        return read
    # Aligned as TensorFlow wants it, the memory is shared with it rather than copied.
    memory = np.empty(np.prod(shape) + 64, np.uint8)
    start = -memory.ctypes.data % 64
    images = memory[start : start + np.prod(shape)].reshape(shape)
    title = f"decoding into memory ({gigabytes:.1f} GB)"
    with (
        naming_unreadable_images(paths),
        tqdm(total=len(paths), desc=title, unit="img", disable=not progress, leave=False) as bar,
    ):
        rows = tf.data.Dataset.range(len(paths))
        done = 0  # A bar that is not shown does not count.
        for batch in rows.map(read, num_parallel_calls=AUTOTUNE, deterministic=True).batch(64):
            images[done : done + len(batch)] = batch
            done += len(batch)
            bar.update(len(batch))
    decoded = tf.experimental.dlpack.from_dlpack(images.__dlpack__())
    return lambda row: tf.gather(decoded, row)

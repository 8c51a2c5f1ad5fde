"""A run's network as one graph that needs none of this package: from pixels to a unit vector.

The graph resizes, crops and cuts the test-time views as the run does, runs the network, averages
the views and scales the result to unit length. It is built from TensorFlow operations, in three
stages, so that a format can store one of them differently: only the network is ever quantized.

The run rounds resized images to whole gray levels, so that the last bit of a sum can decide between
two levels. The graph therefore repeats the additions and multiplications of TensorFlow's resizing
kernels one by one and in their order: any other order (a matrix product, another library's resize)
moves single pixels by one level, and embeddings by about 1e-4.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

from retrieval.errors import UserError
from retrieval.input_pipeline.decoding import decode_resized, resize
from retrieval.input_pipeline.test_time import parse_views, view_corners, view_names, view_size
from retrieval.settings.resolve import input_size
from retrieval.settings.schema import TrainSettings
from retrieval.validation import Sides, sides_of

LEAST_NORM = 1e-12  # a shorter vector is not scaled to unit length
CHANNELS = 3
IMAGES, ENCODED, EMBEDDING = "images", "encoded", "embedding"  # names of inputs and of the output


@dataclass(frozen=True, kw_only=True)
class Portable:
    """The stages from images to embeddings, as functions for a graph.

    Attributes:
        network: Images (B, H, W, 3) in 0..255 to embeddings (B, D).
        size: Height and width of the network's input in pixels.
        loaded: Height and width that images are resized to before they are cropped.
        views: Names of the test-time views, see
            :func:`retrieval.input_pipeline.test_time.parse_views`; none for a center crop.
        mean: How views are averaged, ``normalized`` or ``plain``.
        normalize: Whether the embedding is scaled to unit length.
    """

    network: keras.Model
    size: Sides
    loaded: Sides
    views: tuple[str, ...]
    mean: str
    normalize: bool

    @property
    def width(self) -> int:
        """Dimension D of the embeddings."""
        return int(self.network.output_shape[-1])

    @property
    def n_views(self) -> int:
        """Number V of views that are averaged."""
        return len(view_names(self.views))

    def resize(self, images: tf.Tensor) -> tf.Tensor:
        """Resize images as the run does, with operations that every format knows.

        Args:
            images: uint8, (n, H, W, 3), RGB, of any size.

        Returns:
            float32, (n, L, M, 3), whole numbers in 0..255, of the size ``loaded``.
        """
        pixels = tf.cast(images, tf.float32)
        shape = tf.shape(images)
        height, width = self.loaded
        skips = tf.reduce_any(shape[1:3] >= (2 * height, 2 * width))
        resized = tf.cond(
            skips,
            lambda: resize_area(pixels, self.loaded),
            lambda: resize_bilinear(pixels, self.loaded),
        )
        levels = tf.floor(resized + 0.5)  # what a cast to uint8 does to numbers from 0 to 255
        return tf.ensure_shape(levels, (None, height, width, CHANNELS))

    def resize_by_kernels(self, images: tf.Tensor) -> tf.Tensor:
        """Resize images as :meth:`resize` does, with TensorFlow's own and faster kernels."""
        resized = tf.map_fn(
            lambda image: resize(image, *self.loaded),
            images,
            fn_output_signature=tf.TensorSpec((*self.loaded, CHANNELS), tf.uint8),
        )
        return tf.cast(resized, tf.float32)

    def decode(self, encoded: tf.Tensor) -> tf.Tensor:
        """Decode and resize files as the run does, EXIF orientation included.

        Args:
            encoded: string, (n,): bytes of JPEG, PNG, WebP, GIF or BMP files.

        Returns:
            float32, (n, L, M, 3), as of :meth:`resize`.
        """
        resized = tf.map_fn(
            lambda contents: decode_resized(contents, self.loaded),
            encoded,
            fn_output_signature=tf.TensorSpec((*self.loaded, CHANNELS), tf.uint8),
        )
        return tf.cast(resized, tf.float32)

    def cut(self, images: tf.Tensor) -> tf.Tensor:
        """Cut the views: (n, L, M, 3) to (V n, H, W, 3), all images of the first view first."""
        height, width = self.size
        corners = view_corners(self.views, self.size, self.loaded)
        crops = [images[:, y : y + height, x : x + width] for y, x in corners]
        if "flip" in self.views:
            crops += [tf.reverse(crop, (2,)) for crop in crops]
        return crops[0] if len(crops) == 1 else tf.concat(crops, axis=0)

    def run(self, images: tf.Tensor) -> tf.Tensor:
        """Embed views: float32, (V n, H, W, 3) to (V n, D)."""
        return tf.cast(self.network(images, training=False), tf.float32)

    def combine(self, vectors: tf.Tensor) -> tf.Tensor:
        """Average the views of each image, (V n, D) to (n, D), and scale it to unit length."""
        if self.views:
            vectors = tf.reshape(vectors, (self.n_views, -1, self.width))
            vectors = tf.reduce_mean(vectors, axis=0)
            if self.mean == "normalized":
                vectors = unit_length(vectors)
        return unit_length(vectors) if self.normalize else vectors

    def embed_resized(self, images: tf.Tensor) -> tf.Tensor:
        """Embed images that have the size ``loaded``: (n, L, M, 3), float32, to (n, D)."""
        return self.combine(self.run(self.cut(images)))


def portable(network: keras.Model, settings: TrainSettings, *, normalize: bool = True) -> Portable:
    """Describe the graph of a run's network.

    Args:
        network: See :func:`retrieval.embedding.embed.network_of_views`.
        settings: The run's resolved settings.
        normalize: Whether the embedding is scaled to unit length. Defaults to True.

    Raises:
        UserError: The image size leaves no room for the views.
    """
    views, trained = parse_views(settings.test_time), input_size(settings)
    size = sides_of(view_size(views, trained, settings.pre_crop))
    loaded = sides_of(settings.pre_crop or trained)
    view_corners(views, size, loaded)  # raises if there is no room
    if network.input_shape[1:] != (*size, CHANNELS):
        raise UserError(
            f"the network takes images of {network.input_shape[1:]}, its settings say {size}: "
            "train the run again with --overwrite"
        )
    return Portable(
        network=network,
        size=size,
        loaded=loaded,
        views=views,
        mean=settings.test_time_mean,
        normalize=normalize,
    )


def unit_length(vectors: tf.Tensor) -> tf.Tensor:
    """Scale vectors (n, D) to unit length; a zero vector stays zero."""
    norms = tf.sqrt(tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True))
    return vectors / tf.maximum(norms, LEAST_NORM)


def resize_bilinear(images: tf.Tensor, size: Sides) -> tf.Tensor:
    """Resize by bilinear interpolation between pixel centers.

    Args:
        images: float32, (n, H, W, 3).
        size: Height and width of the result in pixels.

    Returns:
        float32, (n, *size, 3): bit by bit what ``tf.raw_ops.ResizeBilinear`` computes with
        ``half_pixel_centers``.
    """
    rows, columns = (_neighbors(tf.shape(images)[axis], size[axis - 1]) for axis in (1, 2))
    share = tf.reshape(columns.share, (1, 1, -1, 1))

    def across(images: tf.Tensor) -> tf.Tensor:
        left = tf.gather(images, columns.before, axis=2)
        return left + (tf.gather(images, columns.after, axis=2) - left) * share

    top = across(tf.gather(images, rows.before, axis=1))
    bottom = across(tf.gather(images, rows.after, axis=1))
    return top + (bottom - top) * tf.reshape(rows.share, (1, -1, 1, 1))


@dataclass(frozen=True)
class _Neighbors:
    """Which two pixels of an axis each new one lies between, and how near to the second."""

    before: tf.Tensor
    after: tf.Tensor
    share: tf.Tensor


def _neighbors(side: tf.Tensor, new: int) -> _Neighbors:
    scale = _pixels_per(side, new)
    at = (tf.range(new, dtype=tf.float32) + 0.5) * scale - 0.5
    before, last = tf.floor(at), tf.cast(side - 1, tf.float32)
    return _Neighbors(
        tf.cast(tf.maximum(before, 0.0), tf.int32),
        tf.cast(tf.minimum(tf.math.ceil(at), last), tf.int32),
        at - before,
    )


def _pixels_per(side: tf.Tensor, new: int) -> tf.Tensor:
    """Return the number of old pixels per new one, float32, rounded once.

    Optimizers of graphs replace a division by a constant with a product with its inverse, which in
    float32 is off in the last bit; in float64, what is off is lost when the result is rounded.
    """
    return tf.cast(tf.cast(side, tf.float64) / tf.constant(new, tf.float64), tf.float32)


def resize_area(images: tf.Tensor, size: Sides) -> tf.Tensor:
    """Resize by averaging the pixels that each new one covers, also in part.

    Args:
        images: float32, (n, H, W, 3).
        size: Height and width of the result in pixels.

    Returns:
        float32, (n, *size, 3): bit by bit what ``tf.raw_ops.ResizeArea`` computes.
    """
    rows, x_scale = _sum_covered(images, size[1], axis=2)
    sums, y_scale = _sum_covered(rows, size[0], axis=1)
    return sums * (1.0 / (y_scale * x_scale))


def _sum_covered(images: tf.Tensor, new: int, axis: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Sum the pixels of an axis that each new one covers, one after the other as the kernel does.

    Returns:
        The sums, and the number of old pixels per new one.
    """
    side = tf.shape(images)[axis]
    scale = _pixels_per(side, new)
    start = tf.range(new, dtype=tf.float32) * scale
    stop = (tf.range(new, dtype=tf.float32) + 1.0) * scale
    first, end = tf.floor(start), tf.math.ceil(stop)
    most = tf.cast(tf.reduce_max(end - first), tf.int32)
    along = [new if each == axis else 1 for each in range(4)]

    def add(number: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixel = first + tf.cast(number, tf.float32)
        inside = tf.where(pixel + 1.0 > stop, stop - pixel, 1.0)
        part = tf.where(pixel + 1.0 > stop, scale, pixel + 1.0 - start)
        covered = tf.where(pixel < start, part, inside)
        covered = tf.where(pixel < end, covered, 0.0)
        at = tf.cast(tf.minimum(pixel, tf.cast(side - 1, tf.float32)), tf.int32)
        return number + 1, sums + tf.gather(images, at, axis=axis) * tf.reshape(covered, along)

    nothing = tf.zeros_like(tf.gather(images, tf.zeros((new,), tf.int32), axis=axis))
    _, sums = tf.while_loop(
        lambda number, _: number < most,
        add,
        (tf.constant(0), nothing),
        shape_invariants=(tf.TensorShape(()), nothing.shape),
    )
    return sums, scale


Stage = Callable[[tf.Tensor], tf.Tensor]


def graph_of(stage: Stage, name: str, shape: tuple[int | None, ...], dtype: tf.DType) -> Stage:
    """Return a function of one tensor, traced for any number of images.

    Args:
        stage: What it computes.
        name: Name of its input.
        shape: Shape of its input.
        dtype: Type of its input.
    """
    return tf.function(
        stage,
        input_signature=[tf.TensorSpec(shape, dtype, name=name)],
        autograph=False,
    )

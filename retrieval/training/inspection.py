"""Look into a trained network: heat maps of why two images match, and embeddings of new images.

A heat map distributes the cosine similarity of two images over the positions of the last feature
map. With global average pooling and a linear head, an embedding is the mean over P positions of
v_p = W f_p + b, so the similarity is a double sum over positions, in which the contribution of
position p is <v_p, e'> / (P |e| |e'|). These contributions add up to the similarity exactly
(Stylianou, Souvenir and Pless 2019, "Visualizing Deep Similarity Networks", equation 3). For any
other network the contributions are activation times gradient at the last feature map (Selvaraju et
al. 2017, Grad-CAM, without averaging the gradients), an approximation that is labeled as such.

The last tokens of a vision transformer are such a feature map if they are pooled. If its class
token stands for the image, they have no part in it: the contributions are then activation times
gradient of the normalized tokens that the attention of the last block reads. (Not of the tokens
themselves: they are normalized before they are read, so that their gradient is orthogonal to them.)
"""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from retrieval.embedding.embed import embed_files
from retrieval.errors import UserError
from retrieval.input_pipeline.pipeline import eval_dataset, naming_unreadable_images
from retrieval.models.depth import last_block
from retrieval.runs.run import Run
from retrieval.settings.resolve import input_size
from retrieval.settings.schema import TrainSettings
from retrieval.training.embedder import load_whole_network

# How contributions are computed: as they add up, or by the gradient at the last feature map or at
# the tokens that the last attention of a transformer reads.
Method = Literal["exact", "map gradient", "token gradient"]
# Layers that pass on a class token: of presets, and of dinov2_small.
CLASS_TOKENS = ("class_features", "class_token")


@dataclass(frozen=True)
class Match:
    """The similarity of two images, distributed over the positions of each.

    Attributes:
        similarity: Cosine similarity of the two embeddings.
        first: float32, (h, w), contribution of each position of the first image.
        second: float32, (h, w), contribution of each position of the second image.
        method: How the contributions were computed.
    """

    similarity: float
    first: np.ndarray
    second: np.ndarray
    method: Method

    @property
    def exact(self) -> bool:
        """Whether the contributions of an image add up to the similarity exactly."""
        return self.method == "exact"


@dataclass(frozen=True)
class LastBlock:
    """The last block of a transformer whose class token stands for an image.

    Attributes:
        norms: Its layer normalizations: tokens (B, k + h w, F) to tokens. The first that is called
            is that before the attention.
        grid: Numbers of rows h and columns w of patches.
        lock: Held while its tokens are recorded.
    """

    norms: tuple[keras.layers.Layer, ...]
    grid: tuple[int, int]
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def recorded(self, tape: tf.GradientTape) -> Iterator[list[tf.Tensor]]:
        """Record the tokens that the block's attention reads, for the tape to differentiate by.

        Args:
            tape: The tape, which is recording.

        Yields:
            A list that the tokens of the first call in this thread are put into.
        """
        found: list[tf.Tensor] = []
        thread, originals = threading.get_ident(), [norm.call for norm in self.norms]

        def recording(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **options: Any) -> Any:
                tokens = original(*args, **options)
                if found or threading.get_ident() != thread:
                    return tokens
                found.append(tf.identity(tokens))
                tape.watch(found[0])
                return found[0]

            return call

        with self.lock:
            # Keras has no hooks, and the blocks of most families are not in the graph of layers.
            for norm, original in zip(self.norms, originals, strict=True):
                norm.call = recording(original)
            try:
                yield found
            finally:
                for norm, original in zip(self.norms, originals, strict=True):
                    norm.call = original


@dataclass(frozen=True)
class Inspector:
    """A run's network, split at its last feature map.

    Attributes:
        settings: The run's settings.
        network: The whole network: images (B, H, W, 3) in 0..255 to embeddings (B, D).
        features: Its first part: images (B, H, W, 3) in 0..255 to feature maps (B, h, w, C).
        tail: The rest: feature maps to embeddings (B, D).
        linear: Kernel (C, D) and bias (D,) if the tail is global average pooling and a linear
            layer; None otherwise.
        block: The last block of a transformer whose class token stands for the image; ``features``
            is then the whole backbone. Defaults to None: any other network.
    """

    settings: TrainSettings
    network: keras.Model
    features: keras.Model
    tail: keras.Model
    linear: tuple[np.ndarray, np.ndarray] | None
    block: LastBlock | None = None

    def load(self, paths: Sequence[str | Path], boxes: np.ndarray | None = None) -> np.ndarray:
        """Read images as the network sees them; of several test-time views, the center.

        Args:
            paths: Paths of the image files.
            boxes: (n, 4), crops x, y, width, height in pixels, if the run has them; see
                :func:`retrieval.datasets.catalog.crop_boxes`. Defaults to None, whole images.

        Returns:
            float32, (n, H, W, 3), 0..255.

        Raises:
            UserError: An image cannot be read.
        """
        names = [str(path) for path in paths]
        batches = eval_dataset(
            names,
            size=input_size(self.settings),
            pre_crop=self.settings.pre_crop,
            batch_size=len(names),
            boxes=boxes,
        )
        with naming_unreadable_images(names):
            return np.concatenate([np.asarray(batch, np.float32) for batch in batches])

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Embed loaded images, (n, H, W, 3) in 0..255; returns float32, (n, D)."""
        maps = self.features(images, training=False)
        return np.asarray(self.tail(maps, training=False), np.float32)

    def embed_files(
        self, paths: Sequence[str | Path], boxes: np.ndarray | None = None
    ) -> np.ndarray:
        """Embed image files as the run's own items were, with its test-time views.

        Args:
            paths: Paths of the image files.
            boxes: Crops, as for :meth:`load`. Defaults to None, whole images.

        Returns:
            float32, (n, D).
        """
        names = [str(path) for path in paths]
        return embed_files(self.network, names, boxes, self.settings, progress=False)

    def match(self, images: np.ndarray) -> Match:
        """Distribute the similarity of two loaded images, (2, H, W, 3), over their positions."""
        if self.block is not None:
            return self._token_match(self.block, images)
        maps = self.features(images, training=False)
        if self.linear is not None:
            first, second = decompose(np.asarray(maps[0]), np.asarray(maps[1]), *self.linear)
            return Match(float(first.sum()), first, second, "exact")
        return self._gradient_match(maps)

    def _gradient_match(self, maps: tf.Tensor) -> Match:
        with tf.GradientTape() as tape:
            tape.watch(maps)
            similarity = _cosine(self.tail(maps, training=False))
        parts = np.asarray(tf.reduce_sum(maps * tape.gradient(similarity, maps), axis=-1))
        return Match(float(similarity), parts[0], parts[1], "map gradient")

    def _token_match(self, block: LastBlock, images: np.ndarray) -> Match:
        with tf.GradientTape() as tape:
            with block.recorded(tape) as found:
                embeddings = self.network(images, training=False)
            similarity = _cosine(embeddings)
        tokens = found[0]
        parts = tf.reduce_sum(tokens * tape.gradient(similarity, tokens), axis=-1)
        rows, columns = block.grid
        maps = np.asarray(parts, np.float32)[:, -rows * columns :].reshape(-1, rows, columns)
        return Match(float(similarity), maps[0], maps[1], "token gradient")


def _cosine(embeddings: tf.Tensor) -> tf.Tensor:
    """Return the cosine similarity of two embeddings, (2, D): scalar."""
    unit = tf.math.l2_normalize(tf.cast(embeddings, tf.float32), axis=-1)
    return tf.reduce_sum(unit[0] * unit[1])


def decompose(
    first: np.ndarray, second: np.ndarray, kernel: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distribute a similarity over the positions of two feature maps, exactly.

    The network must pool the feature maps by their average and embed them by a linear layer.

    Args:
        first: float, (h, w, C), feature map of one image.
        second: float, (h', w', C), feature map of the other image.
        kernel: float, (C, D), kernel of the linear layer.
        bias: float, (D,), bias of the linear layer.

    Returns:
        Contributions (h, w) and (h', w'), float32; each adds up to the cosine similarity.
    """
    local = [features.astype(np.float64) @ kernel + bias for features in (first, second)]
    means = [v.mean((0, 1)) for v in local]
    norm = max(float(np.linalg.norm(means[0]) * np.linalg.norm(means[1])), 1e-12)
    parts = [
        v @ other / (norm * v.shape[0] * v.shape[1])
        for v, other in zip(local, reversed(means), strict=True)
    ]
    return parts[0].astype(np.float32), parts[1].astype(np.float32)


def open_inspector(run: Run) -> Inspector:
    """Build a run's network, load its checkpoint and split it at the last feature map.

    Args:
        run: A run with ``checkpoints/``, or an untrained one.

    Returns:
        The inspector, whose :meth:`Inspector.embed_files` gives the embeddings that the run stores.

    Raises:
        UserError: The run has imported embeddings, no checkpoint, or a network without a feature
            map.
    """
    settings = run.network_settings()
    network, _ = load_whole_network(run.path, settings)
    backbone, head = network.get_layer("backbone"), network.get_layer("head")
    if block := _last_block(backbone):
        return Inspector(settings, network, backbone, head, None, block)
    maps = _feature_map(run, backbone)
    features = keras.Model(backbone.input, maps)
    tail = keras.Model(maps, head(backbone.output), name="tail")
    inspector = Inspector(settings, network, features, tail, None)
    return dataclasses.replace(inspector, linear=_linear_part(inspector, backbone, head))


def _last_block(backbone: keras.Model) -> LastBlock | None:
    """Return the last block of a transformer whose class token stands for an image; else None."""
    layer = last_block(backbone)
    if layer is None or not any(each.name in CLASS_TOKENS for each in backbone.layers):
        return None
    inside = layer._flatten_layers(include_self=False)
    norms = tuple(each for each in inside if isinstance(each, keras.layers.LayerNormalization))
    patches = next(
        each
        for each in backbone._flatten_layers(include_self=False)  # see models.freezing
        if isinstance(each, keras.layers.Conv2D)
    )
    height, width = backbone.input_shape[1:3]
    grid = (height // patches.kernel_size[0], width // patches.kernel_size[1])
    return LastBlock(norms, grid)


def _feature_map(run: Run, backbone: keras.Model) -> keras.KerasTensor:
    for layer in reversed(backbone.layers):
        if len(getattr(layer.output, "shape", ())) == 4:
            return layer.output
    raise UserError(f"{run.path}: backbone {backbone.name!r} has no feature map to look into")


def _linear_part(
    inspector: Inspector, backbone: keras.Model, head: keras.Model
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return kernel and bias if the tail is global average pooling and a linear layer."""
    dense = [layer for layer in head.layers if isinstance(layer, keras.layers.Dense)]
    if not dense:  # an untrained network embeds by the features themselves
        width = int(backbone.output_shape[-1])
        kernel, bias = np.eye(width, dtype=np.float32), np.zeros(width, np.float32)
    elif len(dense) == 1 and dense[0].use_bias:
        kernel, bias = (np.asarray(w) for w in dense[0].get_weights())
    else:
        return None
    # Whatever the layers are called, the tail is of this kind if it gives the same directions.
    shape = (2, *inspector.features.input_shape[1:])
    probe = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    maps = np.asarray(inspector.features(probe, training=False))
    if maps.shape[-1] != len(kernel):
        return None
    expected, found = maps.mean((1, 2)) @ kernel + bias, inspector.embed(probe)
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    found = found / np.linalg.norm(found, axis=1, keepdims=True)
    return (kernel, bias) if np.allclose(expected, found, atol=1e-4) else None

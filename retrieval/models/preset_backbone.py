"""The network of a keras-hub preset: images to pooled features, at any size it allows.

Images in 0..255 are standardized as the preset's own image converter does it. Of a transformer, the
tokens of the patches become a feature map again, so that every pooling of a feature map works, and
so do heat maps; its class token, or the head it was trained with, are poolings of their own.

Importing this file needs keras-hub (the extra ``vit``).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np

from retrieval.errors import UserError
from retrieval.models.dinov2_backbone import copy_of
from retrieval.models.pooling import pool
from retrieval.models.presets import Preset
from retrieval.models.weights import load_weights
from retrieval.validation import ImageSize, sides_of

# How learned positions are interpolated: as timm's `resample_abs_pos_embed` does.
POSITIONS = {"interpolation": "bicubic", "antialias": True}


@keras.saving.register_keras_serializable("retrieval")
class PatchMap(keras.layers.Layer):
    """Arrange the tokens of patches (B, n, F) as a feature map (B, h, w, F).

    Args:
        height: Number of patches h from top to bottom.
        width: Number of patches w from left to right.
        skipped: Number of tokens before them, which are left out.
        **options: Options of Keras' ``Layer``.
    """

    def __init__(self, height: int, width: int, skipped: int = 0, **options: object) -> None:
        super().__init__(**options)
        self.height, self.width, self.skipped = height, width, skipped

    def call(self, tokens: keras.KerasTensor) -> keras.KerasTensor:
        """Arrange (B, skipped + h w, F) as (B, h, w, F)."""
        patches = tokens[:, self.skipped :]
        return keras.ops.reshape(patches, (-1, self.height, self.width, tokens.shape[-1]))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Return (B, h, w, F)."""
        return (input_shape[0], self.height, self.width, input_shape[-1])

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        own = {"height": self.height, "width": self.width, "skipped": self.skipped}
        return super().get_config() | own


def build(preset: Preset, image_size: ImageSize, weights: str | None, pooling: str) -> keras.Model:
    """Build the network of a preset with its pooling.

    Args:
        preset: The preset.
        image_size: Size of the input in pixels. Learned positions are interpolated to it.
        weights: ``"imagenet"`` for the preset's own weights, None for random ones, or the path of
            a file of this network's (see :mod:`retrieval.models.weights`).
        pooling: One of the preset's ``poolings``.

    Returns:
        Model ``backbone``: images (B, H, W, 3), RGB in 0..255 -> features (B, F), float32.

    Raises:
        UserError: The architecture does not allow the size or the pooling, or the weights do not
            fit.
    """
    preset.check_size(image_size)
    preset.check_pooling(pooling)
    height, width = sides_of(image_size)
    images = keras.Input((height, width, 3), name="images")
    scale, offset = preset.standardization()
    x = keras.layers.Rescaling(scale, offset, name="preprocessing")(images)
    parts = _parts(preset, (height, width), weights)
    single = not isinstance(parts.encoder.input, dict)
    output = parts.encoder(x if single else dict.fromkeys(parts.encoder.input, x))
    features = _pooled(preset, parts, output, (height, width), pooling)
    network = keras.Model(images, features, name="backbone")
    if weights not in (None, "imagenet"):
        load_weights(network, Path(str(weights)))
    return network


class _Parts:
    """The layers of a preset's network: the encoder, and the head it was trained with, if any."""

    def __init__(self, encoder: keras.Model, head: Sequence[keras.layers.Layer] = ()) -> None:
        self.encoder, self.head = encoder, list(head)


def _parts(preset: Preset, sides: tuple[int, int], weights: str | None) -> _Parts:
    pretrained = weights == "imagenet"
    whole = _load(preset, sides) if pretrained else None
    network = getattr(whole, "vision_encoder", whole)
    if network is None:
        network = _from_config(preset.network, sides)
        _number_positions(network)
    elif preset.family.tokens and tuple(network.image_shape[:2]) != sides:
        network = _at_size(network, sides, preset)
    if isinstance(network, keras_hub.models.DINOV2Backbone):
        network = copy_of(network)  # which is saved as it was trained
    if isinstance(network.output, dict):  # of every stage
        network = keras.Model(network.input, list(network.output.values())[-1], name="stages")
    if not preset.family.head:
        return _Parts(network)
    if preset.projection is None:  # attention pooling over all tokens
        tokens = keras.Model(network.input, network.post_layer_norm.output, name="tokens")
        return _Parts(tokens, [network.head])
    before = getattr(whole, "vision_post_layer_norm", None)
    if whole is None and preset.family.name == "metaclip2":
        before = keras.layers.LayerNormalization(epsilon=1e-5, name="vision_post_layer_norm")
    projection = getattr(whole, "vision_projection", None) or keras.layers.Dense(
        preset.projection, use_bias=False, name="vision_projection"
    )
    return _Parts(network, [layer for layer in (before, projection) if layer is not None])


def _pooled(
    preset: Preset,
    parts: _Parts,
    output: keras.KerasTensor,
    sides: tuple[int, int],
    pooling: str,
) -> keras.KerasTensor:
    """Return features (B, F), float32, of what the encoder gives: tokens or a feature map."""
    in_32_bit = keras.layers.Activation("linear", dtype="float32", name="class_features")
    if pooling == "head" and preset.projection is None:  # attention over the patches
        feature_map = _patch_map(preset, output, sides)
        tokens = keras.layers.Reshape((-1, output.shape[-1]), name="tokens_of_patches")(feature_map)
        return keras.layers.Activation("linear", dtype="float32", name="pool_by_attention")(
            parts.head[0](tokens)
        )
    if pooling == "head":
        features = output[:, 0]
        for layer in parts.head:
            features = layer(features)
        return in_32_bit(features)
    normalized = parts.head[:-1] if preset.projection is not None else []  # MetaCLIP's last norm
    for layer in normalized:
        output = layer(output)
    if pooling == "cls":
        return in_32_bit(output[:, 0])
    feature_map = _patch_map(preset, output, sides)
    if pooling == "cls+average":
        both = [in_32_bit(output[:, 0]), pool(feature_map, "average")]
        return keras.layers.Concatenate(name="class_and_patches")(both)
    return pool(feature_map, pooling)


def _patch_map(
    preset: Preset, output: keras.KerasTensor, sides: tuple[int, int]
) -> keras.KerasTensor:
    """Return what the encoder gives as a feature map (B, h, w, F), from a layer of its own."""
    if len(output.shape) == 3:
        rows, columns = _grid(preset, output, sides)
        return PatchMap(rows, columns, preset.prefix_tokens, name="patches")(output)
    return keras.layers.Activation("linear", name="feature_map")(output)


def _grid(preset: Preset, tokens: keras.KerasTensor, sides: tuple[int, int]) -> tuple[int, int]:
    """Return the numbers of rows and columns of the tokens of patches."""
    if preset.patch is not None:
        return sides[0] // preset.patch[0], sides[1] // preset.patch[1]
    # Swin merges patches: the grid has the image's proportions.
    count = int(tokens.shape[1])
    rows = round((count * sides[0] / sides[1]) ** 0.5)
    if rows * (count // max(1, rows)) != count:
        raise UserError(f"{preset.name} cannot arrange {count} patches: give a square --image-size")
    return rows, count // rows


def _load(preset: Preset, sides: tuple[int, int]) -> keras.Model:
    """Load the pretrained network as keras-hub does."""
    # Learned positions are loaded at their own size, except DINOv2's: keras-hub interpolates them.
    own_size = preset.family.tokens and preset.family.name not in ("dinov2", "dinov3")
    options = {} if own_size else {"image_shape": (*sides, 3)}
    try:
        return keras_hub.models.Backbone.from_preset(str(preset.folder), **options)
    except Exception as error:  # a damaged file may raise anything
        reason = " ".join(str(error).split())[:150]
        raise UserError(
            f"{preset.folder}: its weights do not load ({reason}): fetch the preset again"
        ) from error


def _from_config(serialized: Mapping[str, Any], sides: tuple[int, int]) -> keras.Model:
    """Build a network with random weights."""
    arguments = dict(serialized["config"]) | {"image_shape": (*sides, 3)}
    arguments.pop("dtype", None)  # Keras' present policy
    name = str(serialized["class_name"])
    try:
        return getattr(keras_hub.models, name).from_config(arguments)
    except (TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:150]
        raise UserError(f"cannot build {name} for images of {sides} px: {reason}") from error


def _number_positions(network: keras.Model) -> None:
    """Number the positions of a network with random weights: keras-hub's CLIP leaves them at 0."""
    for weight in network.weights:
        if weight.name == "position_ids":
            weight.assign(np.arange(weight.shape[-1])[None])


def _at_size(network: keras.Model, sides: tuple[int, int], preset: Preset) -> keras.Model:
    """Return a copy of a transformer for another image size, with interpolated positions."""
    patch = preset.patch
    assert patch is not None
    old, new = ((s[0] // patch[0], s[1] // patch[1]) for s in (network.image_shape, sides))
    copied = type(network).from_config(network.get_config() | {"image_shape": (*sides, 3)})
    for source, target in zip(network.weights, copied.weights, strict=True):
        if source.name == "position_ids":
            target.assign(np.arange(target.shape[-1])[None])
        elif source.shape == target.shape:
            target.assign(source)
        else:
            target.assign(interpolated(np.asarray(source, np.float32), old, new))
    return copied


def interpolated(positions: np.ndarray, old: tuple[int, int], new: tuple[int, int]) -> np.ndarray:
    """Interpolate learned positions to another grid of patches.

    Args:
        positions: float, (..., k + h w, F): those of k other tokens, which stay, and of the
            patches, row by row.
        old: Rows h and columns w of the grid they were trained on.
        new: Rows and columns h', w' of the new grid.

    Returns:
        float32, (..., k + h' w', F), of the same rank: bicubic, and with antialiasing where the
        grid shrinks.
    """
    flat = positions.reshape(-1, positions.shape[-1])
    others = len(flat) - old[0] * old[1]
    grid = flat[others:].reshape(1, *old, -1)
    resized = np.asarray(
        keras.ops.image.resize(grid, new, data_format="channels_last", **POSITIONS)
    )
    whole = np.concatenate([flat[:others], resized.reshape(-1, flat.shape[1])])
    return whole.reshape(*positions.shape[:-2], -1, flat.shape[1]).astype(np.float32)

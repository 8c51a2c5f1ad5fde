"""The registries of backbones and heads. Reading them does not load TensorFlow; building does.

A name is that of an entry here, or ``hub:NAME`` for any image backbone of keras-hub
(:mod:`retrieval.models.presets`): :func:`backbone_of` answers for both.

To add a backbone, write ``retrieval/models/<name>.py`` with a function ``build(image_size, weights)
-> keras.Model`` and add one entry to :data:`BACKBONES`. A network of ``keras.applications`` needs
no file, only its preprocessing in :data:`retrieval.models.keras_applications.PREPROCESSING`.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import UserError, unknown_option
from retrieval.models.folders import kagglehub_models, keras_models
from retrieval.models.presets import Preset, is_preset, read_preset
from retrieval.models.published_presets import NEEDS_KERAS_HUB
from retrieval.validation import MAP_POOLINGS, ImageSize, check_choice, sides_of

if TYPE_CHECKING:
    import keras

NO_BLOCKS = (
    "--layer-decay goes with transformers: this backbone has no blocks of attention; drop it, or "
    "set --backbone-multiplier"
)


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A network from images to a feature map.

    Attributes:
        build: ``build(image_size, weights) -> keras.Model``: images (B, H, W, 3), RGB in 0..255, to
            a feature map (B, h, w, F). ``image_size`` is the side of a square or (height, width),
            and ``weights`` is ``"imagenet"``, a path or None (random).
        image_size: Size of the input in pixels, the side of a square, unless the settings say
            otherwise.
        feature_size: Number of channels F of the feature map, or width of the pooled output; None
            if only the built network tells.
        parameters: Number of parameters without a classifier. Defaults to None: only the built
            network tells.
        source: The paper, and where the pretrained weights come from.
        pretrained: Whether there are pretrained weights. A backbone without them starts from random
            weights even if ``weights="imagenet"`` is given. Defaults to True.
        weights_files: Pattern of the path of the pretrained weights in ``weights_folder``, with
            ``{side}`` for what ``weights_sides`` says. Defaults to None: there is no file that
            would be fetched.
        weights_sides: Sides of the square inputs that have weights of their own; any other input
            takes those of ``image_size``. Defaults to (): all inputs take the same.
        weights_folder: Returns the folder that fetched weights are in. Defaults to
            :func:`retrieval.models.folders.keras_models`.
        pooling: The pooling of its paper, unless the settings say otherwise. Defaults to "average".
        poolings: Every pooling that it takes. Defaults to those of any feature map.
        build_pooled: ``build_pooled(image_size, weights, pooling) -> keras.Model``: images to
            features (B, F), for a network with poolings of its own. Defaults to None: what
            ``build`` gives is pooled.
        preset: The preset of keras-hub that it is. Defaults to None, one of this registry.
        license: License of the pretrained weights, by those who published them. Defaults to None:
            it is not known here, or there are none. Of a preset, see
            :mod:`retrieval.models.licenses`.
        has_blocks: Whether it is a transformer of blocks, whose learning rates may decay from block
            to block. Defaults to False.
        of_imagenet: Whether the pretrained weights were trained on ImageNet. Defaults to True.
    """

    build: Callable[[ImageSize, str | None], "keras.Model"]
    image_size: ImageSize
    feature_size: int | None
    source: str
    pretrained: bool = True
    weights_files: str | None = None
    weights_sides: tuple[int, ...] = ()
    weights_folder: Callable[[], Path] = keras_models
    pooling: str = "average"
    poolings: tuple[str, ...] = MAP_POOLINGS
    build_pooled: Callable[[ImageSize, str | None, str], "keras.Model"] | None = None
    preset: Preset | None = None
    parameters: int | None = None
    license: str | None = None
    has_blocks: bool = False
    of_imagenet: bool = True

    def check(self, image_size: ImageSize, pooling: str) -> None:
        """Refuse a size of the input or a pooling that the backbone does not take.

        Args:
            image_size: The size.
            pooling: The pooling.

        Raises:
            UserError: Names what it takes.
        """
        if self.preset is not None:
            self.preset.check_size(image_size)
            self.preset.check_pooling(pooling)
        else:
            check_choice("pooling", pooling, self.poolings)

    def weights_side(self, image_size: ImageSize | None = None) -> int:
        """Return the side of the square input whose weights an input takes.

        Args:
            image_size: Size of the input. Defaults to None, that of the registry.
        """
        height, width = sides_of(image_size or self.image_size)
        own = sides_of(self.image_size)[0]
        return height if height == width and height in self.weights_sides else own


@dataclass(frozen=True, kw_only=True)
class Head:
    """The layers from pooled features to the embedding.

    Attributes:
        hidden: Width of a dense layer with batch normalization and ReLU before the linear layer.
            Defaults to None, no such layer.
        linear: Whether there is a linear layer; without one, the pooled features are the embedding.
            Defaults to True.
        normalize: Whether the embedding is L2-normalized, unless the settings say otherwise.
            Defaults to False.
    """

    hidden: int | None = None
    linear: bool = True
    normalize: bool = False


def _from_file(
    module: str, variant: str | None = None
) -> Callable[[ImageSize, str | None], "keras.Model"]:
    """Return the ``build`` of a file in this folder; the file is imported by the first call.

    Args:
        module: Name of the file.
        variant: The network to build, of a file that has several. Defaults to None, the only one.
    """

    def build(image_size: ImageSize, weights: str | None) -> "keras.Model":
        make = importlib.import_module(f"retrieval.models.{module}").build
        if variant is None:
            return make(image_size, weights)
        return make(image_size, weights, variant=variant)

    return build


def _from_keras(constructor: str) -> Callable[[ImageSize, str | None], "keras.Model"]:
    """Return a function that builds a network of ``keras.applications``."""

    def build(image_size: ImageSize, weights: str | None) -> "keras.Model":
        from retrieval.models import keras_applications  # loads TensorFlow

        return keras_applications.build(constructor, image_size, weights)

    return build


BACKBONES: dict[str, Backbone] = {
    "conv4": Backbone(
        build=_from_file("conv4"),
        image_size=64,
        feature_size=256,
        parameters=391_392,
        source="four convolutions, as in Vinyals et al. (2016); no weights",
        pretrained=False,
    ),
    "efficientnet_lite0": Backbone(
        build=_from_file("efficientnet_lite", "efficientnet_lite0"),
        image_size=160,
        feature_size=1280,
        parameters=3_413_024,
        source="Tan, Le (2019); weights are installed with the package, nothing is downloaded",
        license="Apache-2.0",
    ),
    "efficientnet_lite0_tf": Backbone(
        build=_from_file("efficientnet_lite", "efficientnet_lite0_tf"),
        image_size=224,
        feature_size=1280,
        parameters=3_413_024,
        source="Tan, Le (2019), pixels scaled as in Google's training; weights are installed",
        license="Apache-2.0",
    ),
    "efficientnet_lite1": Backbone(
        build=_from_file("efficientnet_lite", "efficientnet_lite1"),
        image_size=240,
        feature_size=1280,
        parameters=4_189_344,
        source="Tan, Le (2019); weights are a Python package, the extra `lite`",
        license="Apache-2.0",
    ),
    "efficientnet_lite2": Backbone(
        build=_from_file("efficientnet_lite", "efficientnet_lite2"),
        image_size=260,
        feature_size=1280,
        parameters=4_869_168,
        source="Tan, Le (2019); weights are a Python package, the extra `lite`",
        license="Apache-2.0",
    ),
    "inception_v1": Backbone(
        build=_from_file("inception_v1"),
        image_size=224,
        feature_size=1024,
        parameters=5_607_184,
        source="Szegedy et al. (2015), with batch normalization; TF-slim's checkpoint",
        weights_files="inception_v1.ckpt",
        license="Apache-2.0",
    ),
    "densenet169": Backbone(
        build=_from_keras("DenseNet169"),
        image_size=224,
        feature_size=1664,
        parameters=12_642_880,
        source="Huang et al. (2017); Keras",
        weights_files="densenet169_weights_*_notop.h5",
        license="BSD-3-Clause",
    ),
    "resnet50": Backbone(
        build=_from_keras("ResNet50"),
        image_size=224,
        feature_size=2048,
        parameters=23_587_712,
        source="He et al. (2016a); Keras",
        weights_files="resnet50_weights_*_notop.h5",
        license="MIT",
    ),
    "resnet101": Backbone(
        build=_from_keras("ResNet101"),
        image_size=224,
        feature_size=2048,
        parameters=42_658_176,
        source="He et al. (2016a); Keras",
        weights_files="resnet101_weights_*_notop.h5",
        license="MIT",
    ),
    "resnet50_v2": Backbone(
        build=_from_keras("ResNet50V2"),
        image_size=224,
        feature_size=2048,
        parameters=23_564_800,
        source="He et al. (2016b); Keras",
        weights_files="resnet50v2_weights_*_notop.h5",
        license="BSD-3-Clause",
    ),
    "inception_v3": Backbone(
        build=_from_keras("InceptionV3"),
        image_size=299,
        feature_size=2048,
        parameters=21_802_784,
        source="Szegedy et al. (2016); Keras",
        weights_files="inception_v3_weights_*_notop.h5",
        license="Apache-2.0",
    ),
    "xception": Backbone(
        build=_from_keras("Xception"),
        image_size=299,
        feature_size=2048,
        parameters=20_861_480,
        source="Chollet (2017); Keras",
        weights_files="xception_weights_*_notop.h5",
        license="MIT",
    ),
    "mobilenet_v1": Backbone(
        build=_from_keras("MobileNet"),
        image_size=224,
        feature_size=1024,
        parameters=3_228_864,
        source="Howard et al. (2017); Keras",
        weights_files="mobilenet_1_0_{side}_tf_no_top.h5",
        weights_sides=(128, 160, 192, 224),
        license="Apache-2.0",
    ),
    "mobilenet_v2": Backbone(
        build=_from_keras("MobileNetV2"),
        image_size=224,
        feature_size=1280,
        parameters=2_257_984,
        source="Sandler et al. (2018); Keras",
        weights_files="mobilenet_v2_weights_*_1.0_{side}_no_top.h5",
        weights_sides=(96, 128, 160, 192, 224),
        license="Apache-2.0",
    ),
    "mobilenet_v3_small": Backbone(
        build=_from_keras("MobileNetV3Small"),
        image_size=224,
        feature_size=576,
        parameters=939_120,
        source="Howard et al. (2019); Keras",
        weights_files="weights_mobilenet_v3_small_*_no_top_v2.h5",
    ),
    "mobilenet_v3_large": Backbone(
        build=_from_keras("MobileNetV3Large"),
        image_size=224,
        feature_size=960,
        parameters=2_996_352,
        source="Howard et al. (2019); Keras",
        weights_files="weights_mobilenet_v3_large_*_no_top_v2.h5",
    ),
    "efficientnet_v2_b0": Backbone(
        build=_from_keras("EfficientNetV2B0"),
        image_size=224,
        feature_size=1280,
        parameters=5_919_312,
        source="Tan, Le (2021); Keras",
        weights_files="efficientnetv2-b0_notop.h5",
    ),
    "convnext_tiny": Backbone(
        build=_from_keras("ConvNeXtTiny"),
        image_size=224,
        feature_size=768,
        parameters=27_820_128,
        source="Liu et al. (2022); Keras",
        weights_files="convnext_tiny_notop.h5",
    ),
    "dinov2_small": Backbone(
        build=_from_file("dinov2"),
        image_size=224,
        feature_size=384,
        parameters=22_155_264,
        source="Oquab et al. (2024), ViT-S/14; keras-hub",
        weights_files="dinov2/keras/dinov2_small/*.complete",
        weights_folder=kagglehub_models,
        has_blocks=True,
        of_imagenet=False,
        license="Apache-2.0",
    ),
}
HEADS: dict[str, Head] = {
    "direct": Head(),
    "direct_normalize": Head(normalize=True),
    "fc1024": Head(hidden=1024),
    "fc1024_normalize": Head(hidden=1024, normalize=True),
    "none": Head(linear=False),
}


def backbone_of(name: str) -> Backbone:
    """Return the entry of a backbone: one of :data:`BACKBONES`, or a preset of keras-hub.

    Args:
        name: A key of :data:`BACKBONES`, ``hub:NAME``, or ``hub:FOLDER``.

    Raises:
        UserError: Unknown, or a preset that is not on this disk: what to fetch, and where to put
            it.
    """
    if is_preset(name):
        return _from_preset(read_preset(name))
    if name not in BACKBONES:
        raise unknown_option("backbone", name, [*BACKBONES, "hub:PRESET"])
    return BACKBONES[name]


def _from_preset(preset: Preset) -> Backbone:
    def build_pooled(image_size: ImageSize, weights: str | None, pooling: str) -> "keras.Model":
        try:
            from retrieval.models import preset_backbone  # loads keras-hub
        except ImportError as error:
            raise UserError(NEEDS_KERAS_HUB) from error
        return preset_backbone.build(preset, image_size, weights, pooling)

    def build(image_size: ImageSize, weights: str | None) -> "keras.Model":
        return build_pooled(image_size, weights, preset.pooling)

    return Backbone(
        build=build,
        image_size=preset.image_size,
        feature_size=preset.feature_size,
        source=f"{preset.family.paper}; keras-hub",
        pooling=preset.pooling,
        poolings=preset.poolings,
        build_pooled=build_pooled,
        preset=preset,
        has_blocks=preset.family.blocks,
    )

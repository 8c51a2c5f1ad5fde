"""Small networks of keras-hub's families with random weights, saved as presets."""

from collections.abc import Callable
from pathlib import Path

import keras
import keras_hub
import numpy as np

MODELS = keras_hub.models
SHAPE = (32, 32, 3)
VIT = {"patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 16}
TEXT = {
    "vocabulary_size": 50, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1, "num_heads": 2,
    "intermediate_dim": 32, "max_sequence_length": 8,
}  # fmt: skip


def _two_towers(name: str, **more: object) -> keras.Model:
    vision = getattr(MODELS, f"{name}VisionEncoder")(**VIT, intermediate_dim=32, image_shape=SHAPE)
    text = getattr(MODELS, f"{name}TextEncoder")(**TEXT)
    whole = getattr(MODELS, f"{name}Backbone")(vision_encoder=vision, text_encoder=text, **more)
    for weight in whole.weights:  # which keras-hub's CLIP leaves at 0
        if weight.name == "position_ids":
            weight.assign(np.arange(weight.shape[-1])[None])
    return whole


FAMILIES: dict[str, Callable[[], keras.Model]] = {
    "vit": lambda: MODELS.ViTBackbone(**VIT, mlp_dim=32, image_shape=SHAPE),
    "deit": lambda: MODELS.DeiTBackbone(**VIT, intermediate_dim=32, image_shape=SHAPE),
    "dinov2": lambda: MODELS.DINOV2Backbone(
        **VIT,
        intermediate_dim=32,
        image_shape=SHAPE,
        position_embedding_shape=(40, 40),
        num_register_tokens=2,
    ),
    "dinov3": lambda: MODELS.DINOV3Backbone(**VIT, intermediate_dim=32, image_shape=SHAPE),
    "clip": lambda: _two_towers("CLIP", projection_dim=12),
    "metaclip2": lambda: _two_towers("MetaCLIP2", projection_dim=12),
    "siglip": lambda: _two_towers("SigLIP"),
    "swin": lambda: MODELS.SwinTransformerBackbone(
        image_shape=SHAPE, embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=2
    ),
    "mit": lambda: MODELS.MiTBackbone(
        layerwise_depths=[1, 1],
        num_layers=2,
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[1, 1],
        max_drop_path_rate=0.0,
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        hidden_dims=[8, 16],
        image_shape=SHAPE,
    ),
    "resnet": lambda: MODELS.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
    ),
    "efficientnet": lambda: MODELS.EfficientNetBackbone(
        stackwise_width_coefficients=[0.25],
        stackwise_depth_coefficients=[0.25],
        stackwise_squeeze_and_excite_ratios=[0.25],
        stackwise_kernel_sizes=[3],
        stackwise_num_repeats=[1],
        stackwise_input_filters=[32],
        stackwise_output_filters=[16],
        stackwise_expansion_ratios=[1],
        stackwise_strides=[1],
        stackwise_block_types=["v1"],
    ),
    "densenet": lambda: MODELS.DenseNetBackbone(stackwise_num_repeats=[1], growth_rate=8),
    "xception": lambda: MODELS.XceptionBackbone(
        stackwise_conv_filters=[[4, 8], [8, 8]], stackwise_pooling=[True, False]
    ),
    "vgg": lambda: MODELS.VGGBackbone(stackwise_num_repeats=[1, 1], stackwise_num_filters=[8, 8]),
    "cspnet": lambda: MODELS.CSPNetBackbone(
        stem_filters=8,
        stem_kernel_size=3,
        stem_strides=1,
        stackwise_depth=[1, 1],
        stackwise_strides=[1, 2],
        stackwise_num_filters=[8, 16],
        block_type="dark_block",
        stage_type="dark",
    ),
    "hgnetv2": lambda: MODELS.HGNetV2Backbone(
        depths=[1, 1],
        embedding_size=8,
        hidden_sizes=[8, 16],
        stem_channels=[3, 8, 8],
        hidden_act="relu",
        use_learnable_affine_block=False,
        stackwise_stage_filters=[(8, 8, 8, 1, 1, 3), (8, 8, 16, 1, 1, 3)],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[False, False],
        image_shape=SHAPE,
    ),
    "mobilenet": lambda: MODELS.MobileNetBackbone(
        stackwise_expansion=[[8], [16]],
        stackwise_num_blocks=[1, 1],
        stackwise_num_filters=[[8], [8]],
        stackwise_kernel_size=[[3], [3]],
        stackwise_num_strides=[[2], [1]],
        stackwise_se_ratio=[[None], [0.25]],
        stackwise_activation=[["relu"], ["hard_swish"]],
        stackwise_padding=[[1], [1]],
        output_num_filters=16,
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        last_layer_filter=16,
        squeeze_and_excite=0.5,
    ),
}
TRANSFORMERS = ("vit", "deit", "dinov2", "dinov3", "clip", "metaclip2", "siglip")


def write_preset(folder: Path, family: str, *, seed: int = 0, converter: dict | None = None) -> str:
    """Save a small preset; return what ``--backbone`` takes.

    Args:
        folder: New folder for its files.
        family: A key of :data:`FAMILIES`.
        seed: Seed of the weights. Defaults to 0.
        converter: Arguments of its image converter. Defaults to None: it has none.
    """
    keras.utils.set_random_seed(seed)
    network = FAMILIES[family]()
    rng = np.random.default_rng(seed)
    for weight in network.trainable_weights:  # some start as zeros, which nothing depends on
        weight.assign(weight + 0.1 * rng.standard_normal(weight.shape))
    network.save_to_preset(str(folder))
    if converter is not None:
        keras_hub.layers.ImageConverter(**converter).save_to_preset(str(folder))
    return f"hub:{folder}"

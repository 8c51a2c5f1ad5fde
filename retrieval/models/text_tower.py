"""The text tower of a preset with two towers (CLIP, MetaCLIP 2, SigLIP).

Importing this file needs keras-hub (the extra ``vit``).
"""

import keras
import keras_hub

from retrieval.errors import UserError
from retrieval.models.presets import Preset


def build_text_tower(preset: Preset) -> keras.Model:
    """Build the network from texts to the vectors that the preset compares with images.

    Images have theirs from :func:`retrieval.models.build_backbone` with ``pooling="head"``.

    Args:
        preset: A preset, see :func:`retrieval.models.presets.read_preset`.

    Returns:
        Token ids (B, T), int32 -> vectors (B, F), float32, not normalized.

    Raises:
        UserError: The preset has no text tower.
    """
    if not preset.family.two_towers:
        raise UserError(
            f"{preset.name} ({preset.family.name}) has no text tower: take a preset of clip, "
            "metaclip2 or siglip"
        )
    whole = keras_hub.models.Backbone.from_preset(str(preset.folder))
    tokens = keras.Input((None,), dtype="int32", name="token_ids")
    vectors = whole.get_text_embeddings(tokens)
    in_32_bit = keras.layers.Activation("linear", dtype="float32", name="text_features")
    return keras.Model(tokens, in_32_bit(vectors), name="text_tower")

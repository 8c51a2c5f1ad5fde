"""The text tower of a keras-hub preset: texts into the space that its images are projected to.

CLIP (Radford et al. 2021), MetaCLIP 2 (Chuang et al. 2025) and SigLIP (Zhai et al. 2023) were
trained so that a text lies near the images that it describes, by the cosine of the projected text
and the projected image. Texts are cut into tokens as the preset's own preprocessor does it.

Loading a tower needs keras-hub (the extra ``vit``), which is imported then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrieval.errors import UserError
from retrieval.models.presets import Preset
from retrieval.models.published_presets import NEEDS_KERAS_HUB

TEXT_BATCH = 64
LEAST_LENGTH = 1e-12  # so that a vector of zeros stays zero


@dataclass(frozen=True)
class TextTower:
    """A network from tokens to vectors, and what cuts a text into tokens.

    Attributes:
        network: Keras model: token ids int32 (B, T) to vectors float32 (B, D).
        preprocessor: keras-hub's preprocessor of the preset: tokenizer, start and end tokens,
            padding and truncation to T tokens.
    """

    network: Any
    preprocessor: Any

    @property
    def width(self) -> int:
        """Dimension D of the embeddings."""
        return int(self.network.output_shape[-1])

    @property
    def length(self) -> int:
        """Number T of tokens that a text is padded or cut to."""
        return int(self.preprocessor.sequence_length)

    def tokens(self, texts: Sequence[str]) -> np.ndarray:
        """Cut texts into tokens.

        Args:
            texts: n texts. What exceeds T tokens is cut off, as in training.

        Returns:
            int32, (n, T), with start, end and padding.
        """
        return self._packed(texts, self.length)

    def is_cut(self, texts: Sequence[str]) -> np.ndarray:
        """Tell which texts are longer than T tokens, start and end included.

        Args:
            texts: n texts.

        Returns:
            bool, (n,).
        """
        longer = self._packed(texts, self.length + 1)
        return np.asarray((longer[:, : self.length] != self.tokens(texts)).any(axis=1))

    def _packed(self, texts: Sequence[str], length: int) -> np.ndarray:
        given = {"prompts": list(texts), "images": None}
        return np.asarray(self.preprocessor(given, sequence_length=length)["token_ids"], np.int32)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts.

        Args:
            texts: n texts.

        Returns:
            float32, (n, D), of unit length.
        """
        if not texts:
            return np.empty((0, self.width), np.float32)
        found = self.network.predict_on_batch
        parts = [
            np.asarray(found(self.tokens(texts[start : start + TEXT_BATCH])), np.float32)
            for start in range(0, len(texts), TEXT_BATCH)
        ]
        vectors = np.concatenate(parts)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(lengths, LEAST_LENGTH)


def build_text_tower(preset: Preset) -> Any:
    """Build the network from tokens to the vectors that the preset compares with images.

    Images have theirs from :func:`retrieval.models.build_backbone` with ``pooling="head"``. The
    whole model is read, and its image tower is dropped again.

    Args:
        preset: A preset, see :func:`retrieval.models.presets.read_preset`.

    Returns:
        Keras model: token ids (B, T), int32 -> vectors (B, D), float32, not normalized.

    Raises:
        UserError: The preset has no text tower, its weights do not load, or keras-hub is not
            installed.
    """
    if not preset.family.two_towers:
        raise UserError(
            f"{preset.name} ({preset.family.name}) has no text tower: take a preset of clip, "
            "metaclip2 or siglip"
        )
    try:
        import keras
        import keras_hub
    except ImportError as error:
        raise UserError(NEEDS_KERAS_HUB) from error

    try:
        whole = keras_hub.models.Backbone.from_preset(str(preset.folder))
    except Exception as error:  # a damaged file may raise anything
        raise UserError(
            f"{preset.folder}: its text tower does not load ({_reason(error)}): fetch the preset "
            "again"
        ) from error
    tokens = keras.Input((None,), dtype="int32", name="token_ids")
    vectors = whole.get_text_embeddings(tokens)
    in_32_bit = keras.layers.Activation("linear", dtype="float32", name="text_features")
    return keras.Model(tokens, in_32_bit(vectors), name="text_tower")


def load_text_tower(preset: Preset) -> TextTower:
    """Load the text tower of a preset with its weights and its tokenizer.

    Args:
        preset: A preset of a family with two towers.

    Returns:
        The tower.

    Raises:
        UserError: See :func:`build_text_tower`; or the files of the tokenizer are missing or
            damaged.
    """
    network = build_text_tower(preset)
    lengths = [getattr(layer, "max_sequence_length", None) for layer in network.layers]
    return TextTower(network, _preprocessor(preset, max(filter(None, lengths))))


def _preprocessor(preset: Preset, longest: int) -> Any:
    """Return what cuts texts into tokens; without the image converter, which it does not need."""
    import keras_hub

    try:
        made = keras_hub.models.CausalLMPreprocessor.from_preset(
            str(preset.folder), image_converter=None
        )
    except Exception as error:
        raise UserError(
            f"{preset.folder}: its tokenizer does not load ({_reason(error)}): put the preset's "
            "tokenizer.json and assets/ there, which `retrieval fetch weights` downloads, or "
            "preprocessor.save_to_preset(folder) writes"
        ) from error
    if made.sequence_length is None or made.sequence_length > longest:
        made.sequence_length = longest
    return made


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:150] or type(error).__name__

"""Presets of CLIP, MetaCLIP 2 and SigLIP with tiny random networks and tokenizers, on disk."""

import io
from pathlib import Path

import keras
import keras_hub
import numpy as np
import sentencepiece

WORDS = ["a", "photo", "of", "red", "green", "blue", "shoe", "shoes", "color", "zero", "one"]
SENTENCES = ["a photo of red shoes", "a photo of green shoe", "blue color zero one"] * 20
SIDE, PATCH, WIDTH, LENGTH = 16, 8, 12, 8


def write_two_towers(folder: Path, family: str = "clip", *, tokenizer: bool = True) -> Path:
    """Write a preset as ``save_to_preset`` does: backbone, image converter and tokenizer.

    Args:
        folder: Where to.
        family: ``clip``, ``metaclip2`` or ``siglip``.
        tokenizer: Whether to write the tokenizer.

    Returns:
        The folder.
    """
    keras.utils.set_random_seed(3)
    backbone, preprocessor = {"clip": _clip, "metaclip2": _metaclip2, "siglip": _siglip}[family]()
    for weight in backbone.weights:  # no text is the other's, and scores are not all alike
        if "position_ids" not in weight.name and "logit" not in weight.name:
            noise = np.random.default_rng(len(weight.path)).normal(size=weight.shape)
            weight.assign(weight + 0.2 * noise.astype(np.float32))
        elif "position_ids" in weight.name:
            weight.assign(np.arange(weight.shape[-1])[None])
    backbone.save_to_preset(str(folder))
    if tokenizer:
        preprocessor.save_to_preset(str(folder))
    return folder


def _sizes(text: bool) -> dict:
    shared = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16}
    if text:
        return shared | {"embedding_dim": 8, "max_sequence_length": LENGTH}
    return shared | {"patch_size": PATCH, "image_shape": (SIDE, SIDE, 3)}


def _clip():
    hub = keras_hub.models
    pieces = sorted({c for word in WORDS for c in word})
    vocabulary = [*pieces, *(f"{c}</w>" for c in pieces)]
    merges = []
    for word in WORDS:  # of each word one token
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            merge, parts = f"{parts[0]} {parts[1]}", [parts[0] + parts[1], *parts[2:]]
            if merge not in merges:
                merges.append(merge)
            if parts[0] not in vocabulary:
                vocabulary.append(parts[0])
    # CLIP pools at the largest token id, which ends a text.
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    tokenizer = hub.CLIPTokenizer({word: at for at, word in enumerate(vocabulary)}, merges)
    size = len(vocabulary)
    backbone = hub.CLIPBackbone(
        hub.CLIPVisionEncoder(**_sizes(False)),
        hub.CLIPTextEncoder(vocabulary_size=size, **_sizes(True)),
        projection_dim=WIDTH,
    )
    converter = keras_hub.layers.CLIPImageConverter(
        image_size=(SIDE, SIDE), scale=1 / 127.5, offset=-1
    )
    return backbone, hub.CLIPPreprocessor(tokenizer, converter, sequence_length=LENGTH)


def _metaclip2():
    hub = keras_hub.models
    tokenizer = hub.MetaCLIP2Tokenizer(_sentence_pieces(unk_id=0, bos_id=1, eos_id=2, pad_id=-1))
    backbone = hub.MetaCLIP2Backbone(
        hub.MetaCLIP2VisionEncoder(**_sizes(False)),
        hub.MetaCLIP2TextEncoder(vocabulary_size=tokenizer.vocabulary_size(), **_sizes(True)),
        projection_dim=WIDTH,
    )
    converter = keras_hub.layers.MetaCLIP2ImageConverter(
        image_size=(SIDE, SIDE), scale=1 / 127.5, offset=-1
    )
    return backbone, hub.MetaCLIP2CausalLMPreprocessor(tokenizer, converter, sequence_length=LENGTH)


def _siglip():
    hub = keras_hub.models
    tokenizer = hub.SigLIPTokenizer(_sentence_pieces(pad_id=0, bos_id=1, eos_id=2, unk_id=3))
    backbone = hub.SigLIPBackbone(
        hub.SigLIPVisionEncoder(**_sizes(False)),
        hub.SigLIPTextEncoder(
            vocabulary_size=tokenizer.vocabulary_size(), projection_dim=8, **_sizes(True)
        ),
    )
    converter = keras_hub.layers.SigLIPImageConverter(
        image_size=(SIDE, SIDE), scale=1 / 127.5, offset=-1
    )
    return backbone, hub.SigLIPPreprocessor(tokenizer, converter, sequence_length=LENGTH)


def _sentence_pieces(**ids: int) -> bytes:
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_writer=written, model_type="BPE", vocab_size=40,
        minloglevel=2, unk_piece="<unk>", **ids,
    )  # fmt: skip
    return written.getvalue()

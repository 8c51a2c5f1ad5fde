"""The text tower of CLIP, MetaCLIP 2 and SigLIP gives what keras-hub's own model gives.

The networks are small and random: no weights of a published model are on this disk.
"""

import json

import keras_hub
import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.models import build_backbone
from retrieval.models.presets import read_preset
from retrieval.models.text_tower import load_text_tower
from tests.models.two_towers import LENGTH, SIDE, write_two_towers

TEXTS = ["red shoes", "a photo of green shoe", "zero", "blue " * 30]


@pytest.fixture(scope="module", params=["clip", "metaclip2", "siglip"])
def folder(request, tmp_path_factory):
    return write_two_towers(tmp_path_factory.mktemp("presets") / request.param, request.param)


@pytest.fixture(scope="module")
def tower(folder):
    return load_text_tower(read_preset(f"hub:{folder}"))


@pytest.fixture(scope="module")
def whole(folder):
    return keras_hub.models.Backbone.from_preset(str(folder))


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.slow
def test_texts_are_embedded_as_the_whole_model_embeds_them(tower, whole):
    expected = np.asarray(whole.get_text_embeddings(tower.tokens(TEXTS)))
    found = tower.embed(TEXTS)
    assert found.shape == (4, tower.width)
    np.testing.assert_allclose(found, unit(expected), atol=1e-6)
    np.testing.assert_allclose(tower.embed(TEXTS * 40)[-4:], found, atol=1e-6)
    assert tower.embed([]).shape == (0, tower.width)


def test_the_cosine_of_text_and_image_is_the_models_own_score(folder, tower, whole):
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.float32)
    images = unit(np.asarray(build_backbone(f"hub:{folder}", pooling="head")(pixels)))
    given = {"images": pixels / 127.5 - 1, "token_ids": tower.tokens(TEXTS)}
    head = next(layer for layer in whole.layers if layer.name.endswith("_head"))
    bias = float(getattr(head, "logit_bias", 0.0))
    expected = np.exp(float(head.logit_scale)) * (tower.embed(TEXTS) @ images.T) + bias
    np.testing.assert_allclose(whole(given)["text_logits"], expected, rtol=1e-4, atol=1e-4)


def test_a_longer_text_is_cut_and_still_ends(tower):
    assert tower.length == LENGTH
    ids = tower.tokens(TEXTS)
    end = tower.preprocessor.tokenizer.end_token_id
    assert ids.shape == (4, LENGTH)
    assert (ids == end).any(axis=1).all()
    assert ids[3, -1] == end
    assert tower.is_cut(["zero", "blue " * 30]).tolist() == [False, True]


def test_clip_reads_lower_case_words_between_start_and_end(tmp_path):
    folder = write_two_towers(tmp_path / "clip")
    tower = load_text_tower(read_preset(f"hub:{folder}"))
    with open(folder / "assets/tokenizer/vocabulary.json", encoding="utf-8") as file:
        number = json.load(file)
    words = [number[word] for word in ("<|startoftext|>", "red</w>", "shoes</w>", "<|endoftext|>")]
    assert tower.tokens(["Red  SHOES"]).tolist() == [[*words, *[0] * (LENGTH - 4)]]
    fits = " ".join(["red"] * (LENGTH - 2))
    assert tower.is_cut([fits, f"{fits} red"]).tolist() == [False, True]


def test_a_preset_without_a_text_tower_or_its_tokenizer_is_refused_in_one_line(tmp_path):
    folder = write_two_towers(tmp_path / "clip", tokenizer=False)
    with pytest.raises(UserError, match=r"clip: its tokenizer does not load .*tokenizer\.json"):
        load_text_tower(read_preset(f"hub:{folder}"))
    vit = keras_hub.models.ViTBackbone(
        image_shape=(16, 16, 3), patch_size=8, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=16
    )
    vit.save_to_preset(str(tmp_path / "vit"))
    with pytest.raises(UserError, match=r"vit \(vit\) has no text tower"):
        load_text_tower(read_preset(f"hub:{tmp_path / 'vit'}"))
    (folder / "model.weights.h5").write_bytes(b"damaged")
    with pytest.raises(UserError, match="its text tower does not load"):
        load_text_tower(read_preset(f"hub:{folder}"))

"""Backbones by preset: what keras-hub computes, at our interface, and what is refused."""

import json
import math

import keras
import keras_hub
import numpy as np
import pytest

from retrieval.embedding.pretrained import fetch_weights, missing_weights
from retrieval.errors import UserError
from retrieval.models import backbone_of, build_backbone
from retrieval.models.families import FAMILIES as KNOWN
from retrieval.models.preset_backbone import interpolated
from retrieval.models.preset_list import list_presets
from retrieval.models.presets import find_preset, read_preset
from retrieval.models.published_presets import published_presets
from retrieval.models.text_tower import build_text_tower
from tests.models.helpers import images, run
from tests.presets import FAMILIES, TRANSFORMERS, write_preset

PREFIX = {"vit": 1, "deit": 2, "dinov2": 3, "dinov3": 5, "clip": 1, "metaclip2": 1, "siglip": 0}


def standardized(name, pixels):
    """Pixels as the family's paper gives them to its network."""
    of_clip = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
    mean, std = {
        "vit": ([0.5] * 3, [0.5] * 3),
        "siglip": ([0.5] * 3, [0.5] * 3),
        "clip": of_clip,
        "metaclip2": of_clip,
    }.get(name, ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return ((pixels / 255 - mean) / std).astype(np.float32)


def tokens_of(name, network, pixels):
    """The last tokens, by keras-hub's own network."""
    encoder = getattr(network, "vision_encoder", network)
    if name == "siglip":
        encoder = keras.Model(encoder.input, encoder.post_layer_norm.output)
    x = standardized(name, pixels)
    single = not isinstance(encoder.input, dict)
    tokens = encoder(x if single else dict.fromkeys(encoder.input, x), training=False)
    return network.vision_post_layer_norm(tokens) if name == "metaclip2" else tokens


@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_poolings_of_a_transformer_are_what_keras_hub_computes(name, preset):
    backbone, pixels = preset(name), images(32)
    entry, network = backbone_of(backbone), keras_hub.models.Backbone.from_preset(preset(name)[4:])
    tokens = np.asarray(tokens_of(name, network, pixels))
    assert tokens.shape == (3, PREFIX[name] + 16, 16)
    assert (entry.image_size, entry.pooling) == (32, "cls" if name[0] in "vd" else "head")
    expected = {"average": tokens[:, PREFIX[name] :].mean(1), "cls": tokens[:, 0]}
    expected["cls+average"] = np.concatenate([expected["cls"], expected["average"]], axis=1)
    expected["max"] = tokens[:, PREFIX[name] :].max(1)
    if entry.pooling == "head":
        expected["head"] = np.asarray(network.get_vision_embeddings(standardized(name, pixels)))
    # Of the others, one family each: building takes the time.
    more = {"vit": "max", "dinov2": "cls+average", "clip": "cls"}.get(name, "average")
    for pooling in {entry.pooling, "average", more}:
        features = run(build_backbone(backbone, pooling=pooling), pixels)
        np.testing.assert_allclose(features, expected[pooling], atol=2e-5, err_msg=pooling)
    assert entry.feature_size == expected[entry.pooling].shape[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", [each for each in FAMILIES if each not in TRANSFORMERS])
def test_the_feature_map_of_other_families_is_averaged(name, preset):
    pixels = images(32)
    network = keras_hub.models.Backbone.from_preset(preset(name)[4:])
    expected = network(standardized(name, pixels), training=False)
    expected = np.asarray([*expected.values()][-1] if isinstance(expected, dict) else expected)
    expected = expected.mean(tuple(range(1, expected.ndim - 1)))
    backbone = build_backbone(preset(name), 32)
    np.testing.assert_allclose(run(backbone, pixels), expected, atol=1e-5)


def test_every_family_of_keras_hub_is_tested():
    published = {each.family.name for each in list_presets()}
    assert published <= {*FAMILIES, "mobilenetv5"}  # whose smallest network takes seconds
    assert {*FAMILIES} <= {each.name for each in KNOWN.values()}


class TestSize:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", TRANSFORMERS)
    def test_weights_fit_another_image_size(self, name, preset):
        small, large = (
            build_backbone(preset(name), weights="none"),
            build_backbone(preset(name), 48),
        )
        features = run(large, images(48))
        assert features.shape == (3, small.output_shape[-1])
        assert np.isfinite(features).all()
        pairs = zip(small.weights, large.weights, strict=True)
        changed = [new.path for old, new in pairs if new.shape != old.shape]
        assert all("position" in path for path in changed)
        assert len(changed) == {"dinov3": 0, "clip": 2, "siglip": 2}.get(name, 1)

    @pytest.mark.parametrize("name", ["vit", "deit", "dinov3", "swin"])
    def test_families_that_take_rectangles(self, name, preset):
        tall = build_backbone(preset(name), "64x32", pooling="average")
        pixels = np.concatenate([images(32), images(32)], axis=1)
        assert run(tall, pixels).shape == (3, 16)

    def test_positions_are_interpolated_on_their_grid_and_other_tokens_stay(self):
        ramp = np.arange(4.0)[:, None, None] * [1.0, 0.0] + np.arange(4.0)[:, None] * [0.0, 1.0]
        positions = np.concatenate([[[9.0, -9.0]], ramp.reshape(16, 2)])[None]
        found = interpolated(positions, (4, 4), (8, 8))
        assert found.shape == (1, 65, 2)
        np.testing.assert_array_equal(found[0, 0], [9, -9])
        # Inside, a straight line stays one: row i of 8 lies at (i + 0.5) / 2 - 0.5 of 4.
        inner = found[0, 1:].reshape(8, 8, 2)[3:5, 3:5]
        np.testing.assert_allclose(inner[..., 0], [[1.25, 1.25], [1.75, 1.75]], atol=1e-6)
        np.testing.assert_allclose(inner[..., 1], [[1.25, 1.75], [1.25, 1.75]], atol=1e-6)
        again = interpolated(positions[0], (4, 4), (4, 4))
        np.testing.assert_allclose(again, positions[0], atol=1e-6)

    @pytest.mark.parametrize(
        ("name", "size", "words"),
        [
            ("vit", 36, r"patches of 8 px: give an --image-size .* such as 32"),
            ("dinov3", "32x44", r"patches of 8 px: .* such as 32x48"),
            ("siglip", "32x48", r"square images only.* such as 40 instead of 32x48"),
        ],
    )
    def test_sizes_that_the_architecture_does_not_allow(self, name, size, words, preset):
        with pytest.raises(UserError, match=words):
            build_backbone(preset(name), size)


class TestPreprocessing:
    @pytest.mark.parametrize(
        ("converter", "scale", "offset"),
        [
            ({"scale": 0.5, "offset": -1.0}, [0.5] * 3, [-1.0] * 3),
            ({"scale": [1.0, 2.0, 3.0]}, [1.0, 2.0, 3.0], [0.0] * 3),
            ({}, [1.0] * 3, [0.0] * 3),
            (
                {"scale": 1 / 255, "mean": [0.1, 0.2, 0.3], "variance": [0.25, 0.04, 0.01]},
                [1 / 127.5, 1 / 51, 1 / 25.5],
                [-0.2, -1.0, -3.0],
            ),
        ],
    )
    def test_pixels_become_what_the_image_converter_makes_of_them(
        self, converter, scale, offset, tmp_path
    ):
        named = write_preset(tmp_path, "vgg", converter=converter)
        layer = build_backbone(named, 32).get_layer("preprocessing")
        np.testing.assert_allclose(
            layer(np.full((1, 1, 3), 10.0))[0, 0], 10 * np.array(scale) + offset, rtol=1e-5
        )

    def test_a_network_without_a_size_takes_that_of_its_converter(self, tmp_path):
        named = write_preset(tmp_path, "vgg", converter={"image_size": (48, 64)})
        assert backbone_of(named).image_size == "48x64"


class TestLookup:
    def test_names_are_found_where_kagglehub_and_hugging_face_keep_them(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "face"))
        command = "retrieval fetch weights hub:vit_x"
        assert missing_weights("hub:vit_x") == command
        face = tmp_path / "face/models--keras--vit_x/snapshots/1a2b"
        write_preset(face, "vit")
        assert find_preset("vit_x") == face
        older, newer = (tmp_path / f"kaggle/models/keras/vit/keras/vit_x/{v}" for v in (9, 10))
        write_preset(older, "vit")
        assert find_preset("vit_x") == older
        write_preset(newer, "vit")
        assert find_preset("vit_x") == newer
        (newer / "model.weights.h5").unlink()  # as after an interrupted download
        assert find_preset("vit_x") == older
        assert missing_weights("hub:vit_x") is None
        assert fetch_weights("hub:vit_x") == f"hub:vit_x is ready in {older}"
        assert build_backbone("hub:vit_x").output_shape == (None, 16)

    def test_a_preset_that_is_not_here_says_what_to_fetch_and_where_to_put_it(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(UserError) as caught:
            backbone_of("hub:dinov3_vit_small_lvd1689m")
        words = str(caught.value)
        assert "retrieval fetch weights hub:dinov3_vit_small_lvd1689m" in words
        assert f"{tmp_path}/models/keras/dinov3/keras/dinov3_vit_small_lvd1689m/1" in words
        assert "\n" not in words

    def test_a_download_that_fails_says_the_same(self, tmp_path, monkeypatch):
        import kagglehub

        def unreachable(handle):
            raise ConnectionError("no route\nto host")

        monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(kagglehub, "model_download", unreachable)
        with pytest.raises(
            UserError, match=r"fetch kaggle\.com/models/keras/dinov2/keras/dinov2_b"
        ):
            fetch_weights("hub:dinov2_base")

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("hub:dinov3_vit_smal_lvd1689m", "did you mean 'dinov3_vit_small_lvd1689m'"),
            ("hub:./nowhere", "no such folder"),
            ("dinov9", "unknown backbone"),
        ],
    )
    def test_unknown_names(self, name, words):
        with pytest.raises(UserError, match=words):
            backbone_of(name)

    def test_folders_that_are_no_image_preset(self, tmp_path):
        with pytest.raises(UserError, match=r"has no config\.json"):
            read_preset(f"hub:{tmp_path}")
        (tmp_path / "config.json").write_text("{")
        with pytest.raises(UserError, match=r"has no model\.weights\.h5"):
            read_preset(f"hub:{tmp_path}")
        (tmp_path / "model.weights.h5").touch()
        with pytest.raises(UserError, match=r"config\.json: not readable"):
            read_preset(f"hub:{tmp_path}")
        (tmp_path / "config.json").write_text(json.dumps({"class_name": "BertBackbone"}))
        with pytest.raises(UserError, match="BertBackbone is no image backbone"):
            read_preset(f"hub:{tmp_path}")

    def test_damaged_weights(self, tmp_path):
        named = write_preset(tmp_path, "vgg")
        (tmp_path / "model.weights.h5").write_bytes(b"damaged")
        with pytest.raises(UserError, match=r"its weights do not load .*fetch the preset again"):
            build_backbone(named, 32)

    def test_a_pooling_that_the_family_does_not_have(self, preset):
        with pytest.raises(UserError, match=r"--pooling cls: .*siglip.* give one of .*head"):
            build_backbone(preset("siglip"), pooling="cls")
        with pytest.raises(UserError, match=r"pooling = 'head'"):
            build_backbone("conv4", pooling="head")


class TestList:
    def test_all_image_backbones_of_keras_hub_are_listed_and_no_others(self):
        listed = {each.name: each for each in list_presets()}
        assert len(listed) > 100
        assert "hub:dinov3_vit_7b_lvd1689m" in listed
        assert not any("bert" in name or "gemma_" in name for name in listed)
        assert {name[4:] for name in listed} == {*published_presets()}
        siglip = listed["hub:siglip2_so400m_patch14_384"]
        assert (siglip.feature_size, siglip.image_size, siglip.license) == (1152, 384, "Apache-2.0")
        assert listed["hub:medsiglip_900m_448"].license == "see model page"
        assert listed["hub:resnet_101_imagenet"].image_size == 224  # not 101

    def test_a_family_alone(self):
        assert {each.family.name for each in list_presets("dinov2")} == {"dinov2"}


def test_a_text_tower_gives_vectors_of_the_width_of_the_images_head(preset):
    for name in ("clip", "metaclip2", "siglip"):
        given, network = read_preset(preset(name)), build_text_tower(read_preset(preset(name)))
        ids = np.array([[1, 7, 2], [3, 9, 2]], np.int32)
        ids = np.pad(ids, ((0, 0), (0, 5)))
        vectors = np.asarray(network(ids, training=False))
        assert vectors.shape == (2, given.feature_size)
        assert math.dist(*vectors) > 1e-3
    with pytest.raises(UserError, match="no text tower"):
        build_text_tower(read_preset(preset("vit")))

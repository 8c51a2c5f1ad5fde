"""Weights from files on this disk."""

import keras
import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.models import build_backbone, build_model


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(3)
    return build_model("conv4", head="fc1024", embedding_size=8)


def load(path, **options):
    return build_backbone("conv4", weights=str(path), **options).get_weights()


class TestReads:
    @pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
    @pytest.mark.parametrize("part", ["whole model", "backbone"])
    def test_a_file_of_the_backbone_or_of_the_whole_model(self, part, suffix, trained, tmp_path):
        model = trained if part == "whole model" else trained.get_layer("backbone")
        path = tmp_path / f"model{suffix}"
        model.save(path) if suffix == ".keras" else model.save_weights(path)
        assert same(load(path), trained.get_layer("backbone").get_weights())

    def test_a_file_saved_with_another_pooling(self, trained, tmp_path):
        gem = build_model("conv4", pooling="gem", embedding_size=8)
        gem.save(tmp_path / "gem.keras")
        assert same(load(tmp_path / "gem.keras"), gem.get_layer("backbone").get_weights()[:-1])
        trained.save_weights(tmp_path / "average.weights.h5")
        loaded = load(tmp_path / "average.weights.h5", pooling="gem")
        assert same(loaded[:-1], trained.get_layer("backbone").get_weights())

    @pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
    def test_a_file_of_keras_applications_without_the_classifier(self, suffix, tmp_path):
        """As Keras publishes them (..._notop.h5), and as Keras saves them today."""
        original = keras.applications.MobileNetV2(
            include_top=False, weights=None, input_shape=(96, 96, 3)
        )
        path = tmp_path / f"mobilenet_v2_no_top{suffix}"
        if suffix == ".h5":
            import h5py
            from keras.src.legacy.saving import legacy_h5_format

            with h5py.File(path, "w") as file:
                legacy_h5_format.save_weights_to_hdf5_group(file, original)
        else:
            original.save_weights(path)
        ours = build_backbone("mobilenet_v2", 96, weights=str(path))
        assert same(ours.get_weights(), original.get_weights())


class TestRefuses:
    def test_a_missing_file(self, tmp_path):
        with pytest.raises(UserError, match=r"none\.keras: "):
            load(tmp_path / "none.keras")

    def test_an_unknown_format(self, tmp_path):
        path = tmp_path / "weights.bin"
        path.write_bytes(b"?")
        with pytest.raises(UserError, match=r"weights\.bin: "):
            load(path)

    @pytest.mark.parametrize("name", ["damaged.keras", "damaged.weights.h5", "damaged.h5"])
    def test_a_damaged_file(self, name, tmp_path):
        path = tmp_path / name
        path.write_bytes(b"not what the name says")
        with pytest.raises(UserError, match=rf"{name}: .*conv4"):
            load(path)

    @pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
    def test_weights_of_another_network(self, suffix, tmp_path):
        other = build_backbone("mobilenet_v3_small", 64, weights="none")
        path = tmp_path / f"other{suffix}"
        other.save(path) if suffix == ".keras" else other.save_weights(path)
        with pytest.raises(UserError, match=rf"other\{suffix}: .*conv4"):
            load(path)

    def test_a_head_alone(self, trained, tmp_path):
        trained.get_layer("head").save_weights(tmp_path / "head.weights.h5")
        with pytest.raises(UserError, match="conv4"):
            load(tmp_path / "head.weights.h5")

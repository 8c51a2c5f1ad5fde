"""The licenses of pretrained weights: what is known is said, and what is not is not invented."""

import pytest

from retrieval.models import BACKBONES
from retrieval.models.licenses import license_of_weights
from tests.presets import write_preset


@pytest.mark.parametrize("name", BACKBONES)
def test_weights_of_imagenet_name_its_terms(name):
    words = license_of_weights(name)
    assert words.startswith(BACKBONES[name].license or "unknown: ask the authors")
    assert ("non-commercial" in words) == (name != "dinov2_small")


def test_a_published_preset_has_the_license_of_its_authors():
    words = license_of_weights("hub:dinov3_vit_small_lvd1689m")
    assert words.startswith("DINOv3 License (Siméoni et al. (2025)")
    assert license_of_weights("hub:siglip2_base_patch16_224").startswith("Apache-2.0")


def test_the_license_of_a_folder_is_unknown(tmp_path):
    name = write_preset(tmp_path / "own", "dinov3")
    words = license_of_weights(name)
    assert words.startswith(f"unknown: ask whoever made {tmp_path / 'own'}")
    assert words.endswith("what its authors published is under DINOv3 License)")

"""Features of a frozen backbone are computed once, until something they depend on changes."""

import numpy as np
import pytest

from retrieval import load_catalog
from retrieval.embedding.features import backbone_features, features_key
from retrieval.embedding.network import frozen_backbone
from retrieval.files import cache_folder
from retrieval.input_pipeline.pipeline import eval_dataset
from retrieval.settings.resolve import resolve
from tests.photos import write_colors

pytestmark = pytest.mark.usefixtures("two_blocks")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def catalog(shapes):
    return load_catalog("folder", shapes)


@pytest.fixture
def settings(tiny, catalog):
    return resolve(tiny.with_(freeze_backbone=True), catalog)


def cached_files():
    return sorted(path.name for path in cache_folder("features").glob("*"))


def test_features_are_those_of_the_backbone_and_stay_in_the_cache(catalog, settings):
    features = backbone_features(catalog, settings, progress=False)
    assert features.dtype == np.float32
    (images,) = eval_dataset(catalog.absolute_paths(), size=16)
    np.testing.assert_allclose(features, frozen_backbone(settings)(images), atol=1e-5)
    assert len(cached_files()) == 1
    np.testing.assert_array_equal(backbone_features(catalog, settings, progress=False), features)
    assert len(cached_files()) == 1


def test_an_interrupted_extraction_continues_where_it_stopped(settings, tmp_path):
    photos = write_colors(tmp_path / "photos", seed=0, scale=30, classes=16)
    catalog = load_catalog("folder", photos)
    whole = np.array(backbone_features(catalog, settings, progress=False))
    (path,) = cache_folder("features").glob("*.npy")
    path.unlink()
    # As a killed process leaves it after the first batch, whose rows are marked to be recognized.
    left = np.lib.format.open_memmap(
        path.with_suffix(".partial.npy"), "w+", np.float32, whole.shape
    )
    left[:64] = 7
    left.flush()
    path.with_suffix(".partial.json").write_text('{"rows": 64}')
    found = backbone_features(catalog, settings, progress=False)
    assert len(found) == 96
    assert (found[:64] == 7).all()
    np.testing.assert_array_equal(found[64:], whole[64:])
    assert cached_files() == [path.name]


@pytest.mark.parametrize(
    "changes",
    [{"image_size": 24}, {"pre_crop": 20}, {"pooling": "max"}, {"seed": 1}],
    ids=lambda changes: next(iter(changes)),
)
def test_the_key_changes_with_the_network_and_its_input(catalog, settings, changes):
    assert features_key(catalog, settings.with_(**changes)) != features_key(catalog, settings)


def test_the_key_does_not_change_with_the_head(catalog, settings):
    changed = settings.with_(embedding_size=99, head="fc1024")
    assert features_key(catalog, changed) == features_key(catalog, settings)


def test_the_seed_does_not_matter_to_weights_that_are_read(catalog, settings, tmp_path):
    weights = tmp_path / "backbone.weights.h5"
    weights.write_bytes(b"one")
    settings = settings.with_(weights=str(weights))
    key = features_key(catalog, settings)
    assert features_key(catalog, settings.with_(seed=1)) == key
    weights.write_bytes(b"another")
    assert features_key(catalog, settings) != key

"""Features of a frozen backbone are computed once, until something they depend on changes."""

import errno
import os
import subprocess
import sys
import zlib
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from retrieval import load_catalog
from retrieval.embedding.features import backbone_features, features_key, partial_path
from retrieval.embedding.network import frozen_backbone
from retrieval.files import cache_folder, time_stamp, write_json
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


def entry():
    (folder,) = cache_folder("features").iterdir()
    return folder


def as_left_by_a_killed_process(folder, rows):
    """Turn a complete entry into what a process leaves that is killed after some rows."""
    partial = folder.with_name(f".{folder.name}.partial")
    folder.rename(partial)
    (partial / "complete.json").unlink()
    out = np.lib.format.open_memmap(partial / "features.npy", "r+")
    out[:rows], out[rows:] = 7, 0  # so that the rows are recognized
    write_json(partial / "progress.json", {"rows": rows, "crc32": zlib.crc32(out[:rows].data)})


@pytest.fixture
def many(tmp_path):
    """A catalog of 96 images, more than one batch."""
    photos = write_colors(tmp_path / "photos", seed=0, scale=30, classes=16)
    return load_catalog("folder", photos)


def test_a_full_disk_is_an_error_before_anything_is_computed(many, settings, monkeypatch):
    with monkeypatch.context() as disk:
        error = OSError(errno.ENOSPC, "No space left on device")
        disk.setattr(os, "posix_fallocate", Mock(side_effect=error), raising=False)
        with pytest.raises(OSError, match="No space"):
            backbone_features(many, settings, progress=False)
    assert backbone_features(many, settings, progress=False).any(axis=1).all()


def test_an_interrupted_extraction_continues_where_it_stopped(many, settings):
    whole = np.array(backbone_features(many, settings, progress=False))
    folder = entry()
    as_left_by_a_killed_process(folder, rows=64)
    found = backbone_features(many, settings, progress=False)
    assert len(found) == 96
    assert (found[:64] == 7).all()
    np.testing.assert_array_equal(found[64:], whole[64:])
    assert entry() == folder


def test_rows_that_never_reached_the_disk_are_computed_again(many, settings):
    whole = np.array(backbone_features(many, settings, progress=False))
    folder = entry()
    as_left_by_a_killed_process(folder, rows=64)
    partial = folder.with_name(f".{folder.name}.partial")
    np.lib.format.open_memmap(partial / "features.npy", "r+")[10:20] = 0  # a power cut
    np.testing.assert_array_equal(backbone_features(many, settings, progress=False), whole)


def test_what_a_process_left_that_was_killed_after_publishing_is_removed(catalog, settings):
    whole = np.array(backbone_features(catalog, settings, progress=False))
    partial = partial_path(entry())
    partial.mkdir()
    (partial / "progress.json").write_text("{}")
    np.testing.assert_array_equal(backbone_features(catalog, settings, progress=False), whole)
    assert not partial.exists()


@pytest.mark.parametrize("damage", ["zeros", "cut", "no record"])
def test_a_damaged_entry_is_computed_again(catalog, settings, damage):
    whole = np.array(backbone_features(catalog, settings, progress=False))
    file = entry() / "features.npy"
    if damage == "zeros":
        np.lib.format.open_memmap(file, "r+")[3:9] = 0
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-8])
    else:
        (entry() / "complete.json").unlink()
    np.testing.assert_array_equal(backbone_features(catalog, settings, progress=False), whole)


def test_every_replaced_image_is_noticed(tmp_path, settings):
    photos = write_colors(tmp_path / "photos", seed=0, scale=30)
    catalog = load_catalog("folder", photos)
    key = features_key(catalog, settings)
    for path in catalog.absolute_paths():
        before = Path(path).read_bytes()
        os.utime(path, ns=(1, time_stamp(path)[1] + 1))
        assert features_key(catalog, settings) != key
        Path(path).write_bytes(before)
        key = features_key(catalog, settings)


PROCESS = """
import sys
import numpy as np
from retrieval import TrainSettings, load_catalog
from retrieval.embedding.features import backbone_features
from retrieval.models import conv4
from retrieval.settings.resolve import resolve
conv4.WIDTHS = (8, 256)
catalog = load_catalog("folder", sys.argv[1])
settings = TrainSettings(
    dataset="folder", data=sys.argv[1], backbone="conv4", weights="none", image_size=16,
    embedding_size=8, classes_per_batch=3, samples_per_class=2, freeze_backbone=True,
)
features = backbone_features(catalog, resolve(settings, catalog))
print(np.isfinite(features).all(), (features != 0).any(axis=1).all(), features.shape)
"""


@pytest.mark.slow
def test_several_processes_at_once_get_all_features(tmp_path):
    photos = write_colors(tmp_path / "photos", seed=0, scale=30, classes=40)
    command = [sys.executable, "-c", PROCESS, str(photos)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    found = [process.communicate() for process in processes]
    answers = [out.splitlines()[-1:] for out, _ in found]  # after "another process computes ..."
    assert answers == [["True True (240, 256)"]] * 3, found
    assert len(cached_files()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"image_size": 24},
        {"image_size": "16x8"},
        {"pre_crop": 20},
        {"pre_crop": "20x18"},
        {"pooling": "max"},
        {"seed": 1},
    ],
    ids=str,
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

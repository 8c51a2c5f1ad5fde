"""Test images that were trained on under another name are counted."""

import shutil

from retrieval.datasets import load_catalog
from retrieval.datasets.copies import copies_caveat, count_training_copies
from retrieval.runs.resume import dataset_changes
from retrieval.runs.writing import describe_dataset
from tests.datasets.helpers import write_classes


def test_files_are_compared_by_their_content():
    items = [
        ("a/0", "train", "one"), ("a/1", "train", "two"), ("a/2", "train", "three"),
        ("b/0", "test", "one"), ("b/1", "test", "four"), ("b/2", "test", "one"),
        ("b/2", "test", "one"),  # another part of the same image
        ("c/0", "validation", "two"),
    ]  # fmt: skip
    assert count_training_copies(*zip(*items, strict=True)) == 2  # b/0 and b/2
    assert copies_caveat(2).startswith("2 test images are copies of those trained on")


def test_copies_are_counted_when_a_data_set_is_loaded(tmp_path):
    root = tmp_path / "mine"
    write_classes(root / "train", dict.fromkeys("abc", 4))
    write_classes(root / "test", dict.fromkeys("def", 4), seed=5000)
    assert load_catalog("folder", root).training_copies == 0
    before = describe_dataset(load_catalog("folder", root))
    shutil.copy(root / "train" / "a" / "1.jpg", root / "test" / "e" / "2.jpg")
    shutil.copy(root / "train" / "b" / "3.jpg", root / "test" / "f" / "0.jpg")
    for _ in range(2):  # the second time from the record of checked images
        catalog = load_catalog("folder", root)
        assert catalog.training_copies == 2
    assert describe_dataset(catalog).training_copies == 2
    assert dataset_changes(before, catalog) == []  # runs of versions that did not count them

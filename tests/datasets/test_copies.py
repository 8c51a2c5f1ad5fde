"""Test images that were trained on under another name are counted."""

import os

from retrieval.datasets.catalog import make_catalog
from retrieval.datasets.copies import copies_caveat, training_copies


def test_files_are_compared_by_their_content(tmp_path):
    same_ends = [b"a" * 9000 + b"end" * 2000, b"b" * 9000 + b"end" * 2000]
    contents = {
        "train/0.jpg": b"one", "train/1.jpg": b"two", "train/2.jpg": same_ends[0],
        "test/0.jpg": b"one", "test/1.jpg": b"owt", "test/2.jpg": same_ends[1],
        "test/3.jpg": b"one", "test/4.jpg": b"longer",
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "test" / "5.jpg")  # to open it would wait for ever
    names = [*contents, "test/5.jpg", "test/missing.jpg"]
    split = [name.partition("/")[0] for name in names]
    catalog = make_catalog(
        "mine", tmp_path, path=names, label=range(len(names)), label_name=names, split=split
    )
    assert training_copies(catalog) == 2  # test/0 and test/3
    assert copies_caveat(2).startswith("2 test images are copies of those trained on")

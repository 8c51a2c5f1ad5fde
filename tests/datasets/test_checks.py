"""Files, images, bounding boxes and class sizes are checked when a data set is loaded."""

import os
from collections import Counter

import numpy as np
import pytest

from retrieval.datasets import load_catalog
from retrieval.datasets.checks import check_boxes, check_catalog, find_missing
from retrieval.datasets.placeholder import write_placeholder
from retrieval.errors import UserError
from tests.datasets.helpers import write_classes, write_photo


def test_the_first_unreadable_images_are_named_and_the_others_counted(photos):
    for n, path in enumerate(photos.items["path"].iloc[[1, 5, 6, 7, 20]]):
        (photos.root / path).write_bytes(b"x" * n)
    with pytest.raises(UserError, match=r"kind a/1\.jpg: .*2 more images are at fault") as error:
        check_catalog(photos)
    assert "\n" not in str(error.value)
    assert "--skip-unreadable" in str(error.value)


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_unreadable_images_are_left_out_on_request(photos, damage):
    path = photos.root / "kind f/2.jpg"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-100])
    catalog = check_catalog(photos, skip_unreadable=True)
    assert list(catalog.skipped) == ["kind f/2.jpg"]
    assert len(catalog) == 23
    assert "kind f/2.jpg" not in catalog.items["path"].tolist()
    assert catalog.items.index.tolist() == list(range(23))


def test_what_a_run_went_without_stays_out_when_it_is_whole_again(photos):
    catalog = check_catalog(photos, leave_out={"kind f/2.jpg": "damaged"})
    assert len(catalog) == 23
    assert catalog.skipped == {"kind f/2.jpg": "damaged"}


def test_a_training_class_that_loses_all_but_one_image_is_refused(photos):
    for n in range(3):
        (photos.root / f"kind a/{n}.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="one image, first: 'kind a'"):
        check_catalog(photos, skip_unreadable=True)


def test_a_data_set_without_any_readable_image_is_refused(photos):
    for path in photos.items["path"]:
        (photos.root / path).write_bytes(b"")
    with pytest.raises(UserError, match="no image can be read"):
        check_catalog(photos, skip_unreadable=True)


def test_missing_files_are_counted_and_the_first_is_named(photos):
    (photos.root / "kind b/2.jpg").unlink()
    (photos.root / "kind f/0.jpg").unlink()
    with pytest.raises(
        UserError,
        match=r"expected 12 / 12 train / test images, found 11 / 11: 2 files missing, "
        r"first: kind b/2\.jpg",
    ):
        check_catalog(photos)


def test_a_missing_folder_counts_as_missing_files(tmp_path):
    write_photo(tmp_path / "a/0.jpg")
    assert find_missing(tmp_path, ["a/0.jpg", "b/0.jpg", "a/1.jpg"]) == [1, 2]


def test_files_are_looked_for_with_one_listing_per_folder(photos, monkeypatch):
    listed = Counter()
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda p: (listed.update([str(p)]), scandir(p))[1])
    assert find_missing(photos.root, photos.items["path"].tolist()) == []
    assert len(listed) == listed.total() == 6


def test_a_named_pipe_counts_as_missing(tmp_path):
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a/0.jpg")
    assert find_missing(tmp_path, ["a/0.jpg"]) == [0]


def test_a_damaged_image_is_refused_at_every_load(tmp_path):
    root = write_classes(tmp_path / "mine", {"a": 2, "b": 2})
    (root / "b/1.jpg").write_bytes(b"not an image")
    for _ in range(2):
        with pytest.raises(UserError, match=r"b/1\.jpg: "):
            load_catalog("folder", root)


SIZE = (24, 20)


@pytest.fixture
def photo(tmp_path):
    return str(write_photo(tmp_path / "a.jpg", size=SIZE))


@pytest.mark.parametrize("box", [(0, 0, 24, 20), (-5, -5, 6, 6), (23, 19, 9, 9), (-9, -9, 99, 99)])
def test_a_box_that_shows_a_part_of_its_image_passes(photo, box):
    check_boxes([photo], np.array([box], np.float32), [SIZE])


@pytest.mark.parametrize(
    ("box", "what"),
    [
        ((24, 0, 5, 5), "lies outside the image of 24 x 20 pixels"),
        ((0, 500, 5, 5), "lies outside the image"),
        ((-5, 0, 5, 5), "lies outside the image"),
        ((3, 3, 0, 5), "is empty: correct"),
        ((np.nan, 0, 5, 5), "lies outside the image"),
    ],
)
def test_a_box_that_shows_nothing_is_refused(photo, box, what):
    with pytest.raises(UserError, match=what) as caught:
        check_boxes([photo, photo], np.array([(0, 0, 5, 5), box], np.float32), [SIZE] * 2)
    assert "\n" not in str(caught.value)


def test_the_first_image_is_named_and_the_others_counted(photo):
    boxes = np.array([(0, 0, 5, 5), (40, 30, 5.5, 5), (99, 0, 1, 1)], np.float32)
    message = (
        r"a\.jpg: its bounding box \(x, y, width, height = 40, 30, 5\.5, 5\) lies outside the "
        r"image of 24 x 20 pixels; 1 more box is at fault: correct the data set's list of boxes"
    )
    with pytest.raises(UserError, match=message):
        check_boxes([photo] * 3, boxes, [SIZE] * 3)


def test_loading_with_boxes_refuses_one_outside_its_image(photos, tmp_path):
    root = write_placeholder("cub200", photos, tmp_path / "cub", classes=2, per_class=2)
    load_catalog("cub200", root, boxes=True)
    listed = root / "CUB_200_2011" / "bounding_boxes.txt"
    rows = listed.read_text().splitlines()
    listed.write_text("\n".join(["1 3000.0 3.0 10.0 10.0", *rows[1:]]) + "\n")
    for _ in range(2):
        with pytest.raises(UserError, match=r"= 3000, 3, 10, 10\)"):
            load_catalog("cub200", root, boxes=True)
    load_catalog("cub200", root)  # whole images do not care

"""Files, images, bounding boxes and class sizes are checked when a data set is loaded."""

import os
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from retrieval.datasets import checks, load_catalog
from retrieval.datasets.checks import (
    ORIENTATION,
    check_boxes,
    check_catalog,
    check_images,
    image_problem,
    scan_files,
)
from retrieval.datasets.placeholder import write_placeholder
from retrieval.errors import UserError
from retrieval.input_pipeline.decoding import read_square
from tests.datasets.helpers import write_classes, write_photo


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif"])
def test_whole_images_pass(tmp_path, suffix):
    assert image_problem(str(write_photo(tmp_path / f"a{suffix}"))) is None


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_images_are_found(tmp_path, suffix, share):
    path = write_photo(tmp_path / f"a{suffix}", size=(64, 64))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "unreadable or truncated image" in image_problem(str(path))


def test_a_jpeg_with_bytes_after_its_end_is_whole(tmp_path):
    path = write_photo(tmp_path / "a.jpg")
    path.write_bytes(path.read_bytes() + b"\0" * 200)
    assert image_problem(str(path)) is None


def test_other_unreadable_files_are_named_for_what_they_are(tmp_path):
    empty, text, tiff, gif = (tmp_path / n for n in ("e.jpg", "t.jpg", "w.jpg", "g.gif"))
    empty.write_bytes(b"")
    text.write_text("404 not found")
    write_photo(tiff, format="TIFF")
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 255)]
    frames[0].save(gif, save_all=True, append_images=frames[1:])
    assert image_problem(str(empty)) == "unreadable or truncated image (the file is empty)"
    assert "cannot identify image file" in image_problem(str(text))
    assert "a TIFF image; only JPEG, PNG, GIF, WEBP, BMP can be" in image_problem(str(tiff))
    assert "animated GIF" in image_problem(str(gif))
    assert image_problem(str(tmp_path / "none.jpg")) == "missing"


@pytest.mark.parametrize(("suffix", "turned_by_us"), [(".jpg", True), (".png", False)])
def test_an_orientation_that_is_not_heeded_is_never_silent(tmp_path, suffix, turned_by_us):
    problems = []
    for number in (1, 6):
        exif, path = Image.Exif(), tmp_path / f"{number}{suffix}"
        exif[ORIENTATION] = number
        Image.new("RGB", (8, 6)).save(path, exif=exif)
        problems.append(image_problem(str(path)))
    assert problems[0] is None
    assert problems[1] is None if turned_by_us else "mogrify -auto-orient" in problems[1]


def test_a_jpeg_with_a_second_picture_behind_it_is_a_jpeg(tmp_path):
    frames = [Image.new("RGB", (8, 8), (shade,) * 3) for shade in (0, 255)]
    frames[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=frames[1:])
    assert Image.open(tmp_path / "a.jpg").format == "MPO"
    assert image_problem(str(tmp_path / "a.jpg")) is None
    assert read_square(str(tmp_path / "a.jpg"), 8).numpy().max() < 5


def test_the_first_unreadable_image_is_named_and_the_others_counted(tmp_path):
    paths = [write_photo(tmp_path / f"{n}.jpg", seed=n) for n in range(4)]
    paths[1].write_bytes(b"x")
    paths[3].write_bytes(b"")
    with pytest.raises(UserError, match=r"1\.jpg: .*\(1 more image") as error:
        check_images([str(p) for p in paths])
    assert "\n" not in str(error.value)


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
    assert scan_files(tmp_path, ["a/0.jpg", "b/0.jpg", "a/1.jpg"])[0] == [1, 2]


def test_files_are_looked_for_with_one_listing_per_folder(photos, monkeypatch):
    listed, stats = Counter(), Counter()
    scandir, stat = os.scandir, os.stat
    monkeypatch.setattr(checks, "STAT_LIMIT", 10)  # 24 images: a large set
    monkeypatch.setattr(os, "scandir", lambda p: (listed.update([str(p)]), scandir(p))[1])
    monkeypatch.setattr(os, "stat", lambda p, **o: (stats.update([str(p)]), stat(p, **o))[1])
    assert scan_files(photos.root, photos.items["path"].tolist())[0] == []
    assert len(listed) == listed.total() == 6
    assert stats.total() <= 6  # one per folder, none per file


def test_images_are_read_once_and_again_when_a_file_changes(tmp_path, monkeypatch):
    root = write_classes(tmp_path / "mine", {"a": 2, "b": 2})
    read = []
    monkeypatch.setattr(checks, "check_images", lambda paths: read.append(len(paths)))
    for _ in range(2):
        load_catalog("folder", root)
    assert read == [4]
    time.sleep(0.01)
    (root / "a/0.jpg").write_bytes(b"cut short")
    load_catalog("folder", root)
    assert read == [4, 4]


def test_a_damaged_image_is_refused_at_every_load(tmp_path):
    root = write_classes(tmp_path / "mine", {"a": 2, "b": 2})
    (root / "b/1.jpg").write_bytes(b"not an image")
    for _ in range(2):
        with pytest.raises(UserError, match=r"b/1\.jpg: "):
            load_catalog("folder", root)


@pytest.fixture
def photo(tmp_path):
    return str(write_photo(tmp_path / "a.jpg", size=(24, 20)))


@pytest.mark.parametrize("box", [(0, 0, 24, 20), (-5, -5, 6, 6), (23, 19, 9, 9), (-9, -9, 99, 99)])
def test_a_box_that_shows_a_part_of_its_image_passes(photo, box):
    check_boxes([photo], np.array([box], np.float32))


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
        check_boxes([photo, photo], np.array([(0, 0, 5, 5), box], np.float32))
    assert "\n" not in str(caught.value)


def test_the_first_image_is_named_and_the_others_counted(photo):
    boxes = np.array([(0, 0, 5, 5), (40, 30, 5.5, 5), (99, 0, 1, 1)], np.float32)
    message = (
        r"a\.jpg: its bounding box \(x, y, width, height = 40, 30, 5\.5, 5\) lies outside the "
        r"image of 24 x 20 pixels; 1 more box is at fault: correct the data set's list of boxes"
    )
    with pytest.raises(UserError, match=message):
        check_boxes([photo] * 3, boxes)


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

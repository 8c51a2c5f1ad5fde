"""A bounding box must show a part of its image: found when the data set is loaded."""

import numpy as np
import pytest

from retrieval.datasets import load_catalog
from retrieval.datasets.checks import check_boxes
from retrieval.datasets.placeholder import write_placeholder
from retrieval.errors import UserError
from tests.datasets.helpers import write_photo


@pytest.fixture
def path(tmp_path):
    return str(write_photo(tmp_path / "a.jpg", size=(24, 20)))


@pytest.mark.parametrize("box", [(0, 0, 24, 20), (-5, -5, 6, 6), (23, 19, 9, 9), (-9, -9, 99, 99)])
def test_a_box_that_shows_a_part_of_its_image_passes(path, box):
    check_boxes([path], np.array([box], np.float32))


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
def test_a_box_that_shows_nothing_is_refused(path, box, what):
    with pytest.raises(UserError, match=what) as caught:
        check_boxes([path, path], np.array([(0, 0, 5, 5), box], np.float32))
    assert "\n" not in str(caught.value)


def test_the_first_image_is_named_and_the_others_counted(path):
    boxes = np.array([(0, 0, 5, 5), (40, 30, 5.5, 5), (99, 0, 1, 1)], np.float32)
    message = (
        r"a\.jpg: its bounding box \(x, y, width, height = 40, 30, 5\.5, 5\) lies outside the "
        r"image of 24 x 20 pixels; 1 more box is at fault: correct the data set's list of boxes"
    )
    with pytest.raises(UserError, match=message):
        check_boxes([path] * 3, boxes)


def test_loading_with_boxes_refuses_one_outside_its_image(photos, tmp_path):
    root = write_placeholder("cub200", photos, tmp_path / "cub", classes=2, per_class=2)
    load_catalog("cub200", root, boxes=True)
    listed = root / "CUB_200_2011" / "bounding_boxes.txt"
    rows = listed.read_text().splitlines()
    listed.write_text("\n".join(["1 3000.0 3.0 10.0 10.0", *rows[1:]]) + "\n")
    for _ in range(2):
        with pytest.raises(UserError, match=r"= 3000, 3, 10, 10\) lies outside the image"):
            load_catalog("cub200", root, boxes=True)
    load_catalog("cub200", root)  # whole images do not care

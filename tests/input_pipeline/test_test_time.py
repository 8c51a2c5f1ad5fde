"""Test-time views of an image, and one embedding from them."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import UserError
from retrieval.input_pipeline.test_time import (
    aggregate,
    cut_views,
    parse_views,
    view_names,
    view_size,
    warn_of_resolution,
)

# 4 x 4 pixels that say where they are: 10 * row + column, in every channel.
ROWS, COLUMNS = np.mgrid[:4, :4]
IMAGE = np.repeat((10 * ROWS + COLUMNS)[None, :, :, None], 3, axis=3).astype(np.uint8)


def cut(text, size):
    """The views of IMAGE by name, one channel."""
    kinds = parse_views(text)
    views = cut_views(IMAGE, kinds, size)
    assert views.dtype == np.uint8
    return dict(zip(view_names(kinds), views[0, ..., 0].tolist(), strict=True))


def test_flip_adds_the_horizontal_flip_of_the_image():
    assert cut("flip", 2) == {"center": [[11, 12], [21, 22]], "center_flip": [[12, 11], [22, 21]]}


def test_five_crops_are_the_center_and_the_corners():
    assert cut("five_crop", 2) == {
        "center": [[11, 12], [21, 22]],
        "top_left": [[0, 1], [10, 11]],
        "top_right": [[2, 3], [12, 13]],
        "bottom_left": [[20, 21], [30, 31]],
        "bottom_right": [[22, 23], [32, 33]],
    }


def test_five_crops_of_a_tall_view_leave_room_on_each_side_by_itself():
    assert cut("five_crop", (3, 2)) == {
        "center": [[1, 2], [11, 12], [21, 22]],
        "top_left": [[0, 1], [10, 11], [20, 21]],
        "top_right": [[2, 3], [12, 13], [22, 23]],
        "bottom_left": [[10, 11], [20, 21], [30, 31]],
        "bottom_right": [[12, 13], [22, 23], [32, 33]],
    }


def test_flip_and_five_crops_make_ten_views():
    views = cut("flip+five_crop", 3)
    assert len(views) == 10
    assert views["bottom_left_flip"] == [row[::-1] for row in views["bottom_left"]]
    assert list(cut("five_crop+flip", 3)) == list(views)


def test_average_pool_takes_the_whole_image_at_pre_crop_size():
    kinds = parse_views("average_pool")
    assert view_size(kinds, 224, 256) == 256
    assert view_size(kinds, 224, None) == 224
    assert cut("average_pool", 4) == {"average_pool": IMAGE[0, ..., 0].tolist()}


def test_other_views_have_the_size_of_the_network_s_input():
    assert view_size(parse_views("flip+five_crop"), 224, 256) == 224


class TestRefuses:
    @pytest.mark.parametrize("text", ["five_crops", "flip+centr", "flip,center", ""])
    def test_an_unknown_view(self, text):
        with pytest.raises(UserError, match="unknown test-time view"):
            parse_views(text)

    def test_two_ways_to_crop(self):
        with pytest.raises(UserError, match="five_crop, average_pool"):
            parse_views("five_crop+average_pool")

    def test_five_crops_without_room(self):
        with pytest.raises(UserError, match="--pre-crop above 4"):
            cut_views(IMAGE, ("five_crop",), 4)

    @pytest.mark.parametrize(("size", "side"), [((4, 2), "4 in height"), ((2, 4), "4 in width")])
    def test_five_crops_without_room_on_one_side(self, size, side):
        with pytest.raises(UserError, match=f"--pre-crop above {side}"):
            cut_views(IMAGE, ("five_crop",), size)

    def test_an_unknown_mean(self):
        with pytest.raises(UserError, match=r"test_time_mean = 'median'"):
            aggregate(np.zeros((1, 2, 3)), "median")


def test_plain_and_normalized_mean():
    embeddings = np.array([[[6.0, 0.0], [0.0, 8.0]]])
    np.testing.assert_allclose(aggregate(embeddings, "plain"), [[3, 4]])
    np.testing.assert_allclose(aggregate(embeddings, "normalized"), [[0.6, 0.8]])


@given(st.integers(1, 10), st.integers(0, 2**32 - 1))
def test_the_normalized_mean_ignores_the_order_of_views_and_has_unit_length(views, seed):
    random = np.random.default_rng(seed)
    embeddings = random.normal(size=(3, views, 8)).astype(np.float32)
    combined = aggregate(embeddings)
    assert combined.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(combined, axis=1), 1, rtol=1e-5)
    shuffled = aggregate(embeddings[:, random.permutation(views)])
    np.testing.assert_allclose(shuffled, combined, atol=1e-5)


def test_views_that_cancel_give_zero_and_no_nan():
    assert aggregate(np.array([[[1.0, -2.0], [-1.0, 2.0]]])).tolist() == [[0, 0]]


def test_another_resolution_than_in_training_gives_a_warning():
    with pytest.warns(UserWarning, match=r"256 px.*224 px"):
        warn_of_resolution(224, 256)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_resolution(224, 224)
        warn_of_resolution("256x128", (256, 128))
    with pytest.warns(UserWarning, match=r"288x144 px.*256x128 px"):
        warn_of_resolution("256x128", "288x144")

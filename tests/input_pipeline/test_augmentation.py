"""Random crops and colors: inside the image, of the right size, each seed and step its own."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.input_pipeline.augmentation import (
    JITTER,
    RATIO,
    apply_crop,
    draw,
    draw_crops,
    jitter,
)
from retrieval.validation import DEFAULT_CROP_AREA

NOISE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


def crops(seed=0, step=0, batch=4000, **options) -> np.ndarray:
    options = {"loaded": 32, "size": 24, "flip": True, "resized": False} | options
    return draw_crops(seed, tf.constant(step, tf.int64), batch, **options).numpy()


@given(st.integers(0, 2**31), st.integers(0, 10**6), st.integers(8, 300), st.booleans())
@settings(max_examples=60, deadline=None)
def test_crops_lie_inside_the_image(seed, step, loaded, resized):
    drawn = crops(seed, step, 64, loaded=loaded, size=8, resized=resized)
    top, left, height, width, flipped = drawn.T
    assert (drawn >= 0).all()
    assert (height >= 1).all()
    assert (width >= 1).all()
    assert (top + height <= loaded).all()
    assert (left + width <= loaded).all()
    assert set(flipped) <= {0, 1}


@pytest.mark.parametrize("resized", [False, True])
def test_crops_of_a_tall_image_lie_inside_it_and_reach_its_ends(resized):
    top, left, height, width, _ = crops(loaded=(72, 36), size=(64, 32), resized=resized).T
    assert (top + height).max() == 72
    assert (left + width).max() == 36
    assert (top.min(), left.min()) == (0, 0)
    if resized:  # the ratio is relative to that of the image
        ratio = (width / 36) / (height / 72)
        assert RATIO[0] * 0.95 < ratio.min() < ratio.max() < RATIO[1] * 1.05
    else:
        assert (set(height), set(width)) == ({64}, {32})


def test_a_crop_reaches_every_place_equally_often():
    top, left, height, width, flipped = crops(batch=81_000).T
    assert set(height) == set(width) == {24}
    counts = np.bincount(9 * top + left, minlength=81)
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert chi_square < 130  # 80 degrees of freedom: p = .001 at 125
    assert abs(flipped.mean() - 0.5) < 0.01


def test_a_resized_crop_has_the_wanted_areas_and_ratios():
    _, _, height, width, _ = crops(loaded=1000, resized=True).T
    area, ratio = height * width / 1e6, width / height
    assert area.min() > 0.9 * DEFAULT_CROP_AREA
    assert area.max() > 0.95
    assert ratio.min() > RATIO[0] - 0.01
    assert ratio.max() < RATIO[1] + 0.01
    assert ratio.min() < RATIO[0] + 0.05
    assert ratio.max() > RATIO[1] - 0.05


@pytest.mark.parametrize("least_area", [0.08, 0.16, 0.5, 1.0])
def test_a_resized_crop_shows_at_least_the_wanted_share_of_the_image(least_area):
    _, _, height, width, _ = crops(loaded=1000, resized=True, least_area=least_area).T
    area = height * width / 1e6
    # Crops that are wider or higher than the image are cut to it: at most to sqrt(3 / 4) of it.
    assert least_area * 0.86 < area.min() < least_area * 1.05
    assert area.max() > 0.95


def test_nothing_is_flipped_unless_asked_for():
    assert not crops(flip=False)[:, 4].any()


def test_draws_depend_on_seed_stream_and_step_alone():
    keys = [(seed, stream, step) for seed in (0, 1) for stream in (0, 1) for step in (0, 1)]

    def numbers(seed, stream, step):
        return draw(seed, stream, tf.constant(step, tf.int64), (8,)).numpy()

    drawn = np.stack([numbers(*key) for key in keys])
    assert len(np.unique(drawn)) == drawn.size
    np.testing.assert_array_equal(drawn, np.stack([numbers(*key) for key in keys]))


@pytest.mark.parametrize("flipped", [0, 1])
def test_a_crop_is_that_part_of_the_image(flipped):
    found = apply_crop(tf.constant(NOISE), tf.constant([3, 5, 24, 24, flipped]), 24, resized=False)
    wanted = NOISE[3:27, 5:29]
    np.testing.assert_array_equal(found, wanted[:, ::-1] if flipped else wanted)


def test_a_resized_crop_fills_the_square():
    image = np.zeros((32, 32, 3), np.uint8)
    image[8:16, 4:28] = 200
    found = apply_crop(tf.constant(image), tf.constant([8, 4, 8, 24, 1]), 16, resized=True)
    np.testing.assert_array_equal(found, np.full((16, 16, 3), 200))


class TestJitter:
    @staticmethod
    def by_steps(image, u):
        """Brightness, contrast, saturation one after the other, as torchvision defines them."""
        bright, contrast, saturation = 1 + JITTER * (2 * np.array(u) - 1)
        weights = np.array([0.299, 0.587, 0.114])
        x = image.astype(float) * bright
        x = contrast * x + (1 - contrast) * (x @ weights).mean()
        x = saturation * x + (1 - saturation) * (x @ weights)[..., None]
        return np.clip(x, 0, 255)

    @given(st.tuples(*3 * [st.floats(0, 1)]))
    @settings(max_examples=40, deadline=None)
    def test_equals_the_three_steps_in_turn(self, u):
        found = jitter(tf.constant(NOISE), tf.constant(u, tf.float32)).numpy()
        np.testing.assert_allclose(found, self.by_steps(NOISE, u), atol=0.51)

    def test_the_middle_of_the_range_changes_nothing(self):
        np.testing.assert_array_equal(jitter(tf.constant(NOISE), tf.fill((3,), 0.5)), NOISE)


@pytest.mark.parametrize("resized", [False, True])
def test_a_crop_has_the_wanted_height_and_width(resized):
    found = apply_crop(
        tf.constant(NOISE), tf.constant([3, 5, 24, 12, 1]), (24, 12), resized=resized
    )
    np.testing.assert_array_equal(found, NOISE[3:27, 5:17][:, ::-1])

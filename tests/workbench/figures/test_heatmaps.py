"""Heat maps over images."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from workbench.figures import heatmaps

IMAGE = np.full((8, 8, 3), (200, 100, 50), np.uint8)


def rgb(level: float) -> np.ndarray:
    """Color of a part of this share of the strongest, over IMAGE."""
    drawn = heatmaps.overlay(IMAGE, np.full((5, 5), level), 1.0, side=16, opacity=1.0)
    return np.asarray(drawn, int)[8, 8]


def lightness(color: np.ndarray) -> float:
    """CIE L* of an sRGB color."""
    linear = np.where(color <= 10, color / 255 / 12.92, ((color / 255 + 0.055) / 1.055) ** 2.4)
    y = linear @ (0.2126, 0.7152, 0.0722)
    return 116 * np.cbrt(y) - 16 if y > 0.008856 else 903.3 * y


@pytest.mark.parametrize(
    ("shape", "size"), [((8, 8), (288, 288)), ((64, 32), (144, 288)), ((32, 64), (288, 144))]
)
def test_an_image_keeps_its_shape(shape, size):
    image = np.zeros((*shape, 3), np.uint8)
    assert heatmaps.plain(image).size == size  # width, height
    assert heatmaps.overlay(image, np.ones((4, 2)), 1.0).size == size


def test_what_plays_no_part_is_the_bare_gray_photo():
    assert np.ptp(rgb(0)) == 0


def test_what_raises_is_warm_and_what_lowers_is_blue():
    for level in (0.3, 0.6, 1.0):
        red, _, blue = rgb(level)
        assert red > blue + 15
        red, _, blue = rgb(-level)
        assert blue > red + 15


@pytest.mark.parametrize("ramp", [heatmaps.RAISES, heatmaps.LOWERS])
def test_lightness_rises_evenly_along_the_colors(ramp):
    levels = np.linspace(0, 1, 11)
    steps = np.diff([lightness(color) for color in heatmaps._ramp(ramp, levels)])
    assert steps.min() > 0.5 * steps.mean() > 0
    assert steps.max() < 2 * steps.mean()


def test_the_colors_differ_for_the_color_blind():
    # Deuteranopia and protanopia keep what differs between blue and the mean of red and green.
    for level in (0.3, 1.0):
        warm, cold = rgb(level), rgb(-level)
        contrast = (warm[:2].mean() - warm[2]) - (cold[:2].mean() - cold[2])
        assert contrast > 30


def test_opacity_lets_the_photo_through():
    photo = np.tile(np.array([0, 255] * 8, np.uint8)[:, None], (16, 1, 3)).reshape(16, 16, 3)
    spread = [
        np.asarray(heatmaps.overlay(photo, np.ones((3, 3)), 1.0, side=16, opacity=o)).std()
        for o in (0.2, 0.8)
    ]
    assert spread[0] > spread[1] > 0


def test_maps_share_the_scale_they_are_given():
    parts = np.full((5, 5), 0.02)
    half, full = (np.asarray(heatmaps.overlay(IMAGE, parts, s), int) for s in (0.04, 0.02))
    assert lightness(full.mean((0, 1))) > lightness(half.mean((0, 1))) + 10


def test_no_parts_give_a_finite_image():
    assert heatmaps.overlay(IMAGE, np.zeros((3, 3)), 0.0).size == (heatmaps.SIDE, heatmaps.SIDE)


def words(html: str) -> list[str]:
    return re.findall(r"<span[^>]*>(.*?)</span>", html)


def test_the_legend_gives_the_scale_in_words_and_shares():
    html = heatmaps.legend(0.0, 0.05, 0.8)
    assert words(html) == ["no effect", "adds 6.2% of the similarity"]
    assert html.count("rgb(") == 25
    both = heatmaps.legend(-0.05, 0.05, 0.8)
    assert words(both)[-1] == "takes away 6.2% of the similarity"
    assert "left: 50.0%" in both  # no effect


def test_the_legend_has_no_shares_where_parts_do_not_add_up():
    assert words(heatmaps.legend(-0.1, 0.1, None)) == [
        "no effect",
        "raises the similarity",
        "lowers the similarity",
    ]


def test_the_legend_of_no_parts_is_drawn():
    assert words(heatmaps.legend(0.0, 0.0, None)) == ["no effect", "raises the similarity"]


def test_concentration_is_the_share_of_the_strongest_quarter():
    assert heatmaps.concentration(np.ones((4, 4))) == 0.25
    assert heatmaps.concentration(np.eye(4)) == 1.0
    assert heatmaps.concentration(-np.ones((4, 4))) == 0.0
    assert heatmaps.concentration(np.array([[3.0, 1.0], [-5.0, 0.0]])) == 0.75


def test_a_data_url_holds_the_image():
    url = heatmaps.data_url(heatmaps.plain(IMAGE, side=20))
    assert url.startswith("data:image/webp;base64,")
    decoded = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))
    assert decoded.size == (20, 20)

"""Heat maps over images."""

import base64
import io

import numpy as np
from PIL import Image

from workbench import heatmaps

IMAGE = np.full((8, 8, 3), (200, 100, 50), np.uint8)


def test_strong_parts_are_bright_weak_ones_dark_and_negative_ones_blue():
    parts = np.repeat(np.repeat([[1.0, 0.0], [-1.0, 0.0]], 8, 0), 8, 1)
    lit = np.asarray(heatmaps.overlay(IMAGE, parts, 1.0, side=32), int)
    strong, weak, negative = lit[4, 4], lit[4, 28], lit[28, 4]
    assert np.abs(strong - IMAGE[0, 0]).max() <= 3
    assert weak.max() < 40
    assert np.ptp(weak) <= 2  # grey
    assert negative[2] > 2 * negative[0]


def test_maps_share_the_scale_they_are_given():
    parts = np.full((5, 5), 0.02)
    dim = np.asarray(heatmaps.overlay(IMAGE, parts, 0.04), int).mean()
    full = np.asarray(heatmaps.overlay(IMAGE, parts, 0.02), int).mean()
    assert dim < 0.6 * full


def test_no_parts_give_a_finite_image():
    assert heatmaps.overlay(IMAGE, np.zeros((3, 3)), 0.0).size == (heatmaps.SIDE, heatmaps.SIDE)


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

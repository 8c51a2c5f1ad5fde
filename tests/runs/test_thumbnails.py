"""Thumbnails of images at the limits of what is decoded."""

import warnings

import pytest
from PIL import Image

from retrieval.datasets import image_limits
from retrieval.runs.thumbnails import read_pack, write_thumbnails


@pytest.fixture
def few_pixels(monkeypatch):
    """Let 100 pixels be the most that are decoded, 200 of a JPEG."""
    monkeypatch.setattr(image_limits, "MOST_PIXELS", 100)
    monkeypatch.setattr(image_limits, "MOST_PIXELS_OF_A_JPEG", 200)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)


@pytest.mark.parametrize(
    ("kind", "width", "is_shown"),
    [("PNG", 10, True), ("PNG", 11, False), ("JPEG", 20, True), ("JPEG", 21, False)],
)
def test_an_image_with_too_many_pixels_has_no_thumbnail(
    few_pixels, tmp_path, kind, width, is_shown
):
    path = tmp_path / "image"
    Image.new("RGB", (width, 10), "red").save(path, kind)
    with warnings.catch_warnings(action="error"):
        write_thumbnails(tmp_path / "thumbnails", [str(path)], progress=False)
    assert bool(read_pack(tmp_path / "thumbnails").image(0)) == is_shown

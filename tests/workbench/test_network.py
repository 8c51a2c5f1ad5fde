"""Images that a user gives: checked by content, embedded as the run's items were."""

import io

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import UserError
from workbench import network


def encoded(kind: str, size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_images_are_known_by_content(kind):
    image = network.check_image(encoded(kind), "photo.exe")
    assert image.size == (40, 30)
    assert image.mode == "RGB"


@pytest.mark.parametrize(
    "data",
    [b"", b"not an image", encoded("JPEG")[:200], b"<svg xmlns='http://www.w3.org/2000/svg'/>",
     encoded("TIFF")],
)  # fmt: skip
def test_anything_else_is_refused_by_name(data):
    with pytest.raises(UserError, match=r"photo\.jpg: not a readable image"):
        network.check_image(data, "photo.jpg")


def test_large_files_and_many_pixels_are_refused(monkeypatch):
    monkeypatch.setattr(network, "MOST_PIXELS", 1000)
    with pytest.raises(UserError, match="40 x 30 pixels are too many"):
        network.check_image(encoded("PNG"), "photo.png")
    monkeypatch.setattr(network, "MOST_BYTES", 100)
    with pytest.raises(UserError, match="at most 20 MB"):
        network.check_image(encoded("PNG"), "photo.png")


def test_runs_without_a_network_say_why(make_run):
    assert "no checkpoint" in network.why_not(make_run("one"))
    assert "imported" in network.why_not(make_run("two", loss=None))

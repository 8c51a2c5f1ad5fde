"""Every image is decoded in full once, and what its decoder complains about is a fault."""

import io
import json
import os
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from retrieval.datasets import image_health
from retrieval.datasets.image_health import ORIENTATION, examine, image_problem
from retrieval.datasets.image_health import image_health as health_of
from retrieval.datasets.image_limits import MOST_PIXELS
from retrieval.input_pipeline.decoding import decode, read_resized
from tests.datasets.helpers import write_photo


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif"])
def test_whole_images_pass(tmp_path, suffix):
    assert image_problem(str(write_photo(tmp_path / f"a{suffix}"))) is None


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_images_are_found(tmp_path, suffix, share):
    path = write_photo(tmp_path / f"a{suffix}", size=(64, 64))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert image_problem(str(path)) is not None


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
    assert read_resized(str(tmp_path / "a.jpg"), 8).numpy().max() < 5


def picture(kind, side=64, **save):
    """A smooth picture, as its file."""
    ramp = np.linspace(0, 255, side)
    pixels = np.stack([ramp[:, None] + 0 * ramp, ramp + 0 * ramp[:, None], ramp * ramp[:, None]], 2)
    buffer = io.BytesIO()
    Image.fromarray((pixels % 256).astype(np.uint8)).save(buffer, kind, **save)
    return buffer.getvalue()


def flipped(data, at):
    at = at % len(data)
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


@pytest.mark.parametrize("at", range(8, 400, 3))
def test_a_flipped_byte_of_a_png_is_found_wherever_it_is(tmp_path, at):
    data = picture("PNG")
    (tmp_path / "a.png").write_bytes(flipped(data, at * len(data) // 400))
    assert image_problem(str(tmp_path / "a.png")) is not None


def test_a_png_that_decodes_to_other_pixels_is_found_by_its_checksum(tmp_path):
    data = picture("PNG", compress_level=0)  # stored: any byte of it is a valid pixel
    at = data.index(b"IDAT") + 500
    (tmp_path / "a.png").write_bytes(flipped(data, at))
    assert image_problem(str(tmp_path / "a.png")) is not None


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("damage", ["zeros", "swapped", "cut, with an end"])
def test_jpeg_data_that_end_early_or_are_no_code_are_found(tmp_path, options, damage):
    data = picture("JPEG", side=160, quality=95, **options)
    half, third = len(data) // 2, len(data) // 3
    (tmp_path / "a.jpg").write_bytes(
        {
            "zeros": data[:half] + b"\0" * (len(data) - half - 2) + data[-2:],
            "swapped": data[:third] + data[half : 2 * third] + data[third:half] + data[2 * third :],
            "cut, with an end": data[:half] + data[-2:],
        }[damage]
    )
    assert image_problem(str(tmp_path / "a.jpg")) is not None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_what_passes_is_decoded_by_the_training_too(tmp_path, kind):
    data, random = picture(kind, side=40), np.random.default_rng(0)
    passed = 0
    for at in random.integers(0, len(data), 150):
        for damaged in (flipped(data, at), data[:at], data[:at] + b"xyz" + data[at:]):
            (tmp_path / "a").write_bytes(damaged)
            if image_problem(str(tmp_path / "a")) is None:
                decode(tf.constant(damaged), 8)
                passed += 1
    assert passed == 0 if kind == "PNG" else passed < 450


def chunk(name, content):
    checksum = zlib.crc32(name + content)
    return len(content).to_bytes(4, "big") + name + content + checksum.to_bytes(4, "big")


@pytest.mark.parametrize(("side", "refused"), [(9_000, False), (10_000, True), (60_000, True)])
def test_an_image_above_the_limit_is_refused_with_its_size(tmp_path, side, refused):
    # One gray value: a few bytes per row, and only the header is read if it is refused.
    head = side.to_bytes(4, "big") * 2 + b"\1\0\0\0\0"  # one bit per pixel
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    if not refused:
        data += chunk(b"IDAT", zlib.compress(bytes((side // 8 + 1) * side), 1))
        data += chunk(b"IEND", b"")
    else:
        data += chunk(b"IDAT", b"")
    (tmp_path / "a.png").write_bytes(data)
    problem = image_problem(str(tmp_path / "a.png"))
    assert (problem is not None) == refused == (side**2 > MOST_PIXELS)
    if refused:
        assert str(side) in problem or str(side**2 // 10**6) in problem
        assert "megapixels" in problem


def test_a_large_jpeg_is_read_reduced_and_a_larger_one_refused(tmp_path):
    Image.new("L", (12_000, 10_000)).save(tmp_path / "a.jpg")
    assert image_problem(str(tmp_path / "a.jpg")) is None
    Image.new("L", (14_000, 14_000)).save(tmp_path / "b.jpg")
    assert "196 megapixels" in image_problem(str(tmp_path / "b.jpg"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Ten photos, their paths, and a list of the files that are decoded."""
    decoded = []
    whole = health_of
    monkeypatch.setattr(
        image_health, "image_health", lambda path: (decoded.append(path), whole(path))[1]
    )
    names = [f"{n}.jpg" for n in range(10)]
    for n, name in enumerate(names):
        write_photo(tmp_path / "photos" / name, seed=n)
    return tmp_path / "photos", names, decoded


def test_a_file_is_decoded_once_until_it_changes(folder):
    root, names, decoded = folder
    sizes = [(h.width, h.height) for h in examine(root, names)]
    assert len(decoded) == 10
    assert [(h.width, h.height) for h in examine(root, names)] == sizes == [(24, 20)] * 10
    assert len(decoded) == 10
    write_photo(root / "3.jpg", seed=99, size=(30, 20))
    assert examine(root, names)[3].width == 30
    assert decoded[10:] == [f"{root}/3.jpg"]


def test_a_damaged_file_is_looked_at_again(folder):
    root, names, decoded = folder
    (root / "4.jpg").write_bytes(b"damaged")
    for _ in range(2):
        assert [h.problem is None for h in examine(root, names)] == [n != 4 for n in range(10)]
    assert decoded.count(f"{root}/4.jpg") == 2
    assert len(decoded) == 11


def test_every_file_counts_however_many_there_are(folder):
    root, names, decoded = folder
    examine(root, names * 2_100)  # above what used to be sampled
    decoded.clear()
    write_photo(root / "7.jpg", seed=99, size=(31, 20))
    assert examine(root, names)[7].width == 31


@pytest.mark.parametrize("content", ["", "{", "[]", '{"0.jpg": 3}', '{"0.jpg": [1, "x", 2, 3]}'])
def test_a_damaged_record_only_costs_time(folder, tmp_path, content):
    root, names, decoded = folder
    examine(root, names)
    (record,) = (tmp_path / "cache/checked").glob("*.json")
    record.write_text(content)
    assert all(h.problem is None for h in examine(root, names))
    assert len(decoded) == 20


def test_an_interrupted_check_keeps_what_was_found(folder, monkeypatch):
    root, names, decoded = folder
    monkeypatch.setattr(image_health, "PART", 2)
    whole = image_health.image_health

    def interrupt(path):
        if path.endswith("9.jpg"):
            raise KeyboardInterrupt
        return whole(path)

    monkeypatch.setattr(image_health, "image_health", interrupt)
    with pytest.raises(KeyboardInterrupt):
        examine(root, names)
    monkeypatch.setattr(image_health, "image_health", whole)
    decoded.clear()
    examine(root, names)
    assert decoded == [f"{root}/8.jpg", f"{root}/9.jpg"]


SCRIPT = """
import sys
from pathlib import Path
from retrieval.datasets.image_health import examine
first = int(sys.argv[2])
names = [f"{n}.jpg" for n in range(first, first + 10)]
assert all(h.problem is None for h in examine(Path(sys.argv[1]), names))
"""


@pytest.mark.slow
def test_processes_that_check_at_once_lose_nothing_of_each_other(tmp_path):
    root = tmp_path / "photos"
    for n in range(40):
        write_photo(root / f"{n}.jpg", seed=n)
    processes = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, str(root), str(10 * n)], env=os.environ)
        for n in range(4)
    ]
    assert [process.wait() for process in processes] == [0] * 4
    (record,) = (tmp_path / "cache/checked").glob("*.json")
    assert set(json.loads(record.read_text())) == {f"{n}.jpg" for n in range(40)}
    assert [p.name for p in record.parent.iterdir()] == [record.name]

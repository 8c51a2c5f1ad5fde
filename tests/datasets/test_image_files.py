"""One vocabulary of images: what is read decodes in training and in the app to the same pixels."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from retrieval.datasets.image_files import (
    FORMATS,
    IMAGE_SUFFIXES,
    describe_left_out,
    is_image_name,
    is_junk,
    printable,
)
from retrieval.datasets.image_health import image_problem
from retrieval.input_pipeline.decoding import decode
from tests.datasets.helpers import write_photo

SIZE = (40, 30)


def photo():
    rough = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(rough).resize(SIZE)


def encoded(image, **save):
    buffer = io.BytesIO()
    image.save(buffer, **save)
    return buffer.getvalue()


def transparent():
    image = photo().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(SIZE))
    return image


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_suffix_of_the_vocabulary_is_read(tmp_path, suffix):
    kind = next(kind for kind, suffixes in FORMATS.items() if suffix in suffixes)
    path = write_photo(tmp_path / f"a{suffix}", format=kind)
    assert is_image_name(path.name.upper())
    assert image_problem(str(path)) is None


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        (kind, mode)
        for kind in FORMATS
        for mode in ("RGB", "L", "transparent")
        if (kind, mode) not in {("JPEG", "transparent"), ("GIF", "transparent")}  # no such files
    ],
)
def test_the_input_pipeline_decodes_what_pillow_shows(tmp_path, kind, mode):
    image = transparent() if mode == "transparent" else photo().convert(mode)
    data = encoded(image, format=kind, **({"exact": True} if kind == "WEBP" else {}))
    ours = decode(tf.constant(data), 16)[0].numpy()
    shown = Image.open(io.BytesIO(data)).convert("RGB")
    np.testing.assert_array_equal(ours, np.asarray(shown))
    (tmp_path / "a").write_bytes(data)
    assert image_problem(str(tmp_path / "a")) is None


@pytest.mark.parametrize(
    ("name", "image", "save"),
    [
        ("palette.bmp", photo().quantize(16), {}),  # TensorFlow would take indices for gray
        ("bits.bmp", photo().convert("1"), {}),
        ("moving.webp", photo(), {"save_all": True, "append_images": [photo().rotate(180)]}),
        ("pages.tif", photo(), {}),
    ],
)
def test_what_would_be_decoded_wrongly_is_refused(tmp_path, name, image, save):
    image.save(tmp_path / name, **save)
    assert image_problem(str(tmp_path / name)) is not None


def test_the_content_of_a_file_decides_and_not_its_suffix(tmp_path):
    photo().save(tmp_path / "a.jpg", format="WEBP")
    assert image_problem(str(tmp_path / "a.jpg")) is None


@pytest.mark.parametrize(
    "name", ["@eaDir", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found"]
)
def test_folders_of_systems_are_junk_in_any_case(name):
    assert is_junk(name)
    assert is_junk(name.upper())
    assert is_junk(name.lower())


@pytest.mark.parametrize(
    "name", [".DS_Store", "._0.jpg", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints"]
)
def test_files_of_systems_are_junk_and_those_of_users_are_not(name):
    assert is_junk(name)
    assert not is_junk("desktop.jpg")


def test_what_is_left_out_is_counted_by_kind_in_one_line():
    (line,) = describe_left_out("photos", others=["a.tif", "b.TIF", "README"], junk=4, loose=1)
    for words in ("photos", ".tif 2", "no suffix 1", "3 files", "4 hidden", "1 image"):
        assert words in line
    assert describe_left_out("photos") == []


def test_names_that_are_not_utf8_can_be_shown():
    assert printable("a\udcff\n.jpg") == "a\\xff\\n.jpg"
    assert printable("café") == "café"

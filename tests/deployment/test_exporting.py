"""Exported files, read with the library that their users have, embed as the run does."""

import io
import shutil

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from retrieval import load_embedder
from retrieval.deployment import exporting, formats
from retrieval.deployment.exporting import export_network, lines_of
from retrieval.deployment.formats import FORMATS
from retrieval.errors import UserError
from retrieval.runs.importing import import_files
from retrieval.validation import ExportFormat, ExportPrecision, choices_of
from tests.deployment.helpers import files_of


@pytest.fixture(scope="module")
def embedder(_finished):
    return load_embedder(_finished)


def embed_by_onnx(path, images):
    session = onnxruntime.InferenceSession(path)
    return session.run(["embedding"], {"images": images})[0]


def embed_by_tensorflow(path, images):
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    return signature(images=tf.constant(images))["embedding"].numpy()


def embed_by_litert(path, images):
    embed = Interpreter(str(path)).get_signature_runner()
    return np.concatenate([embed(images=image[None])["embedding"] for image in images])


READERS = {
    "saved_model": embed_by_tensorflow,
    "onnx": embed_by_onnx,
    "litert": embed_by_litert,
}


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def refused(*arguments, **options):
    with pytest.raises(UserError) as caught:
        export_network(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def photos(run, settings):
    return np.stack([np.asarray(Image.open(f"{settings.data}/{p}")) for p in run.items["path"]])


def test_the_names_of_formats_and_precisions_are_those_of_the_command():
    assert tuple(FORMATS) == choices_of(ExportFormat)
    assert {p for each in FORMATS.values() for p in each.precisions} == {
        *choices_of(ExportPrecision)
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["saved_model", "onnx"])
def test_photos_of_their_own_size_get_the_vectors_that_the_run_stores(name, exports, photos, run):
    found = READERS[name](exports[name].path, photos)  # 20 px, resized to 16 px inside
    np.testing.assert_allclose(found, unit(run.embeddings), atol=2e-6)


@pytest.mark.parametrize("name", ["saved_model", "onnx"])
def test_images_of_any_size_are_resized_as_the_run_does(name, exports, embedder):
    rng = np.random.default_rng(0)
    for height, width in [(16, 16), (9, 40), (200, 31), (33, 130)]:
        images = rng.integers(0, 256, (3, height, width, 3), np.uint8)
        found = READERS[name](exports[name].path, images)
        np.testing.assert_allclose(found, unit(embedder.embed(images)), atol=2e-6)


def test_litert_takes_images_of_the_size_of_the_run(exports, embedder):
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    found = READERS["litert"](exports["litert"].path, images)
    np.testing.assert_allclose(found, unit(embedder.embed(images)), atol=2e-6)


def test_a_saved_model_decodes_files_and_their_orientation(exports, embedder):
    signature = tf.saved_model.load(str(exports["saved_model"].path)).signatures["encoded"]
    files, image = [], Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 60, 3), "u1"))
    for kind, orientation in (("JPEG", 1), ("JPEG", 6), ("PNG", 1), ("WEBP", 1)):
        exif, buffer = image.getexif(), io.BytesIO()
        exif[0x0112] = orientation
        image.save(buffer, kind, exif=exif)
        files.append(buffer.getvalue())
    found = signature(encoded=tf.constant(files))["embedding"].numpy()
    np.testing.assert_allclose(found, unit(embedder.embed(files)), atol=2e-6)
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_measured_is_kept_and_printed(name, exports, run):
    made = exports[name]
    assert made.checks.n == min(64, len(run.items))
    assert 0 <= max(made.checks.differences.values()) < 1e-5
    assert made.checks.stored < 1e-5
    lines = lines_of(made)
    assert str(made.path) in lines[0]
    assert ("of any size" in lines[0]) == made.any_size
    assert "accepted up to 1e-04" in lines[1]
    assert made.size > 1000
    assert made.card.exists()
    left = [path.name for path in made.path.parent.glob(".*") if not path.name.endswith(".lock")]
    assert left == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "precision"), [
    ("onnx", "float16"), ("onnx", "int8"), ("litert", "float16"), ("litert", "int8"),
])  # fmt: skip
def test_fewer_bits_say_what_they_change(name, precision, run, tmp_path, exports, photos):
    made = export_network(run.path, name, tmp_path, precision=precision)
    assert made.path.name == f"{exports[name].path.stem}.{precision}{FORMATS[name].suffix}"
    text = " ".join(lines_of(made))
    assert "stays the same for" in text
    assert "Recall@1 of these photos" in text
    change = made.checks.change
    assert change.n == made.checks.n
    assert change.least_cosine > {"float16": 0.999, "int8": 0.9}[precision]
    resized = np.stack([np.asarray(Image.fromarray(p).resize((16, 16))) for p in photos[:4]])
    one, other = (READERS[name](p, resized) for p in (made.path, exports[name].path))
    assert 0 < np.abs(one - other).max() < {"float16": 0.01, "int8": 0.3}[precision]


def test_vectors_stay_as_they_are_if_no_unit_length_is_wanted(run, embedder, tmp_path):
    made = export_network(run.path, "saved_model", tmp_path, normalize=False)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    found = embed_by_tensorflow(made.path, images)
    np.testing.assert_allclose(found, embedder.embed(images), rtol=1e-5, atol=1e-6)
    assert "not of unit length" in made.card.read_text()


def test_what_is_there_is_replaced_only_if_asked(run, tmp_path):
    made = export_network(run.path, "saved_model", tmp_path)
    before = files_of(tmp_path)
    assert "exists; choose another --out or pass --overwrite" in refused(
        run.path, "saved_model", tmp_path
    )
    assert files_of(tmp_path) == before
    (made.path / "more").write_text("of somebody")
    export_network(run.path, "saved_model", tmp_path, overwrite=True, check=False)
    assert not (made.path / "more").exists()
    assert "Not checked" in made.card.read_text()


def test_a_file_that_differs_from_the_run_is_refused_and_removed(run, tmp_path, monkeypatch):
    of_run = formats.Portable.run
    monkeypatch.setattr(formats.Portable, "run", lambda self, x: of_run(self, x + 3.0))
    found = refused(run.path, "litert", tmp_path)
    assert "more than 1e-04; nothing was written" in found
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == []


def test_stored_vectors_of_other_photos_are_told_from_a_wrong_file(run, tmp_path, monkeypatch):
    monkeypatch.setattr(type(run), "embeddings", run.embeddings[::-1])
    found = refused(run.path, "saved_model", tmp_path)
    assert "photos have changed" in found
    assert "retrieval embed" in found


def test_moved_photos_are_named_and_others_can_take_their_place(
    settings, run, tmp_path, monkeypatch
):
    kept = tmp_path / "kept"
    shutil.copytree(f"{settings.data}", kept)
    gone = exporting.Photos("", ["/no/such.png", "/b"])
    monkeypatch.setattr(exporting, "_of_run", lambda run, rows: gone)
    found = refused(run.path, "saved_model", tmp_path / "a")
    assert "/no/such.png and 1 more: not there" in found
    assert "--images DIR" in found
    assert "--no-check" in found
    made = export_network(run.path, "saved_model", tmp_path / "b", images=kept)
    assert made.checks.origin == f"photos of {kept}"
    assert made.checks.stored is None


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("onx",), {}, "did you mean 'onnx'?"),
        (("onnx",), {"precision": "int4"}, "did you mean 'int8'?"),
        (("saved_model",), {"precision": "int8"}, "give --format onnx or litert"),
        (("onnx",), {"checkpoint": "77"}, "has no such checkpoint"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run, tmp_path, arguments, options, words):
    assert words in refused(run.path, *arguments, tmp_path, **options)
    assert files_of(tmp_path) == {}


def test_a_place_that_is_no_folder_is_refused(run, tmp_path):
    (tmp_path / "file").write_text("")
    assert "is a file: --out with --format is the folder" in refused(
        run.path, "onnx", tmp_path / "file"
    )
    assert "--out is a folder" in refused(run.path, "onnx", tmp_path / "x.onnx")
    assert "would lie in the run" in refused(run.path, "onnx", run.path / "exports")


def test_imported_embeddings_have_no_network(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(4, dtype=np.float32))
    (tmp_path / "x.csv").write_text("label\na\na\nb\nb\n")
    path = import_files(tmp_path / "runs/a/b", [(tmp_path / "x.npy", tmp_path / "x.csv")])
    assert "imported, not trained" in refused(path, "onnx", tmp_path / "out")


def test_a_missing_package_is_named_with_its_command(run, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    assert "pip install -e '.[export]'" in refused(run.path, "litert", tmp_path)

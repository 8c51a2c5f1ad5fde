"""Images that the user gives are checked by content and embedded like the run's items."""

import gc
import io
import re
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from pathlib import Path

import numpy as np
import pytest
import streamlit
from PIL import Image

from retrieval.datasets import image_limits
from retrieval.errors import UserError
from retrieval.input_pipeline.decoding import read_resized
from retrieval.runs.run import Run
from tests.runs.helpers import edit
from tests.workbench.driver import open_page
from tests.workbench.run_factory import write_run
from workbench.data import images, memory, network
from workbench.data.lookup import search_vector
from workbench.pages.retrieval import own_image
from workbench.session.clicks import Pick


def encoded(kind: str, size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_images_are_known_by_content(kind):
    image = network.check_image(encoded(kind), "photo.exe")
    assert image.picture.size == (40, 30)
    assert image.picture.mode == "RGB"
    assert Image.open(io.BytesIO(image.data)).format in network.FORMATS


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photograph_taken_upright_is_seen_and_embedded_upright(kind, tmp_path):
    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[:, :20] = 255  # stored: white on the left; turned by 90 degrees: white on top
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(buffer, kind, exif=exif)
    image = network.check_image(buffer.getvalue(), "photo")
    assert image.picture.size == (30, 40)
    path = tmp_path / "image"
    path.write_bytes(image.data)
    read = read_resized(str(path), 8).numpy()
    for seen in (np.asarray(image.picture), read):
        assert seen[:2].min() > 230
        assert seen[-2:].max() < 25


@pytest.mark.parametrize(
    "data",
    [b"", b"not an image", encoded("JPEG")[:200], b"<svg xmlns='http://www.w3.org/2000/svg'/>",
     encoded("TIFF")],
)  # fmt: skip
def test_anything_else_is_refused_by_name(data):
    with pytest.raises(UserError, match=r"photo\.jpg: "):
        network.check_image(data, "photo.jpg")


def test_large_files_and_many_pixels_are_refused(monkeypatch):
    monkeypatch.setattr(image_limits, "MOST_PIXELS", 1000)
    with pytest.raises(UserError, match="40 x 30"):
        network.check_image(encoded("PNG"), "photo.png")
    monkeypatch.setattr(network, "MOST_BYTES", 100)
    with pytest.raises(UserError, match="20 MB"):
        network.check_image(encoded("PNG"), "photo.png")


def test_runs_without_a_network_say_why(make_run):
    assert "no checkpoint" in network.reason_without_network(make_run("one"))
    assert "imported" in network.reason_without_network(make_run("two", loss=None))


def write_run_with_network(factory, photos, photo_root, **changes) -> Run:
    """A run whose embeddings come from the network in its checkpoint (random weights)."""
    from retrieval.training.inspection import open_inspector
    from tests.training.helpers import SETTINGS, write_model

    settings = SETTINGS.with_(**changes)
    items = photos.iloc[:48].reset_index(drop=True)
    path = factory.mktemp("networks") / "runs" / "photos" / "conv"
    inspector = open_inspector(write_model(factory.mktemp("model"), settings))
    vectors = inspector.embed(inspector.load([photo_root / p for p in items["path"]]))
    write_run(path, items, vectors, photo_root)
    write_model(path, settings)  # the same weights: it seeds them
    edit(path, "config.yaml", "dataset", to={"root": str(photo_root)})
    return Run(path)


@pytest.fixture(scope="module")
def run_with_network(tmp_path_factory, photos, photo_root):
    return write_run_with_network(tmp_path_factory, photos, photo_root)


def test_a_large_own_image_waits_for_its_turn(monkeypatch):
    monkeypatch.setattr(images, "FEW_PIXELS", 1000)
    with ThreadPoolExecutor(1) as pool:
        with images.ONE_LARGE_IMAGE:
            found = pool.submit(network.check_image, encoded("PNG"), "photo.png")
            with pytest.raises(TimeoutError):
                found.result(timeout=0.2)
        assert found.result(timeout=20).picture.size == (40, 30)


def test_an_own_image_is_embedded_as_the_items_were(run_with_network, photo_root):
    run = run_with_network
    path = photo_root / run.items["path"][7]
    image = network.check_image(path.read_bytes(), path.name)
    vector = network.embed_image(run, image)
    np.testing.assert_allclose(vector, run.embeddings[7], atol=1e-5)
    rows, scores = search_vector(run, "leave_one_out", vector, 1)
    assert rows.tolist() == [7]
    assert scores[0] == pytest.approx(1, abs=1e-4)


def test_a_match_is_explained_on_the_page(run_with_network, monkeypatch):
    run = run_with_network
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    match = network.explain(run, 0, 3)
    stored = float(run.embeddings[0] @ run.embeddings[3])
    assert match.exact
    assert match.similarity == pytest.approx(stored, abs=1e-3)
    assert match.images.shape == (2, 32, 32, 3)
    app = open_page("why", item="0", match="3")
    assert not [b for b in app.button if b.label.startswith("Show what")]  # loaded already
    assert not app.exception


def test_tall_images_are_embedded_explained_and_shown_as_such(
    tmp_path_factory, photos, photo_root, monkeypatch
):
    run = write_run_with_network(tmp_path_factory, photos, photo_root, image_size="64x32")
    path = photo_root / run.items["path"][7]
    vector = network.embed_image(run, network.check_image(path.read_bytes(), path.name))
    np.testing.assert_allclose(vector, run.embeddings[7], atol=1e-5)
    match = network.explain(run, 0, 3)
    assert match.images.shape == (2, 64, 32, 3)
    assert match.first.shape == (4, 2)
    assert match.first.sum() == pytest.approx(match.similarity, abs=1e-5)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    app = open_page("why", item="0", match="3")
    assert not app.exception


def test_a_loaded_network_is_exempt_from_garbage_collection(run_with_network, monkeypatch):
    kept = []
    monkeypatch.setattr(
        network,
        "freeze_garbage_collection",
        lambda: kept.append(memory.freeze_garbage_collection()),
    )
    network._inspector.clear()
    for _ in range(2):
        network.inspector(run_with_network)
    assert len(kept) == 1
    assert len(gc.get_objects()) < gc.get_freeze_count()


def test_a_moved_picture_says_so(run_with_network, monkeypatch):
    run = run_with_network
    monkeypatch.setattr(network, "picture_path", lambda run, row: None)
    with pytest.raises(UserError, match="item 1"):
        network.explain(run, 1, 2)


def test_an_upload_is_answered_by_both_runs(run_with_network, photo_root, monkeypatch):
    run = run_with_network
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    app = open_page("retrieval", source="Your own image")
    app.text_input(key="upload_path").set_value(str(photo_root / run.items["path"][7])).run()
    assert not app.exception
    assert not app.error
    app.text_input(key="upload_path").set_value("/etc/passwd").run()
    assert "not a readable image" in app.error[0].value
    app.text_input(key="upload_path").set_value("/nowhere.jpg").run()
    assert "no such file" in app.error[0].value
    app.text_input(key="upload_path").set_value("~nosuchuser/x.jpg").run()
    assert "cannot be read" in app.error[0].value
    assert not app.exception


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/nowhere/x.jpg", "/nowhere/x.jpg: no such file"),
        ("~nosuchuser/x.jpg", "~nosuchuser/x.jpg: cannot be read"),
        ("x" * 300, "cannot be read (File name too long)"),
        ("nul\0byte", "no such file"),
    ],
)
def test_a_path_that_cannot_be_read_is_one_line(path, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        own_image.read_image(None, path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_an_unreadable_file_is_one_line(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x.jpg").write_bytes(encoded("JPEG"))
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match=r"x\.jpg: .*Permission denied"):
        own_image.read_image(None, str(tmp_path / "x.jpg"))


@pytest.mark.parametrize(
    ("address", "offered"), [("localhost", 1), ("127.0.0.1", 1), ("0.0.0.0", 0), (None, 0)]
)
def test_the_path_field_is_for_this_computer_alone(make_run, monkeypatch, address, offered):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(make_run("one").path.parents[1]))
    option = streamlit.get_option
    monkeypatch.setattr(
        streamlit, "get_option", lambda name: address if name == "server.address" else option(name)
    )
    app = open_page("retrieval", source="Your own image")
    assert len([field for field in app.text_input if field.key == "upload_path"]) == offered


def test_a_result_of_an_own_image_becomes_the_query(run_with_network, photo_root, monkeypatch):
    run = run_with_network
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))

    def cards(data, *, key, on_pick):
        row = data["groups"][0]["rows"][0]["cards"][0]["row"]
        streamlit.button("First result", on_click=on_pick, args=(Pick(row),))

    monkeypatch.setattr(own_image, "clickable_cards", cards)
    app = open_page("retrieval", source="Your own image")
    app.text_input(key="upload_path").set_value(str(photo_root / run.items["path"][8])).run()
    app.button[[b.label for b in app.button].index("First result")].click().run()
    assert app.query_params["item"] == "8"
    assert "source" not in app.query_params
    assert not app.exception
    assert "Next" in [b.label for b in app.button]


def test_tensorflow_is_loaded_quietly_before_the_network(make_run, monkeypatch):
    order = []
    monkeypatch.setattr("retrieval.quiet.import_tensorflow", lambda: order.append("quiet"))
    monkeypatch.setattr(
        "retrieval.training.inspection.open_inspector", lambda _: order.append("open")
    )
    network.inspector(make_run("one"))
    assert order == ["quiet", "open"]


def test_a_checkpoint_of_another_network_is_told_in_one_line(make_run, monkeypatch):
    tried = []

    def open_inspector(run):
        tried.append(run)
        raise ValueError("A total of 6 objects could not be loaded.\n<Variable conv0/kernel ...>")

    monkeypatch.setattr("retrieval.quiet.import_tensorflow", lambda: None)
    monkeypatch.setattr("retrieval.training.inspection.open_inspector", open_inspector)
    run = make_run("one")
    for _ in range(2):
        with pytest.raises(UserError, match=r"one: .*checkpoint") as caught:
            network.inspector(run)
        assert "\n" not in str(caught.value)
    assert len(tried) == 1  # loading takes seconds, and every click would do it again

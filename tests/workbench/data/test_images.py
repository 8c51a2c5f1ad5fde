"""Images over HTTP: only items of runs, and only files in the data set's root folder."""

import io
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import ExifTags, Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from retrieval.datasets import image_limits
from workbench.data import images


@pytest.fixture
def client(monkeypatch, tmp_path):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(tmp_path / "runs"))
    return TestClient(Starlette(routes=images.ROUTES))


def opened(answer) -> Image.Image:
    return Image.open(io.BytesIO(answer.content))


def test_thumbnails_and_pictures_are_served_and_kept(client, make_run):
    run = make_run("one")
    answer = client.get(images.thumbnail_url(run, 3))
    assert answer.headers["content-type"] == "image/webp"
    assert "immutable" in answer.headers["cache-control"]
    assert opened(answer).size == (128, 128)
    assert opened(client.get(images.picture_url(run, 3))).size == (160, 160)


def test_a_hover_card_names_class_rank_and_image(client, make_run):
    run = make_run("one")
    card = client.get(images.hover_url(run, "query_gallery") + "0").json()
    assert card["label"] == "temple 0-0"
    assert card["file"] == "0.jpg"
    assert client.get(card["src"]).status_code == 200
    gallery = client.get(images.hover_url(run, "query_gallery") + "5").json()
    assert gallery["verdict"] == "gallery item, not a query"


@pytest.mark.parametrize(
    "address",
    [
        "/thumbnails/made/one/216",
        "/thumbnails/made/one/-1",
        "/thumbnails/made/one/1e2",
        "/thumbnails/made/one/²",
        "/thumbnails/made/two/0",
        "/thumbnails/..%2F..%2Fetc/passwd/0",
        "/pictures/made/..%2Fone/0",
        "/pictures/.hidden/one/0",
        "/hover/made/one/other?row=0",
        "/hover/made/one/query_gallery?row=",
        f"/thumbnails/{'a' * 255}/one/0",
        f"/pictures/made/{'a' * 256}/0",
        f"/pictures/made/{'é' * 200}/0",
        f"/thumbnails/made/one/{'9' * 19}",
        f"/thumbnails/made/one/{'9' * 5000}",
        f"/hover/made/one/query_gallery?row={'9' * 5000}",
        "/thumbnails/%ff/%fe/0",
        "/thumbnails/made/one/%",
        "/hover/made/one/%zz?row=%ff",
        "/pictures/made/a%00b/0",
    ],
)
def test_anything_else_is_not_found(client, make_run, address):
    make_run("one")
    assert client.get(address).status_code == 404


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd", "link.png", "temple_0-0/\0.jpg"])
def test_a_path_that_leaves_the_root_shows_the_thumbnail(
    client, make_run, photos, photo_root, path
):
    secret = photo_root.parent / "secret.png"
    Image.fromarray(np.full((300, 300, 3), 200, np.uint8)).save(secret)
    link = photo_root / "link.png"
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    items = photos.copy()
    run = make_run("one", items=items)
    items.loc[0, "path"] = path
    items.to_parquet(run.path / "items.parquet")
    run = type(run)(run.path)
    assert images.picture_path(run, 0) is None
    answer = client.get(images.picture_url(run, 0))
    assert opened(answer).size == (128, 128)  # the thumbnail; never the file


def test_a_file_that_is_no_image_is_never_sent(client, make_run, photos, photo_root):
    (photo_root / "notes.txt").write_text("secret")
    items = photos.copy()
    items.loc[0, "path"] = "notes.txt"
    run = make_run("one", items=items)
    answer = client.get(images.picture_url(run, 0))
    assert b"secret" not in answer.content
    assert answer.headers["content-type"] == "image/svg+xml"  # the placeholder: no thumbnail either


@pytest.mark.parametrize(("orientation", "size"), [(1, (60, 40)), (3, (60, 40)), (6, (40, 60))])
def test_the_size_is_that_of_the_image_the_right_way_up(
    make_run, photos, photo_root, orientation, size
):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (60, 40)).save(photo_root / "phone.jpg", exif=exif)
    items = photos.copy()
    items.loc[0, "path"] = "phone.jpg"
    assert images.picture_size(make_run("one", items=items), 0) == size


def test_moved_images_show_their_thumbnails(client, make_run, photos, tmp_path):
    run = make_run("one")
    config = run.path / "config.yaml"
    root = str(run.dataset_config.root)
    config.write_text(config.read_text().replace(root, str(tmp_path / "moved")))
    run = type(run)(run.path)
    assert images.picture_size(run, 0) is None
    assert opened(client.get(images.picture_url(run, 0))).size == (128, 128)


def test_missing_thumbnails_are_made_from_pictures(client, make_run, photos, photo_root):
    boxes = {"box_x": 10.0, "box_y": 0.0, "box_w": 40.0, "box_h": 100.0}
    for name, items in (("whole", photos), ("boxed", photos.assign(**boxes))):
        run = make_run(name, items=items)
        (run.path / "thumbnails" / "images.bin").unlink()
        answer = client.get(images.thumbnail_url(run, 3))
        assert answer.headers["content-type"] == "image/webp"
        assert opened(answer).size == ((128, 128) if name == "whole" else (40, 100))
    outside = make_run("outside", items=photos.assign(path="../secret.png"))
    Image.fromarray(np.full((300, 300, 3), 200, np.uint8)).save(photo_root.parent / "secret.png")
    (outside.path / "thumbnails" / "images.bin").unlink()
    answer = client.get(images.thumbnail_url(outside, 3))
    assert answer.headers["content-type"] == "image/svg+xml"  # the placeholder


def _large(path, **options) -> None:
    Image.effect_noise((3000, 2000), 50).convert("RGB").save(path, **options)


@pytest.mark.parametrize(("name", "size"), [("large.png", 128), ("large.jpg", 640)])
def test_of_an_image_with_too_many_pixels_only_a_reduced_jpeg_is_decoded(
    client, make_run, photos, photo_root, monkeypatch, name, size
):
    _large(photo_root / name)
    items = photos.copy()
    items.loc[0, "path"] = name
    run = make_run("one", items=items)
    monkeypatch.setattr(image_limits, "MOST_PIXELS", 3_000_000)
    assert max(opened(client.get(images.picture_url(run, 0))).size) == size


def test_equal_requests_at_once_decode_an_image_once(
    client, make_run, photos, photo_root, monkeypatch
):
    _large(photo_root / "shared.png", compress_level=1)
    items = photos.copy()
    items.loc[0, "path"] = "shared.png"
    run = make_run("one", items=items)
    decoded, decodable = [], images.decodable

    def counting(path, side=None):
        decoded.append(path)
        return decodable(path, side)

    monkeypatch.setattr(images, "decodable", counting)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(client.get, [images.picture_url(run, 0)] * 6))
    assert len({answer.content for answer in answers}) == 1
    assert len(decoded) == 1


def test_large_images_are_decoded_one_at_a_time(photo_root, monkeypatch):
    monkeypatch.setattr(images, "FEW_PIXELS", 1000)
    _large(photo_root / "one.png", compress_level=1)
    open_now, most = [], []

    def decode(_: int) -> None:
        with images.decodable(photo_root / "one.png"):
            open_now.append(1)
            most.append(len(open_now))
            time.sleep(0.02)
            open_now.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, range(4)))
    assert max(most) == 1


def test_a_gray_picture_of_16_bits_is_scaled_to_8(client, make_run, photos, photo_root):
    values = np.full((200, 200), 128 * 256, np.uint16)
    Image.fromarray(values).save(photo_root / "gray.png")
    items = photos.copy()
    items.loc[0, "path"] = "gray.png"
    shown = opened(client.get(images.picture_url(make_run("one", items=items), 0)))
    assert abs(float(np.asarray(shown).mean()) - 128) < 2


def test_a_rewritten_run_gets_new_addresses(make_run):
    run = make_run("one")
    before = images.thumbnail_url(run, 0)
    (run.path / "metrics.json").touch()
    assert images.thumbnail_url(run, 0) != before

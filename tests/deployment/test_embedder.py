"""A loaded run embeds files, bytes, arrays and Pillow images as it embeds its own."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval import open_run
from retrieval.deployment.embedder import source_of_run
from retrieval.errors import UserError
from retrieval.experiment.pipeline import train
from retrieval.runs.store import locked_run
from retrieval.storage.addresses import located


@pytest.fixture(scope="module")
def embedder(_finished):
    return retrieval.load_embedder(_finished)


@pytest.fixture
def files(run, settings):
    return [f"{settings.data}/{path}" for path in run.items["path"]]


def test_the_photos_of_the_run_get_the_vectors_of_the_run(run, embedder, files):
    vectors = embedder.embed(files)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, run.embeddings)
    for size in (1, 7, 200):
        np.testing.assert_allclose(embedder.embed(files, size), run.embeddings, atol=1e-6)


def test_a_run_at_a_url_is_fetched_and_embeds_the_same(run, files, memory_root, machine):
    url = f"{memory_root}/folder/one"
    path = located(url)
    with locked_run(path):
        shutil.copytree(run.path, path)
    machine("other", url)
    np.testing.assert_array_equal(retrieval.load_embedder(url).embed(files), run.embeddings)


def test_a_path_bytes_an_array_and_a_pillow_image_are_one_picture(run, embedder, files):
    pixels = [np.asarray(Image.open(file)) for file in files[:5]]
    opened = [Image.open(file) for file in files[:5]]
    contents = [Path(file).read_bytes() for file in files[:5]]
    given = (files[:5], map(Path, files[:5]), contents, pixels, np.stack(pixels), opened)
    for images in (*given, [files[0], contents[1], pixels[2], files[3], opened[4]]):
        np.testing.assert_allclose(embedder.embed(images), run.embeddings[:5], atol=1e-6)
    for image in (files[0], Path(files[0]), contents[0], pixels[0], opened[0]):
        vectors = embedder.embed(image)
        assert vectors.shape == (1, 8)
        np.testing.assert_allclose(vectors, run.embeddings[:1], atol=1e-6)
    assert embedder.embed([]).shape == (0, 8)


def test_images_of_different_sizes_and_an_orientation_are_embedded_as_their_files(
    embedder, tmp_path
):
    made, draw = [], np.random.default_rng(3)
    for number, size in enumerate([(9, 40, 3), (50, 16, 3), (200, 120, 3)]):
        image = Image.fromarray(draw.integers(0, 256, size, np.uint8))
        exif = image.getexif()
        exif[0x0112] = 6  # lies on its side
        image.save(tmp_path / f"{number}.png", exif=exif)
        made.append(tmp_path / f"{number}.png")
    turned = [np.asarray(Image.open(p)).transpose(1, 0, 2)[:, ::-1] for p in made]
    unturned = embedder.embed([np.asarray(Image.open(path)) for path in made])
    np.testing.assert_allclose(
        embedder.embed([Image.open(p) for p in made]), embedder.embed(turned)
    )
    assert np.abs(unturned - embedder.embed(turned)).max() > 1e-3
    jpeg = tmp_path / "x.jpg"
    smooth = np.linspace(0, 255, 60 * 80 * 3).reshape(60, 80, 3).astype(np.uint8)
    Image.fromarray(smooth).save(jpeg, exif=exif)
    upright = embedder.embed(Image.open(jpeg))
    np.testing.assert_allclose(embedder.embed(jpeg), embedder.embed(jpeg.read_bytes()), atol=0)
    assert np.abs(embedder.embed(jpeg) - upright).max() < 0.02  # decoded at half its size


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"freeze_backbone": True},
        {"loss": "none"},
        {"pre_crop": 20},
        {"test_time": "flip+five_crop", "pre_crop": 20},
        {"normalize": False},
    ],
)
def test_preprocessing_views_and_normalization_are_those_of_the_run(settings, tmp_path, changes):
    run = open_run(train(settings.with_(**changes), runs=tmp_path, progress=False))
    embedder = retrieval.load_embedder(run.path)
    files = [f"{settings.data}/{path}" for path in run.items["path"]]
    np.testing.assert_allclose(embedder.embed(files), run.embeddings, atol=1e-6, rtol=1e-5)
    pixels = [np.asarray(Image.open(file)) for file in files]
    np.testing.assert_allclose(embedder.embed(pixels), run.embeddings, atol=1e-6, rtol=1e-5)
    assert source_of_run(run) == embedder.source


def test_two_checkpoints_and_two_runs_have_different_fingerprints(settings, run, tmp_path):
    chosen = settings.with_(eval_split="test", learning_rate=1.0)
    other = train(chosen, runs=tmp_path, progress=False)
    latest, best = (retrieval.load_embedder(other, which) for which in ("latest", "best"))
    own = source_of_run(run).network
    assert latest.source.network == source_of_run(open_run(other)).network != own
    assert (latest.source.network == best.source.network) == (latest.step == best.step)
    flipped = retrieval.load_embedder(run.path, test_time="flip").source
    assert flipped.network == own
    assert flipped.how_embedded() != source_of_run(run).how_embedded()


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ("no/such.jpg", "no such file"),
        (b"no image", "image 0: cannot be decoded"),
        (np.zeros((4, 4), np.uint8), r"shape \(4, 4\)"),
        (np.zeros((4, 4, 3)), "dtype float64"),
        ([np.zeros((4, 4, 4), np.uint8)], r"image 0: has shape \(4, 4, 4\)"),
        (np.zeros((5, 6), np.uint8), r"image 0: has shape \(5, 6\).*np.stack"),
        (np.zeros(7), r"image 0: has shape \(7,\) and dtype float64"),
        (7, "int is no image"),
        ([7], "image 0"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(embedder, images, words):
    with pytest.raises(UserError, match=words) as caught:
        embedder.embed(images)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_and_an_empty_image_are_refused(embedder, tmp_path):
    whole = io.BytesIO()
    Image.new("RGB", (30, 30)).save(whole, "JPEG")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(whole.getvalue()[:300])
    with pytest.raises(UserError, match=r"cut\.jpg"):
        embedder.embed(cut)
    with pytest.raises(UserError, match="image 1"):
        embedder.embed([np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4, 3), np.uint8)])


def test_boxes_crop_files_as_the_run_crops_its_own(embedder, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    inside = embedder.embed([tmp_path / "x.png"], boxes=np.array([[10, 5, 20, 30]]))
    np.testing.assert_allclose(inside, embedder.embed(pixels[5:35, 10:30]), atol=1e-6)
    with pytest.raises(UserError, match="boxes"):
        embedder.embed([tmp_path / "x.png"], boxes=np.zeros((2, 4)))
    with pytest.raises(UserError, match="for paths"):
        embedder.embed(pixels, boxes=np.zeros((1, 4)))


def test_an_embedder_is_printed_in_one_short_line(run, embedder):
    text = repr(embedder)
    assert text.startswith(f"<Embedder: run {str(run.path)!r}, loss ")
    assert "8 dimensions, distance cosine>" in text
    assert len(text) < 150 + len(str(run.path))

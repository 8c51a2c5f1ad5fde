"""What the network sees: the right pixels, in the right order, the same again after a resume."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from retrieval.errors import UserError
from retrieval.input_pipeline import eval_dataset, naming_unreadable_images, train_dataset


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twelve images, each of one grey level, JPEG and PNG, colour and grey."""
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for i in range(12):
        mode, suffix = ("RGB", "jpg") if i % 2 else ("L", "png")
        level = 20 * i
        image = Image.new(mode, (40 + i, 30), level if mode == "L" else (level,) * 3)
        paths.append(str(folder / f"{i}.{suffix}"))
        image.save(paths[-1], quality=95) if suffix == "jpg" else image.save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Four images of noise, so that crops and flips show."""
    folder, rng = tmp_path_factory.mktemp("noisy"), np.random.default_rng(0)
    paths = []
    for i in range(4):
        paths.append(str(folder / f"{i}.png"))
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).save(paths[-1])
    return paths


def test_images_for_embedding_come_in_order_and_the_last_batch_is_short(photos):
    batches = list(eval_dataset(photos, size=16, batch_size=5).as_numpy_iterator())
    assert [b.shape for b in batches] == [(5, 16, 16, 3), (5, 16, 16, 3), (2, 16, 16, 3)]
    means = np.concatenate(batches).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, 20 * np.arange(12), atol=1.5)
    assert batches[0].dtype == np.float32


def test_training_batches_hold_the_rows_asked_for_with_their_labels(photos):
    rows = np.array([[3, 1, 7], [0, 11, 2]])
    data = train_dataset(photos, np.arange(12) * 10, rows, size=16)
    for (images, labels), wanted in zip(data.as_numpy_iterator(), rows, strict=True):
        np.testing.assert_array_equal(labels, wanted * 10)
        np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), 20 * wanted, atol=1.5)


@pytest.mark.parametrize("kind", ["none", "crop", "colour", "strong"])
@pytest.mark.parametrize("cache_gb", [0.0, 1.0])
def test_a_resumed_run_sees_the_same_pixels(noisy, kind, cache_gb):
    rows = np.array([[0, 1], [2, 3], [1, 2], [3, 0]])
    options = {"size": 16, "pre_crop": 20, "augment": kind, "seed": 5, "cache_gb": cache_gb}
    whole = list(train_dataset(noisy, np.arange(4), rows, **options).as_numpy_iterator())
    rest = train_dataset(noisy, np.arange(4), rows[2:], first_step=2, **options)
    for (images, _), (again, _) in zip(whole[2:], rest.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(images, again)
    assert all(np.isfinite(x).all() and x.min() >= 0 and x.max() <= 255 for x, _ in whole)


def test_another_seed_crops_and_flips_otherwise_and_each_image_on_its_own(noisy):
    rows = np.zeros((1, 8), int)
    one, other = (
        next(
            train_dataset(
                noisy, np.arange(4), rows, size=16, pre_crop=24, seed=s
            ).as_numpy_iterator()
        )[0]
        for s in (0, 1)
    )
    assert not np.array_equal(one, other)
    assert len(np.unique(one.reshape(8, -1), axis=0)) > 4


def test_a_large_photo_is_shrunk_smoothly_like_pillow_does(tmp_path):
    y, x = np.mgrid[:400, :600]
    photo = np.stack([x * 255 / 600, y * 255 / 400, 127 + 100 * np.sin(x / 20)], axis=2)
    image = Image.fromarray(photo.astype(np.uint8))
    for suffix in ("jpg", "png"):
        path = tmp_path / f"photo.{suffix}"
        image.save(path, quality=95) if suffix == "jpg" else image.save(path)
        ours = next(eval_dataset([str(path)], size=48).as_numpy_iterator())[0]
        theirs = np.asarray(image.resize((48, 48), Image.Resampling.BILINEAR), np.float32)
        assert np.abs(ours - theirs).mean() < 2.5


def test_without_crop_or_flip_the_pixels_are_those_of_the_file(noisy):
    images, _ = next(
        train_dataset(
            noisy, np.arange(4), np.arange(4)[None], size=24, flip=False
        ).as_numpy_iterator()
    )
    for image, path in zip(images, noisy, strict=True):
        np.testing.assert_allclose(image, np.asarray(Image.open(path)), atol=0.01)


def test_the_centre_is_taken_for_embedding_and_a_flip_is_a_mirror_image(noisy):
    whole = np.asarray(Image.open(noisy[0]))
    centre = next(eval_dataset(noisy[:1], size=16, pre_crop=24).as_numpy_iterator())[0]
    np.testing.assert_allclose(centre, whole[4:20, 4:20], atol=0.01)
    flipped, _ = next(
        train_dataset(noisy, np.arange(4), np.zeros((1, 16), int), size=24).as_numpy_iterator()
    )
    seen = {tuple(np.round(image[0, 0])) for image in flipped}
    assert seen == {tuple(map(float, whole[0, 0])), tuple(map(float, whole[0, -1]))}


def test_a_box_is_cut_out_before_resizing(noisy):
    whole = np.asarray(Image.open(noisy[0]))
    box = np.array([[4, 6, 10, 10]], np.float32)
    cut = next(eval_dataset(noisy[:1], size=10, boxes=box).as_numpy_iterator())[0]
    np.testing.assert_allclose(cut, whole[6:16, 4:14], atol=0.01)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), (b"\xff\xd8\xff\xe0junk", "cannot be decoded")]
)
def test_an_unreadable_image_is_named_in_one_line(photos, tmp_path, content, message):
    bad = tmp_path / "broken.jpg"
    if content:
        bad.write_bytes(content)
    paths = [*photos[:3], str(bad)]

    def read_all():
        with naming_unreadable_images(paths):
            list(eval_dataset(paths, size=8))

    with pytest.raises(UserError, match=f"broken.jpg: {message}") as caught:
        read_all()
    assert "\n" not in str(caught.value)


def test_a_truncated_photo_is_refused_rather_than_half_grey(photos, tmp_path):
    whole = tmp_path / "whole.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(whole)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(whole.read_bytes()[:1500])
    with pytest.raises(tf.errors.OpError):
        list(eval_dataset([str(cut)], size=8))

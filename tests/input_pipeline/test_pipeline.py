"""What the network sees: the right pixels, in the right order, the same again after a resume."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from retrieval.errors import UserError
from retrieval.input_pipeline.decoding import read_resized
from retrieval.input_pipeline.pipeline import eval_dataset, naming_unreadable_images, train_dataset

SIDE = 24


def save_noise(folder: Path, count: int, suffix: str = "png") -> list[str]:
    """Images of noise, so that every crop and flip is recognized."""
    rng = np.random.default_rng(0)
    paths = [str(folder / f"{i}.{suffix}") for i in range(count)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(path)
    return paths


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return save_noise(tmp_path_factory.mktemp("noise"), 7)


@pytest.fixture(scope="module")
def pixels(paths):
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def batches(paths, rows, **options) -> list[tuple[np.ndarray, np.ndarray]]:
    data = train_dataset(paths, np.arange(len(paths)) * 10, np.array(rows), **options)
    return list(data.as_numpy_iterator())


class TestEvaluation:
    def test_images_come_in_order_and_the_last_batch_is_short(self, paths, pixels):
        found = list(eval_dataset(paths, size=SIDE, batch_size=3).as_numpy_iterator())
        assert [len(batch) for batch in found] == [3, 3, 1]
        np.testing.assert_array_equal(np.concatenate(found), pixels)
        assert found[0].dtype == np.uint8

    def test_the_center_is_cropped_out_of_the_pre_crop(self, paths, pixels):
        found = next(eval_dataset(paths, size=16, pre_crop=SIDE).as_numpy_iterator())
        np.testing.assert_array_equal(found, pixels[:, 4:20, 4:20])

    def test_the_center_is_cropped_on_each_side_by_itself(self, paths, pixels):
        found = next(eval_dataset(paths, size=(20, 10), pre_crop=SIDE).as_numpy_iterator())
        np.testing.assert_array_equal(found, pixels[:, 2:22, 7:17])
        (images,) = eval_dataset(paths, size=(20, 10), pre_crop="22x14").as_numpy_iterator()
        assert images.shape == (7, 20, 10, 3)

    def test_boxes_go_with_their_images(self, paths, pixels):
        boxes = np.array([[i, 2 * i, 10, 10] for i in range(7)], np.float32)
        found = next(eval_dataset(paths, size=10, boxes=boxes).as_numpy_iterator())
        for i in range(7):
            np.testing.assert_array_equal(found[i], pixels[i, 2 * i : 2 * i + 10, i : i + 10])


class TestTraining:
    def test_batches_hold_the_rows_asked_for_with_their_labels(self, paths, pixels):
        rows = [[3, 1, 3], [0, 6, 2]]
        for (images, labels), wanted in zip(
            batches(paths, rows, size=SIDE, flip=False), rows, strict=True
        ):
            np.testing.assert_array_equal(images, pixels[wanted])
            np.testing.assert_array_equal(labels, np.array(wanted) * 10)

    def test_each_crop_is_a_window_of_its_image_flipped_half_of_the_time(self, paths, pixels):
        (images, _), *_ = batches(paths, [[2] * 200], size=20, pre_crop=SIDE)
        window = np.lib.stride_tricks.sliding_window_view(pixels[2], (20, 20), axis=(0, 1))
        windows = {w.tobytes() for w in window.transpose(0, 1, 3, 4, 2).reshape(-1, 20, 20, 3)}
        straight = [image.tobytes() in windows for image in images]
        flipped = [image[:, ::-1].tobytes() in windows for image in images]
        assert all(a != b for a, b in zip(straight, flipped, strict=True))
        assert 60 < sum(flipped) < 140
        assert len({image.tobytes() for image in images}) > 40  # of 5 x 5 x 2 views

    def test_images_are_not_flipped_if_left_and_right_matter(self, paths, pixels):
        (images, _), *_ = batches(paths, [[4] * 30], size=SIDE, flip=False)
        np.testing.assert_array_equal(images, np.repeat(pixels[4:5], 30, axis=0))

    @pytest.mark.parametrize("augment", ["crop", "color", "strong"])
    def test_stronger_augmentation_gives_every_image_its_own_crop_or_colors(self, paths, augment):
        (images, _), *_ = batches(paths, [[4] * 30], size=SIDE, augment=augment)
        assert images.shape == (30, SIDE, SIDE, 3)
        assert images.dtype == np.uint8
        assert len({image.tobytes() for image in images}) == 30

    def test_shapes_are_known_to_the_graph(self, paths):
        images, labels = train_dataset(
            paths, np.arange(7, dtype=np.int32), np.zeros((2, 5), int), size=16, augment="strong"
        ).element_spec
        assert images == tf.TensorSpec((5, 16, 16, 3), tf.uint8)
        assert labels == tf.TensorSpec((5,), tf.int32)


class TestSamePixelsAgain:
    ROWS = ((0, 1), (2, 3), (1, 2), (3, 6))

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [16, (16, 8)], ids=str)
    @pytest.mark.parametrize("augment", ["none", "crop", "color", "strong"])
    def test_after_a_resume_with_or_without_the_cache(self, paths, augment, size):
        pre_crop = None if augment == "strong" else 20
        options = {"size": size, "pre_crop": pre_crop, "augment": augment, "seed": 5}
        whole = batches(paths, self.ROWS * 4, **options)
        for cache_gb in (0.0, 1.0):
            rest = batches(paths, (self.ROWS * 4)[2:], first_step=2, cache_gb=cache_gb, **options)
            assert len(rest) == 14
            for (images, _), (again, _) in zip(whole[2:], rest, strict=True):
                np.testing.assert_array_equal(images, again)
                assert images.shape[1:3] == (16, 16 if size == 16 else 8)

    def test_but_not_with_another_seed(self, paths):
        one, other = (batches(paths, self.ROWS, size=16, pre_crop=24, seed=s) for s in (0, 1))
        assert not np.array_equal(one[0][0], other[0][0])

    def test_nor_in_another_step(self, paths):
        one, other = batches(paths, [[0, 1], [0, 1]], size=16, pre_crop=24)
        assert not np.array_equal(one[0], other[0])


class TestCache:
    """Whether images come from memory shows when their files are gone."""

    ROWS = ((0, 1, 2, 3), (3, 2, 1, 0))

    def first_batch_without_files(self, folder, rows, cache_gb):
        paths = save_noise(folder, 4)
        data = train_dataset(paths, np.arange(4), np.array(rows), size=SIDE, cache_gb=cache_gb)
        for path in paths:
            Path(path).unlink()
        with naming_unreadable_images(paths):
            return next(iter(data))

    def test_is_used_if_the_images_fit_and_are_drawn_twice(self, tmp_path):
        images, _ = self.first_batch_without_files(tmp_path, self.ROWS, cache_gb=1e-5)
        assert images.shape == (4, SIDE, SIDE, 3)

    @pytest.mark.parametrize("progress", [False, True])
    def test_holds_every_image_of_more_than_one_batch_of_decoding(self, tmp_path, progress):
        paths = save_noise(tmp_path, 150)
        rows = np.arange(150).reshape(1, 150).repeat(2, axis=0)
        from_memory, from_files = (
            next(
                train_dataset(
                    paths, np.arange(150), rows, size=SIDE, cache_gb=gb, progress=progress
                ).as_numpy_iterator()
            )
            for gb in (1.0, 0.0)
        )
        np.testing.assert_array_equal(from_memory[0], from_files[0])

    def test_is_not_used_if_they_do_not_fit(self, tmp_path):
        with pytest.raises(UserError, match="no such file"):  # 4 x 24 x 24 x 3 = 6,912 bytes
            self.first_batch_without_files(tmp_path, self.ROWS, cache_gb=6e-6)

    def test_is_not_used_if_most_images_are_drawn_once(self, tmp_path):
        with pytest.raises(UserError, match="no such file"):
            self.first_batch_without_files(tmp_path, self.ROWS[:1], cache_gb=1)

    def test_says_that_it_is_too_small(self, paths, capsys):
        rows = np.zeros((10, 4), int)
        train_dataset(paths, np.arange(7), rows, size=SIDE, cache_gb=1e-6, progress=True)
        assert "decoding from disk in every step" in capsys.readouterr().out

    def test_names_an_unreadable_image(self, tmp_path):
        paths = save_noise(tmp_path, 4)
        Path(paths[2]).write_bytes(b"")
        with pytest.raises(UserError, match=r"2\.png: "):
            train_dataset(paths, np.arange(4), np.array(self.ROWS), size=SIDE, cache_gb=1)


class TestBadInput:
    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("gone.jpg", None, "no such file"),
            ("empty.jpg", lambda whole: b"", "cannot be decoded"),
            ("half.jpg", lambda whole: whole[: len(whole) // 2], "cannot be decoded"),
            ("half.png", lambda whole: whole[: len(whole) // 2], "cannot be decoded"),
            ("half.webp", lambda whole: whole[: len(whole) // 2], "cannot be decoded"),
            ("text.jpg", lambda whole: b"<html>404</html>", "cannot be decoded"),
        ],
    )
    def test_an_unreadable_image_is_named_in_one_line(self, tmp_path, name, content, message):
        bad = tmp_path / name
        if content:
            (whole,) = save_noise(tmp_path, 1, bad.suffix[1:])
            bad.write_bytes(content(Path(whole).read_bytes()))
        paths = [*save_noise(tmp_path, 5), str(bad), *save_noise(tmp_path, 5)]

        def read_all():
            with naming_unreadable_images(paths):
                list(eval_dataset(paths, size=8, batch_size=4))

        with pytest.raises(UserError, match=f"{name}: {message}") as caught:
            read_all()
        assert "\n" not in str(caught.value)

    def test_a_folder_is_no_image(self, tmp_path):
        paths = [str(tmp_path)]
        with (
            pytest.raises(UserError, match=f"{tmp_path.name}: "),
            naming_unreadable_images(paths),
        ):
            list(eval_dataset(paths, size=8))

    def test_other_errors_are_left_alone(self, paths):
        with pytest.raises(tf.errors.InvalidArgumentError), naming_unreadable_images(paths):
            tf.reshape(tf.zeros(3), (2,))

    def test_an_empty_box(self, paths):
        boxes = np.array([[0, 0, 5, 5]] * 7, np.float32)
        boxes[3, 2] = 0
        with pytest.raises(UserError, match=r"3\.png: .*crop box"):
            eval_dataset(paths, size=8, boxes=boxes)

    def test_a_pre_crop_smaller_than_the_image(self, paths):
        with pytest.raises(UserError, match=r"pre_crop = 20 .*24"):
            eval_dataset(paths, size=24, pre_crop=20)

    def test_an_unknown_augmentation(self, paths):
        with pytest.raises(UserError, match="'color'"):
            batches(paths, [[0, 1]], size=8, augment="colour")


def test_a_square_image_of_the_right_size_is_not_touched(paths, pixels):
    np.testing.assert_array_equal(read_resized(paths[0], SIDE), pixels[0])


class TestSharing:
    """Several workers load what one would."""

    @pytest.mark.slow
    @pytest.mark.parametrize("options", [{}, {"augment": "strong", "pre_crop": SIDE}])
    @pytest.mark.parametrize("cache_gb", [0.0, 1.0])
    def test_shares_put_together_are_the_whole_batch(self, paths, options, cache_gb):
        rows = [[0, 1, 2, 3], [4, 5, 6, 0]]
        given = {"size": 16, "seed": 3, "cache_gb": cache_gb} | options
        whole = batches(paths, rows, **given)
        for share, parts in ((slice(0, 2), 1), (slice(2, 4), 1), (slice(2, 4), 2)):
            found = batches(paths, rows, share=share, parts=parts, **given)
            assert len(found) == 2 * parts
            images = np.concatenate([each for each, _ in found])
            labels = np.concatenate([each for _, each in found])
            np.testing.assert_array_equal(images, np.concatenate([i[share] for i, _ in whole]))
            np.testing.assert_array_equal(labels, np.concatenate([own[share] for _, own in whole]))

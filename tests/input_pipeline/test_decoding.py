"""Any image file becomes RGB pixels of the wanted size, which agree with Pillow."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from retrieval.input_pipeline.decoding import decode, read_orientation, read_resized, resize
from retrieval.input_pipeline.pipeline import eval_dataset


def scene(height: int, width: int) -> np.ndarray:
    """A picture with edges, gradients and texture, uint8 (height, width, 3)."""
    y, x = np.mgrid[:height, :width] / min(height, width)
    channels = [np.sin(9 * x) * np.cos(7 * y), (x + y) % 0.4 / 0.2 - 1, np.sin(12 * x * y)]
    return np.uint8(127.5 + 100 * np.stack(channels, axis=2))


def pillow(image: Image.Image, height: int, width: int | None = None) -> np.ndarray:
    size = (height if width is None else width, height)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *((mode, "png") for mode in ("RGB", "RGBA", "L", "LA", "P", "1")),
        *((mode, "jpg") for mode in ("RGB", "L", "CMYK")),
        *(("RGB", suffix) for suffix in ("webp", "gif", "bmp")),
    ],
)
def test_every_format_gives_the_pixels_pillow_gives(tmp_path, mode, suffix):
    path = tmp_path / f"picture.{suffix}"
    picture = Image.fromarray(scene(40, 40)).convert(mode)
    picture.save(path, **({"lossless": True} if suffix == "webp" else {}))
    wanted = np.asarray(Image.open(path).convert("RGB"), int)
    found = read_resized(str(path), 40).numpy()
    assert found.dtype == np.uint8
    assert np.abs(found - wanted).max() <= (3 if suffix == "jpg" else 0)


def test_sixteen_bit_gray_is_scaled_to_eight(tmp_path):
    gray = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    Image.fromarray(gray).save(tmp_path / "gray.png")
    found = read_resized(str(tmp_path / "gray.png"), 16).numpy()
    np.testing.assert_array_equal(found, np.repeat(gray[..., None] // 257, 3, axis=2))


def test_the_suffix_does_not_matter(tmp_path):
    Image.fromarray(scene(16, 16)).save(tmp_path / "png_inside.jpg", format="PNG")
    found = read_resized(str(tmp_path / "png_inside.jpg"), 16).numpy()
    np.testing.assert_array_equal(found, scene(16, 16))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("shape", [(48, 48), (70, 90), (100, 190), (333, 500), (900, 1200)])
def test_shrinking_and_enlarging_look_like_pillows(tmp_path, suffix, shape):
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(scene(*shape)).save(path, quality=95)
    difference = np.abs(read_resized(str(path), 64).numpy() - pillow(Image.open(path), 64))
    assert difference.mean() < 3


@pytest.mark.parametrize(
    ("least", "ratio"), [(201, 1), (200, 1), (101, 1), (100, 2), (51, 2), (50, 4), (25, 8), (5, 8)]
)
def test_a_jpeg_is_shrunk_only_while_its_shorter_side_stays_large_enough(least, ratio):
    contents = tf.io.encode_jpeg(scene(200, 300))
    image, found = decode(contents, least)
    assert found == ratio
    assert image.shape == (-(-200 // ratio), -(-300 // ratio), 3)


def test_no_pixel_is_skipped_when_an_image_shrinks_a_lot():
    image = np.zeros((160, 160, 3), np.uint8)
    image[::2] = 255  # plain bilinear at a tenth of the size sees only some of these lines
    np.testing.assert_allclose(resize(tf.constant(image), 16, 16), 128, atol=1)


class TestOrientation:
    """Cameras store the pixels as captured, and a number that says how to rotate them."""

    @staticmethod
    def save(path, number: int, **options) -> Image.Image:
        exif = Image.Exif()
        exif[0x010F], exif[0x0112] = "a maker of phones", number
        Image.fromarray(scene(60, 90)).save(path, exif=exif, quality=95, **options)
        return ImageOps.exif_transpose(Image.open(path))

    @pytest.mark.parametrize("number", range(1, 9))
    def test_a_photograph_is_as_upright_as_pillow_makes_it(self, tmp_path, number):
        upright = self.save(tmp_path / "photo.jpg", number)
        difference = np.abs(
            read_resized(str(tmp_path / "photo.jpg"), 48).numpy() - pillow(upright, 48)
        )
        assert difference.mean() < 4

    @pytest.mark.parametrize("number", range(1, 9))
    @pytest.mark.parametrize("box", [None, (10, 20, 30, 40)])
    def test_it_is_upright_at_any_height_and_width(self, tmp_path, number, box):
        path = tmp_path / "photo.jpg"
        self.save(path, number)
        image, part = Image.open(path), None
        if box is not None:
            x, y, w, h = box
            image, part = image.crop((x, y, x + w, y + h)), tf.constant(box, tf.float32)
            image.getexif()[0x0112] = number
        found = read_resized(str(path), (48, 24), part).numpy()
        assert found.shape == (48, 24, 3)
        assert np.abs(found - pillow(ImageOps.exif_transpose(image), 48, 24)).mean() < 4

    @pytest.mark.parametrize("first", ["MM", "II"])
    def test_both_byte_orders_are_read(self, first):
        order = {"MM": "big", "II": "little"}[first]
        numbers = [(42, 2), (8, 4), (1, 2), (0x0112, 2), (3, 2), (1, 4), (6, 2), (0, 2), (0, 4)]
        tiff = first.encode() + b"".join(n.to_bytes(size, order) for n, size in numbers)
        part = b"Exif\0\0" + tiff
        jpeg = tf.io.encode_jpeg(scene(8, 8)).numpy()
        assert read_orientation(jpeg) == 1
        marked = jpeg[:2] + b"\xff\xe1" + (len(part) + 2).to_bytes(2, "big") + part + jpeg[2:]
        assert read_orientation(marked) == 6
        behind = jpeg[:20] + marked[2 : len(marked) - len(jpeg) + 2] + jpeg[20:]  # after JFIF's
        assert read_orientation(behind) == 6

    @pytest.mark.parametrize("length", [0, 1, 3, 12, 20, 30, 40, 50])
    def test_a_truncated_file_counts_as_upright(self, tmp_path, length):
        self.save(tmp_path / "photo.jpg", 6)
        assert read_orientation((tmp_path / "photo.jpg").read_bytes()[:length]) == 1

    def test_a_number_without_meaning_counts_as_upright(self, tmp_path):
        self.save(tmp_path / "photo.jpg", 9)
        assert read_orientation((tmp_path / "photo.jpg").read_bytes()) == 1

    def test_an_image_is_cropped_to_its_box_before_it_is_rotated(self, tmp_path):
        path, box = tmp_path / "photo.jpg", (10, 20, 30, 40)
        self.save(path, 6)
        stored = Image.open(path).crop((10, 20, 40, 60))
        upright = stored.transpose(Image.Transpose.ROTATE_270)
        found = read_resized(str(path), 40, tf.constant(box, tf.float32)).numpy()
        assert np.abs(found - pillow(upright, 40)).mean() < 4

    def test_batches_of_photographs_are_upright(self, tmp_path):
        paths = [str(tmp_path / f"{number}.jpg") for number in (6, 1, 3)]
        upright = [self.save(path, n) for path, n in zip(paths, (6, 1, 3), strict=True)]
        (batch,) = eval_dataset(paths, size=48)
        for image, wanted in zip(batch.numpy(), upright, strict=True):
            assert np.abs(image - pillow(wanted, 48)).mean() < 4


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("shape", [(70, 90), (333, 500), (1200, 300), (300, 1200)])
def test_height_and_width_are_resized_each_by_itself(tmp_path, suffix, shape):
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(scene(*shape)).save(path, quality=95)
    found = read_resized(str(path), (64, 32)).numpy()
    assert np.abs(found - pillow(Image.open(path), 64, 32)).mean() < 6


@pytest.mark.parametrize(
    ("shape", "least", "kept"),
    [
        ((800, 400), 100, (200, 100)),
        ((800, 400), (100, 50), (100, 50)),
        ((800, 400), (50, 100), (200, 100)),
        ((400, 800), (100, 50), (100, 200)),
        ((799, 400), (100, 50), (200, 100)),
    ],
)
def test_a_jpeg_is_decoded_no_smaller_than_needed_on_either_side(shape, least, kept):
    contents = tf.io.encode_jpeg(scene(*shape))
    image, _ = decode(contents, least)
    assert tuple(image.shape[:2]) == kept


class TestBoxes:
    def test_only_the_box_is_seen(self, tmp_path):
        path = str(tmp_path / "picture.png")
        Image.fromarray(scene(60, 80)).save(path)
        found = read_resized(path, 20, tf.constant([30.0, 10, 20, 20]))
        np.testing.assert_array_equal(found, scene(60, 80)[10:30, 30:50])

    def test_shrunk_jpeg_boxes_move_with_the_image(self, tmp_path):
        path = str(tmp_path / "picture.jpg")
        Image.fromarray(scene(600, 800)).save(path, quality=95)
        found = read_resized(path, 50, tf.constant([320.0, 80, 240, 240])).numpy()
        wanted = pillow(Image.open(path).crop((320, 80, 560, 320)), 50)
        assert np.abs(found - wanted).mean() < 3

    def test_a_small_box_of_a_large_photo_keeps_its_detail(self, tmp_path):
        path = str(tmp_path / "picture.jpg")
        Image.fromarray(scene(600, 800)).save(path, quality=95)
        found = read_resized(path, 50, tf.constant([100.0, 100, 50, 50])).numpy()
        wanted = np.asarray(Image.open(path).crop((100, 100, 150, 150)), int)
        assert np.abs(found - wanted).max() <= 3

    @pytest.mark.parametrize("box", [(70, 50, 40, 40), (-10, -10, 20, 20)])
    def test_what_lies_outside_the_image_is_ignored(self, tmp_path, box):
        path = str(tmp_path / "picture.png")
        Image.fromarray(scene(60, 80)).save(path)
        x, y, w, h = box
        inside = scene(60, 80)[max(y, 0) : y + h, max(x, 0) : x + w]
        found = read_resized(path, 8, tf.constant(box, tf.float32))
        np.testing.assert_array_equal(found, resize(tf.constant(inside), 8, 8))

"""How many pixels an image may have: the limit that data sets, thumbnails and the app share.

A decoded image takes three bytes per pixel, and four times as many while it is resized. JPEGs are
decoded at a reduced size, so they may be larger.
"""

from PIL import Image

# Above the first number, Pillow warns of a decompression bomb; above the second, it refuses.
MOST_PIXELS = 89_478_485
MOST_PIXELS_OF_A_JPEG = 2 * MOST_PIXELS


def most_pixels(kind: str | None) -> int:
    """Return the largest number of pixels of an image.

    Args:
        kind: Its format, as Pillow names it.
    """
    return MOST_PIXELS_OF_A_JPEG if kind in ("JPEG", "MPO") else MOST_PIXELS


def size_problem(image: Image.Image) -> str | None:
    """Return why an image is too large to be decoded, in a few words; None if it is not.

    Args:
        image: The image, opened by Pillow but not loaded.
    """
    width, height = image.size
    if width * height <= most_pixels(image.format):
        return None
    return too_large(f"{width} x {height} pixels", image.format)


def too_large(size: str, kind: str | None) -> str:
    """Return the words about an image above the limit.

    Args:
        size: Its size in words, e.g. ``14000 x 14000 pixels``.
        kind: Its format, as Pillow names it.
    """
    return (
        f"{size}, more than the {most_pixels(kind) // 10**6} megapixels that are decoded: make it "
        "smaller (mogrify -resize 50% FILE)"
    )

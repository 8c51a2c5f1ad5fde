"""Which training images are kept in memory once they are decoded, and what they take there."""

from retrieval.validation import RESIZED_CROPS, ImageSize, Sides, sides_of


def loaded_sides(size: ImageSize, pre_crop: ImageSize | None, augment: str) -> Sides:
    """Return the height and width that training images are resized to when they are read.

    Args:
        size: Side of the network input, or its height and width, pixels.
        pre_crop: What images are resized to before a crop, likewise; None for the default, which is
            ``size``, or one and a half times ``size`` for random resized crops.
        augment: See :func:`retrieval.input_pipeline.pipeline.train_dataset`.
    """
    if pre_crop is not None:
        return sides_of(pre_crop)
    height, width = sides_of(size)
    return (height * 3 // 2, width * 3 // 2) if augment in RESIZED_CROPS else (height, width)


def cache_bytes(images: int, sides: Sides) -> int:
    """Return the bytes that decoded images take in memory, uint8 RGB.

    >>> cache_bytes(10_000, (256, 256)) / 1e9
    1.96608

    Args:
        images: Number of images.
        sides: See :func:`loaded_sides`.
    """
    return images * sides[0] * sides[1] * 3


def is_worthwhile(images: int, draws: int) -> bool:
    """Return whether images are drawn at least twice on average, so that keeping them saves time.

    Args:
        images: Number of images.
        draws: Number of images of all batches together.
    """
    return draws >= 2 * images


def cached_bytes(images: int, sides: Sides, draws: int, cache_gb: float) -> int:
    """Return the bytes of decoded images that a training keeps; 0 if it keeps none.

    All images are kept, or none: of those kept in part, every batch would wait for the others.

    Args:
        images: Number of training images.
        sides: See :func:`loaded_sides`.
        draws: Number of images of all batches together.
        cache_gb: Most memory to use, in GB.
    """
    needed = cache_bytes(images, sides)
    return needed if is_worthwhile(images, draws) and needed <= cache_gb * 1e9 else 0

"""Test-time augmentation: embed several views of an image and average them (as the TF 1 baseline).

A setting such as ``flip+five_crop`` names the views. At most one name says how an image is cropped:
``center`` (the default), ``five_crop`` (the center and the four corners) or ``average_pool`` (not
at all: the network sees the whole image at pre-crop size, and its average pooling takes the mean
over positions). ``flip`` adds the horizontal flip of every view.
"""

import warnings

import numpy as np

from retrieval.errors import UserError, unknown_option
from retrieval.validation import (
    ImageSize,
    View,
    ViewMean,
    as_size,
    check_choice,
    choices_of,
    side_below,
    sides_of,
)

VIEWS = choices_of(View)
CROPS = tuple(view for view in VIEWS if view != "flip")


def parse_views(text: str) -> tuple[str, ...]:
    """Read a setting such as ``flip+five_crop``.

    Args:
        text: Names of views joined by ``+``, or ``none``.

    Returns:
        The names; none for ``none``.

    Raises:
        UserError: An unknown view, or two ways to crop an image.
    """
    views = () if text == "none" else tuple(text.split("+"))
    for view in views:
        if view not in VIEWS:
            raise unknown_option("test-time view", view, ("none", *VIEWS))
    crops = [view for view in views if view in CROPS]
    if len(crops) > 1:
        raise UserError(f"test-time views {text!r}: give only one of {', '.join(crops)}")
    return views


def view_size(views: tuple[str, ...], size: ImageSize, pre_crop: ImageSize | None) -> ImageSize:
    """Return the size of the views, which the network's input must have.

    Args:
        views: Names from :func:`parse_views`.
        size: Size of the network input in training.
        pre_crop: Size of the resized image before it is cropped; None for ``size``.

    Returns:
        The pre-crop size for ``average_pool``, ``size`` for all other views.
    """
    return (pre_crop or size) if "average_pool" in views else size


def check_room(views: tuple[str, ...], size: ImageSize, loaded: ImageSize) -> None:
    """Check that five different crops fit into an image.

    Args:
        views: Names from :func:`parse_views`.
        size: Size of the crops.
        loaded: Size of the image, see ``pre_crop``.

    Raises:
        UserError: A side of the image leaves no room; names it unless both sizes are squares.
    """
    if "five_crop" not in views:
        return
    (height, width), whole = sides_of(size), sides_of(loaded)
    if side := side_below(whole, (height + 1, width + 1)):
        squares = height == width and whole[0] == whole[1]
        above = height if squares else f"{height if side == 'height' else width} in {side}"
        raise UserError(
            f"five_crop cuts views of {as_size((height, width))} px out of images of "
            f"{as_size(whole)} px: give a --pre-crop above {above}"
        )


def cut_views(images: np.ndarray, views: tuple[str, ...], size: ImageSize) -> np.ndarray:
    """Crop and flip the views of every image.

    Args:
        images: (B, L, M, 3), at pre-crop size (L, M), at least ``size``.
        views: Names from :func:`parse_views`.
        size: Size (H, W) of the views; (L, M) for ``average_pool``.

    Returns:
        (B, V, H, W, 3), of the same dtype, with the views in the order of
        :func:`view_names`.

    Raises:
        UserError: The images leave no room for five crops.
    """
    images = np.asarray(images)
    height, width = sides_of(size)
    corners = view_corners(views, size, images.shape[1:3])
    crops = [images[:, y : y + height, x : x + width] for y, x in corners]
    if "flip" in views:
        crops += [crop[:, :, ::-1] for crop in crops]
    return np.stack(crops, axis=1)


def view_corners(
    views: tuple[str, ...], size: ImageSize, loaded: ImageSize
) -> list[tuple[int, int]]:
    """Return the upper left corners (y, x) in pixels of the crops of :func:`cut_views`.

    Args:
        views: Names from :func:`parse_views`.
        size: Size of the crops.
        loaded: Size of the image.

    Returns:
        The center crop and, for ``five_crop``, the four corners.

    Raises:
        UserError: The image leaves no room for five crops.
    """
    check_room(views, size, loaded)
    (height, width), whole = sides_of(size), sides_of(loaded)
    bottom, right = whole[0] - height, whole[1] - width
    corners = [(bottom // 2, right // 2)]
    if "five_crop" in views:
        corners += [(0, 0), (0, right), (bottom, 0), (bottom, right)]
    return corners


def view_names(views: tuple[str, ...]) -> list[str]:
    """Return the names of the V views in the order of :func:`cut_views`, e.g. ``center_flip``."""
    names = ["average_pool" if "average_pool" in views else "center"]
    if "five_crop" in views:
        names += ["top_left", "top_right", "bottom_left", "bottom_right"]
    return names + [f"{name}_flip" for name in names if "flip" in views]


def aggregate(embeddings: np.ndarray, mean: str = "normalized") -> np.ndarray:
    """Combine the embeddings of an image's views into one.

    Args:
        embeddings: (B, V, D), one embedding per view.
        mean: ``plain``, or ``normalized`` (the mean, scaled to unit length). Defaults to
            ``normalized``.

    Returns:
        float32, (B, D).

    Raises:
        UserError: An unknown mean.
    """
    check_choice("test_time_mean", mean, choices_of(ViewMean))
    combined = np.asarray(embeddings, np.float32).mean(axis=1)
    if mean == "normalized":
        combined /= np.maximum(np.linalg.norm(combined, axis=-1, keepdims=True), 1e-12)
    return combined


def warn_of_resolution(trained: ImageSize, tested: ImageSize) -> None:
    """Warn if images are embedded at another resolution than the network was trained at.

    Objects then appear at another scale than the network has learned (Touvron et al. 2019, "Fixing
    the train-test resolution discrepancy").

    Args:
        trained: Size of the network input in training.
        tested: Size of the network input now.
    """
    before, now = sides_of(trained), sides_of(tested)
    if before != now:
        warnings.warn(
            f"embedding at {as_size(now)} px a network trained at {as_size(before)} px: its scores "
            "belong to this pair of resolutions",
            stacklevel=2,
        )

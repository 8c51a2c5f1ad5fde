"""Test-time augmentation: embed several views of an image and average them (as the TF 1 baseline).

A setting such as ``flip+five_crop`` names the views. At most one name says how an image is cropped:
``center`` (the default), ``five_crop`` (the center and the four corners) or ``average_pool`` (not
at all: the network sees the whole image at pre-crop size, and its average pooling takes the mean
over positions). ``flip`` adds the horizontal flip of every view.
"""

import warnings

import numpy as np

from retrieval.errors import UserError, unknown_option
from retrieval.validation import View, ViewMean, check_choice, choices_of

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


def view_size(views: tuple[str, ...], size: int, pre_crop: int | None) -> int:
    """Return the side of the views in pixels, which the network's input must have.

    Args:
        views: Names from :func:`parse_views`.
        size: Side of the network input in training, pixels.
        pre_crop: Side of the resized image before it is cropped, pixels; None for ``size``.

    Returns:
        The pre-crop size for ``average_pool``, ``size`` for all other views.
    """
    return (pre_crop or size) if "average_pool" in views else size


def cut_views(images: np.ndarray, views: tuple[str, ...], size: int) -> np.ndarray:
    """Crop and flip the views of every image.

    Args:
        images: (B, L, L, 3), at pre-crop size L, at least ``size``.
        views: Names from :func:`parse_views`.
        size: Side of the views, pixels; L for ``average_pool``.

    Returns:
        (B, V, size, size, 3), of the same dtype, with the views in the order of
        :func:`view_names`.

    Raises:
        UserError: The images leave no room for five crops.
    """
    images = np.asarray(images)
    slack = images.shape[1] - size
    corners = [(slack // 2, slack // 2)]
    if "five_crop" in views:
        if slack < 1:
            raise UserError(
                f"five_crop cuts views of {size} px out of images of {images.shape[1]} px: give a "
                f"--pre-crop above {size}"
            )
        corners += [(0, 0), (0, slack), (slack, 0), (slack, slack)]
    crops = [images[:, y : y + size, x : x + size] for y, x in corners]
    if "flip" in views:
        crops += [crop[:, :, ::-1] for crop in crops]
    return np.stack(crops, axis=1)


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


def warn_of_resolution(trained: int, tested: int) -> None:
    """Warn if images are embedded at another resolution than the network was trained at.

    Objects then appear at another scale than the network has learned (Touvron et al. 2019, "Fixing
    the train-test resolution discrepancy").

    Args:
        trained: Side of the network input in training, pixels.
        tested: Side of the network input now, pixels.
    """
    if trained != tested:
        warnings.warn(
            f"embedding at {tested} px a network trained at {trained} px: its scores belong to "
            "this pair of resolutions",
            stacklevel=2,
        )

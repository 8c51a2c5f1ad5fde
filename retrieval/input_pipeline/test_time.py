"""Test-time augmentation: several views of an image, one embedding (as the TF 1 baseline).

Views are named in a setting such as ``flip+five_crop``. How an image is cut: ``center`` (the
default), ``five_crop`` (center and four corners) or ``average_pool`` (not at all: the network sees
the whole image at pre-crop size, and its average pooling takes the mean over positions). ``flip``
adds the mirror image of every view.
"""

import warnings

import numpy as np

from retrieval.errors import UserError, unknown_option

CUTS = ("center", "five_crop", "average_pool")
VIEWS = (*CUTS, "flip")
HOW = ("mean", "normalized_mean")


def parse_views(text: str) -> tuple[str, ...]:
    """Read a setting such as ``flip+five_crop``; ``none`` gives no views.

    Args:
        text: Names of views joined by ``+``, or ``none``.

    Returns:
        The names.

    Raises:
        UserError: An unknown view, or two ways to cut an image.
    """
    views = () if text == "none" else tuple(text.split("+"))
    for view in views:
        if view not in VIEWS:
            raise unknown_option("test-time view", view, ("none", *VIEWS))
    cuts = [view for view in views if view in CUTS]
    if len(cuts) > 1:
        raise UserError(f"test-time views {text!r}: give only one of {', '.join(cuts)}")
    return views


def view_size(kinds: tuple[str, ...], size: int, pre_crop: int | None) -> int:
    """Return the side of the views, pixels: the pre-crop size for ``average_pool``, else ``size``.

    Args:
        kinds: What :func:`parse_views` returns.
        size: Side of the network input in training, pixels.
        pre_crop: Side of the resized image before cropping, pixels; None: the same.

    Returns:
        The side that the network's input must have.
    """
    return (pre_crop or size) if "average_pool" in kinds else size


def test_time_views(images: np.ndarray, kinds: tuple[str, ...], size: int) -> np.ndarray:
    """Cut the views of each image.

    Args:
        images: (B, L, L, 3) at pre-crop size, L >= size.
        kinds: What :func:`parse_views` returns.
        size: Side of the views, pixels; ``average_pool`` needs L.

    Returns:
        (B, V, size, size, 3), same dtype; views in the order of :func:`view_names`.

    Raises:
        UserError: Five crops without room for them.
    """
    images = np.asarray(images)
    slack = images.shape[1] - size
    corners = [(slack // 2, slack // 2)]
    if "five_crop" in kinds:
        if slack < 1:
            raise UserError(
                f"five_crop cuts views of {size} px out of images of {images.shape[1]} px: give a "
                f"--pre-crop above {size}"
            )
        corners += [(0, 0), (0, slack), (slack, 0), (slack, slack)]
    views = [images[:, y : y + size, x : x + size] for y, x in corners]
    if "flip" in kinds:
        views += [view[:, :, ::-1] for view in views]
    return np.stack(views, axis=1)


test_time_views.__test__ = False  # a name pytest would take for a test


def view_names(kinds: tuple[str, ...]) -> list[str]:
    """Name the views in the order in which :func:`test_time_views` returns them.

    Args:
        kinds: What :func:`parse_views` returns.

    Returns:
        V names, such as ``top_left`` or ``center_flip``.
    """
    names = ["average_pool" if "average_pool" in kinds else "center"]
    if "five_crop" in kinds:
        names += ["top_left", "top_right", "bottom_left", "bottom_right"]
    return names + [f"{name}_flip" for name in names if "flip" in kinds]


def aggregate(embeddings: np.ndarray, how: str = "normalized_mean") -> np.ndarray:
    """Combine the embeddings of an image's views.

    Args:
        embeddings: (B, V, D).
        how: ``mean``, or ``normalized_mean`` (the mean, scaled to unit length).

    Returns:
        (B, D), float32.

    Raises:
        UserError: An unknown way.
    """
    if how not in HOW:
        raise unknown_option("aggregation", how, HOW)
    mean = np.asarray(embeddings, np.float32).mean(axis=1)
    if how == "normalized_mean":
        mean /= np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)
    return mean


def warn_of_resolution(trained: int, tested: int) -> None:
    """Warn if images are embedded at another resolution than the network was trained at.

    Objects then appear at another scale than the network learned (Touvron et al. 2019, "Fixing the
    train-test resolution discrepancy").

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

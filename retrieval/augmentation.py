"""Test-time augmentation: several views of an image, one embedding (as the TF 1 baseline)."""

import numpy as np

from retrieval.errors import UserError, unknown_option

VIEWS = ("centre", "flip", "five_crop")
HOW = ("mean", "normalised_mean")


def parse_views(text: str) -> tuple[str, ...]:
    """Read a setting such as ``flip+five_crop``; ``none`` gives no views.

    Raises:
        UserError: An unknown view.
    """
    views = () if text == "none" else tuple(text.split("+"))
    for view in views:
        if view not in VIEWS:
            raise unknown_option("test-time view", view, ("none", *VIEWS))
    return views


def test_time_views(images: np.ndarray, kinds: tuple[str, ...], size: int) -> np.ndarray:
    """Cut the views of each image.

    Args:
        images: (B, L, L, 3), L >= size.
        kinds: Any of ``centre`` (always the first view), ``five_crop`` (adds the four corners) and
            ``flip`` (adds the mirror image of every view).
        size: Side of the views, pixels.

    Returns:
        (B, V, size, size, 3), same dtype.

    Raises:
        UserError: An unknown view, or five crops without room for them.
    """
    for kind in kinds:
        if kind not in VIEWS:
            raise unknown_option("test-time view", kind, VIEWS)
    slack = images.shape[1] - size
    corners = [(slack // 2, slack // 2)]
    if "five_crop" in kinds:
        if slack < 1:
            raise UserError(f"five_crop needs --pre-crop larger than the image size {size}")
        corners += [(0, 0), (0, slack), (slack, 0), (slack, slack)]
    views = [images[:, y : y + size, x : x + size] for y, x in corners]
    if "flip" in kinds:
        views += [view[:, :, ::-1] for view in views]
    return np.stack([np.asarray(view) for view in views], axis=1)


test_time_views.__test__ = False  # a name pytest would take for a test


def aggregate(embeddings: np.ndarray, how: str = "normalised_mean") -> np.ndarray:
    """Combine the embeddings of an image's views.

    Args:
        embeddings: (B, V, D).
        how: ``mean``, or ``normalised_mean`` (each view first scaled to unit length).

    Returns:
        (B, D), float32.

    Raises:
        UserError: An unknown way.
    """
    if how not in HOW:
        raise unknown_option("aggregation", how, HOW)
    if how == "normalised_mean":
        norm = np.linalg.norm(embeddings, axis=-1, keepdims=True)
        embeddings = embeddings / np.maximum(norm, 1e-12)
    return embeddings.mean(axis=1).astype(np.float32)

"""Does every bounding box show a part of its image? What a box does not show is trained on."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from retrieval.errors import UserError, counted


def check_boxes(paths: Sequence[str], boxes: np.ndarray) -> None:
    """Check that boxes overlap their images; only the images' headers are read.

    Args:
        paths: Absolute paths of n readable images.
        boxes: (n, 4): x, y, width, height in pixels.

    Raises:
        UserError: Names the first image whose box is empty or outside it, and counts the others.
    """
    with ThreadPoolExecutor(8) as pool:
        sizes = np.array(list(pool.map(_size, paths)))
    start, stop = np.maximum(boxes[:, :2], 0), np.minimum(boxes[:, :2] + boxes[:, 2:], sizes)
    bad = np.flatnonzero(~(stop > start).all(axis=1))  # ~ so that a NaN is bad too
    if len(bad):
        row = bad[0]
        box = ", ".join(f"{value:g}" for value in boxes[row])
        size = f"{sizes[row, 0]} x {sizes[row, 1]}"
        empty = (boxes[row, 2:] <= 0).any()
        fault = "is empty" if empty else f"lies outside the image of {size} pixels"
        others = counted(len(bad) - 1, "more box is", "more boxes are")
        more = f"; {others} at fault" if len(bad) > 1 else ""
        raise UserError(
            f"{paths[row]}: its bounding box (x, y, width, height = {box}) {fault}"
            f"{more}: correct the data set's list of "
            "boxes, or use the images whole (boxes=false)"
        )


def _size(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size

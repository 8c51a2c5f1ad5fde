"""Folders of small images that tests train on."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_colors(
    root: Path,
    *,
    seed: int,
    scale: float,
    classes: int = 8,
    each: int = 6,
    size: tuple[int, int] = (20, 20),
) -> Path:
    """Write ``root/class <c>/<n>.png``: noise around a color of the class; size is (W, H)."""
    rng = np.random.default_rng(seed)
    for label in range(classes):
        folder = root / f"class {label}"
        folder.mkdir(parents=True)
        color = rng.integers(40, 215, 3)
        for number in range(each):
            pixels = np.clip(color + rng.normal(scale=scale, size=(size[1], size[0], 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return root

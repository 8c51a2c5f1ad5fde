"""Digits: 1,797 tiny handwritten digits that ship with scikit-learn, for smoke tests."""

from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.drawn import draw_once

SIDE = 32
N_IMAGES, N_CLASSES = 1797, 10
MADE_BY = "digits 1"


def load(root: Path) -> Catalog:
    """Load the catalog; the images are written on first use.

    Args:
        root: Folder of the images.

    Returns:
        The catalog. Each digit is a class; 0 to 4 are the training split, 5 to 9 the test split.

    Raises:
        UserError: The folder ``images`` holds other files.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    paths = [f"images/{label}/{row:04d}.png" for row, label in enumerate(digits.target)]
    names = [path.removeprefix("images/") for path in paths]
    draw_once(
        root / "images",
        MADE_BY,
        lambda folder: _write(folder, names, digits.images),
        drawn_before=lambda mark: names,
    )
    return make_catalog(
        "digits",
        root,
        path=paths,
        label=digits.target,
        label_name=[str(label) for label in digits.target],
        split=["train" if label < 5 else "test" for label in digits.target],
    )


def _write(folder: Path, names: list[str], images: np.ndarray) -> list[str]:
    """Write 8 x 8 images with values from 0 to 16 as gray PNG files, enlarged to 32 px."""
    for name, image in zip(names, images, strict=True):
        (folder / name).parent.mkdir(exist_ok=True)
        gray = Image.fromarray(np.minimum(image * 16, 255).astype(np.uint8))
        gray.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / name)
    return names


ENTRY = Dataset(
    name="digits",
    title="Digits (embedded, tiny)",
    load=load,
    how_to_get="nothing to do: written on first use",
    license="CC BY 4.0 (UCI)",
    source="sklearn.datasets.load_digits",
    n_images=N_IMAGES,
    n_classes=N_CLASSES,
    splits="0-4 train, 5-9 test",
    needs=("images",),
    flip=False,
    needs_files=False,
)

"""Digits: 1,797 tiny handwritten digits that ship with scikit-learn, for smoke tests."""

from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.files import atomic_folder

SIDE = 32
N_IMAGES, N_CLASSES = 1797, 10


def load(root: Path) -> Catalog:
    """Load the catalog; the images are written on first use.

    Args:
        root: Folder of the images.

    Returns:
        The catalog. Each digit is a class; 0 to 4 are the training split, 5 to 9 the test split.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    paths = [f"images/{label}/{row:04d}.png" for row, label in enumerate(digits.target)]
    if not (root / "images").is_dir():
        _write(root, paths, digits.images)
    return make_catalog(
        "digits",
        root,
        path=paths,
        label=digits.target,
        label_name=[str(label) for label in digits.target],
        split=["train" if label < 5 else "test" for label in digits.target],
    )


def _write(root: Path, paths: list[str], images: np.ndarray) -> None:
    """Write 8 x 8 images with values from 0 to 16 as gray PNG files, enlarged to 32 px."""
    with atomic_folder(root / "images") as partial:
        for path, image in zip(paths, images, strict=True):
            file = partial / Path(path).relative_to("images")
            file.parent.mkdir(exist_ok=True)
            gray = Image.fromarray(np.minimum(image * 16, 255).astype(np.uint8))
            gray.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file)


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

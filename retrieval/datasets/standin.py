"""Write a small stand-in of a benchmark: its exact on-disk format, filled with other photos.

For tests, and for notebooks on a machine without the data. ``STANDIN.txt`` marks the folder, and
the loaders hold it to the counts written there instead of the official ones.
"""

import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.datasets.catalog import Catalog
from retrieval.datasets.official import Counts, mark_standin
from retrieval.datasets.standin_formats import WRITERS, Photo, word
from retrieval.errors import UserError, unknown_option


def write_standin(
    name: str,
    source: Catalog,
    root: Path | str,
    *,
    classes: int = 8,
    per_class: int = 8,
    seed: int = 0,
) -> Path:
    """Write a stand-in of a benchmark, all or nothing.

    Args:
        name: ``cub200``, ``cars196``, ``sop``, ``inshop`` or ``grocery``.
        source: Photos to fill it with; its train classes become train classes.
        root: The folder to make.
        classes: Classes on each side of the split, at most those ``source`` has.
        per_class: Images of each class, at most those ``source`` has; at least 2.
        seed: Seeds the choice of classes and images.

    Returns:
        ``root``, ready for ``load_catalog(name, root)``.

    Raises:
        UserError: Unknown name, ``root`` exists, or too few images.
    """
    if name not in WRITERS:
        raise unknown_option("benchmark to stand in for", name, WRITERS)
    root = Path(root)
    if root.exists():
        raise UserError(f"{root} exists: a stand-in is written to a new folder")
    photos = _choose(source, classes, per_class, np.random.default_rng(seed))
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        partial.chmod(0o755)
        queries = WRITERS[name](partial, photos)
        text = (
            f"This is a stand-in of {name}: {len(photos)} photos of the data set {source.name!r} "
            "in its on-disk format. It is not the published data set."
        )
        mark_standin(partial, text, _count(photos, queries))
        partial.replace(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root


def _choose(
    source: Catalog, classes: int, per_class: int, random: np.random.Generator
) -> list[Photo]:
    """Pick photos, classes numbered from 1 with the training classes first."""
    photos: list[Photo] = []
    label = 0
    for split in ("train", "test"):
        rows = source.split(split)
        sizes = rows.groupby("label").size()
        usable = sizes[sizes >= 2].index.to_numpy()
        if not len(usable):
            raise UserError(f"data set {source.name!r} has no {split} class with 2 images")
        for chosen in np.sort(random.permutation(usable)[:classes]):
            label += 1
            members = rows[rows["label"] == chosen]
            picked = np.sort(random.permutation(len(members))[: max(per_class, 2)])
            for number, position in enumerate(picked, start=1):
                row = members.iloc[position]
                jpeg, size = _jpeg(source.root / row["path"])
                group = str(row.get("super_name", "Things"))
                photos.append(
                    Photo(label, number, str(row["label_name"]), group, split, jpeg, size)
                )
    return photos


def _jpeg(path: Path) -> tuple[bytes, tuple[int, int]]:
    """Return an image as JPEG bytes (unchanged if it is one) and its size."""
    with Image.open(path) as image:
        if image.format == "JPEG":
            return path.read_bytes(), image.size
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=92)
        return buffer.getvalue(), image.size


def _count(photos: list[Photo], queries: int) -> Counts:
    sides = {split: [p for p in photos if p.split == split] for split in ("train", "test")}
    return Counts(
        train_images=len(sides["train"]),
        test_images=len(sides["test"]),
        train_classes=len({p.label for p in sides["train"]}),
        test_classes=len({p.label for p in sides["test"]}),
        queries=queries,
    )


def write_example_folder(source: Catalog, root: Path | str, *, split: str = "test") -> Path:
    """Write images as a folder with one sub-folder per class: what ``--dataset folder`` reads.

    Args:
        source: The images; classes of one image are left out.
        root: The folder to make; kept as it is if it exists.
        split: Which of the source's classes.

    Returns:
        ``root``.
    """
    root = Path(root)
    if root.exists():
        return root
    rows = source.split(split)
    rows = rows[rows.groupby("label")["label"].transform("size") >= 2]
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        partial.chmod(0o755)
        for number, row in enumerate(rows.itertuples()):
            folder = partial / word(row.label_name)
            folder.mkdir(exist_ok=True)
            (folder / f"{number:05d}.jpg").write_bytes(_jpeg(source.root / row.path)[0])
        partial.replace(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root

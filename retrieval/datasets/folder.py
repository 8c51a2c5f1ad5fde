"""Your own images: one sub-folder per class, class-disjoint split by fraction or lists."""

import os
from pathlib import Path

from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.checks import check_class_sizes
from retrieval.datasets.splits import split_classes
from retrieval.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif")


def load(
    root: Path,
    *,
    test_fraction: float = 0.5,
    split_seed: int = 0,
    train_classes: str | None = None,
    test_classes: str | None = None,
) -> Catalog:
    """Load ``root/<class>/<image>``; images may lie deeper inside a class's folder.

    Args:
        root: Folder with one sub-folder per class.
        test_fraction: See :func:`retrieval.datasets.splits.split_classes`, as all below.
        split_seed: Seeds the split.
        train_classes: Text file of classes to train on.
        test_classes: Text file of classes to test on.

    Returns:
        The catalogue.

    Raises:
        UserError: The folder is missing or has no classes; a class is empty or has one image.
    """
    if not root.is_dir():
        raise UserError(f"no folder at {root}; pass --data DIR with one sub-folder per class")
    names = sorted(e.name for e in os.scandir(root) if e.is_dir() and not e.name.startswith("."))
    if not names:
        raise UserError(f"{root}: no sub-folders; it needs one per class")
    images = {name: sorted(_images(root, name)) for name in names}
    for name, found in images.items():
        if not found:
            raise UserError(
                f"{root / name}: no images ({', '.join(SUFFIXES)}); add some or remove the folder"
            )
    sides = split_classes(
        names,
        test_fraction=test_fraction,
        split_seed=split_seed,
        train_classes=train_classes,
        test_classes=test_classes,
    )
    kept = [(path, name) for name in names if name in sides for path in images[name]]
    check_class_sizes([name for _, name in kept], root)
    return make_catalog(
        "folder",
        root,
        path=[path for path, _ in kept],
        label=[names.index(name) for _, name in kept],
        label_name=[name for _, name in kept],
        split=[sides[name] for _, name in kept],
        options={
            "test_fraction": test_fraction,
            "split_seed": split_seed,
            "train_classes": train_classes,
            "test_classes": test_classes,
        },
    )


def _images(root: Path, name: str) -> list[str]:
    return [
        path.relative_to(root).as_posix()
        for path in (root / name).rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]

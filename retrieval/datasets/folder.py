"""Your own images: any folder with one sub-folder per class."""

import os
from pathlib import Path
from typing import NamedTuple

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import SPLITS, Catalog, make_catalog
from retrieval.datasets.checks import IMAGE_SUFFIXES, has_a_positive
from retrieval.datasets.splits import ClassList, split_classes
from retrieval.errors import UserError, counted, unknown_option

SINGLETONS = ("refuse", "drop", "keep")


class File(NamedTuple):
    """One image: the name of its class, its path relative to the root, and its split."""

    label_name: str
    path: str
    split: str


def load(
    root: Path,
    *,
    test_fraction: float = 0.5,
    split_seed: int = 0,
    train_classes: ClassList | None = None,
    test_classes: ClassList | None = None,
    singletons: str = "refuse",
) -> Catalog:
    """Load ``root/<class>/**/<image>``, or ``root/train/<class>/`` and ``root/test/<class>/``.

    Args:
        root: The folder. Hidden files and folders in it are ignored.
        test_fraction: Share of the classes in the test split, between 0 and 1; used without class
            lists. Defaults to 0.5.
        split_seed: Seed of the random split into training and test classes. Defaults to 0.
        train_classes: Training classes, instead of a random split: class names separated by commas,
            or ``@FILE`` with one per line. Defaults to every class not in ``test_classes``.
        test_classes: Test classes, given like ``train_classes``. Defaults to every class not in
            ``train_classes``.
        singletons: What to do with training classes of a single image, which have no positive
            pair: ``refuse`` them, ``drop`` them or ``keep`` them. Defaults to ``refuse``.

    Returns:
        The catalog. Labels number the class names in sorted order.

    Raises:
        UserError: There are no class folders, a class has no images, or the split is invalid.
    """
    check_singletons(singletons)
    if _has_split_folders(root):
        if train_classes is not None or test_classes is not None:
            raise UserError(
                f"{root} has train/ and test/ folders: they are the split; drop the lists"
            )
        files = _files_of_split_folders(root)
    else:
        by_class = class_images(root)
        split_of = split_classes(
            list(by_class),
            test_fraction=test_fraction,
            split_seed=split_seed,
            train_classes=train_classes,
            test_classes=test_classes,
        )
        files = [
            File(name, path, split_of[name])
            for name, paths in by_class.items()
            if name in split_of
            for path in paths
        ]
    number = {name: label for label, name in enumerate(sorted({f.label_name for f in files}))}
    if singletons == "drop":
        keep = has_a_positive([f.label_name for f in files], [f.split for f in files])
        files = [file for file, kept in zip(files, keep, strict=True) if kept]
    return make_catalog(
        "folder",
        root,
        path=[file.path for file in files],
        label=[number[file.label_name] for file in files],
        label_name=[file.label_name for file in files],
        split=[file.split for file in files],
        options={
            "test_fraction": test_fraction,
            "split_seed": split_seed,
            "train_classes": train_classes,
            "test_classes": test_classes,
            "singletons": singletons,
        },
    )


def _files_of_split_folders(root: Path) -> list[File]:
    return [
        File(name, f"{split}/{path}", split)
        for split in SPLITS
        for name, paths in class_images(root / split).items()
        for path in paths
    ]


def class_images(root: Path) -> dict[str, list[str]]:
    """Map each class folder of ``root`` to the images in it.

    Args:
        root: A folder with one sub-folder per class. Hidden files and folders are ignored.

    Returns:
        Class name -> POSIX paths relative to ``root``, both sorted.

    Raises:
        UserError: There are no class folders, or one has no images.
    """
    classes = _visible_folders(root)
    if not classes:
        raise UserError(f"{root} has no sub-folders: give a folder with one sub-folder per class")
    found = {}
    for name in classes:
        files = _files_below(root / name)
        images = sorted(f for f in files if f.lower().endswith(IMAGE_SUFFIXES))
        if not images:
            others = f" ({counted(len(files), 'file')} of other kinds)" if files else ""
            raise UserError(
                f"class folder {root / name} has no images{others}: "
                f"add {', '.join(IMAGE_SUFFIXES)} files or remove the folder"
            )
        found[name] = [f"{name}/{image}" for image in images]
    return found


def check_singletons(given: str) -> None:
    """Check the value of the ``singletons`` option.

    Args:
        given: The value that was given.

    Raises:
        UserError: It is not one of :data:`SINGLETONS`.
    """
    if given not in SINGLETONS:
        raise unknown_option("value of option singletons", given, SINGLETONS)


def _visible_folders(root: Path) -> list[str]:
    with os.scandir(root) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _files_below(folder: Path) -> list[str]:
    found = []
    for here, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(here).relative_to(folder)
        found += [(inside / name).as_posix() for name in files if not name.startswith(".")]
    return found


def _has_split_folders(root: Path) -> bool:
    """Tell whether ``root`` holds ``train/<class>/``, ``test/<class>/`` and no other folder."""
    if _visible_folders(root) != sorted(SPLITS):
        return False
    return all(_visible_folders(root / split) for split in SPLITS)


ENTRY = Dataset(
    name="folder",
    title="Your own images, one folder per class",
    load=load,
    how_to_get="give your folder with --data DIR (one sub-folder per class)",
    splits="by fraction and seed, by lists, or train/ and test/",
)

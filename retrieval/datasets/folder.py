"""Your own images: any directory with one sub-folder per class."""

import os
from pathlib import Path

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import SPLITS, Catalog, make_catalog
from retrieval.datasets.checks import IMAGE_SUFFIXES, drop_singletons
from retrieval.datasets.splits import ClassList, split_classes
from retrieval.errors import UserError, counted, unknown_option

File = tuple[str, str, str]  # class, path, split
SINGLETONS = ("refuse", "drop", "keep")


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
        root: The directory; hidden files and folders are ignored.
        test_fraction: Share of the classes to test on.
        split_seed: Seeds the split.
        train_classes: Class names instead of a fraction: a list, ``"a,b"`` or ``"@FILE"``.
        test_classes: As above, for the test side.
        singletons: What to do with training classes of one image: ``refuse``, ``drop``, ``keep``.

    Returns:
        The catalog; labels number the class names in sorted order.

    Raises:
        UserError: No class folders, a class without images, or a bad split.
    """
    check_singletons(singletons)
    options = {k: v for k, v in locals().items() if k != "root"}
    split_options = {k: v for k, v in options.items() if k != "singletons"}
    files = _given_files(root) if _given_split(root) else _split_files(root, **split_options)
    if _given_split(root) and (train_classes is not None or test_classes is not None):
        raise UserError(f"{root} has train/ and test/ folders: they are the split; drop the lists")
    number = {name: label for label, name in enumerate(sorted({c for c, _, _ in files}))}
    if singletons == "drop":
        keep = drop_singletons([(c, s) for c, _, s in files], [s == "train" for _, _, s in files])
        files = [file for file, kept in zip(files, keep, strict=True) if kept]
    return make_catalog(
        "folder",
        root,
        path=[path for _, path, _ in files],
        label=[number[name] for name, _, _ in files],
        label_name=[name for name, _, _ in files],
        split=[split for _, _, split in files],
        options=options,
    )


def _given_files(root: Path) -> list[File]:
    images = {split: class_images(root / split) for split in SPLITS}
    return [
        (name, f"{split}/{path}", split)
        for split in SPLITS
        for name, paths in images[split].items()
        for path in paths
    ]


def _split_files(root: Path, **options: object) -> list[File]:
    by_class = class_images(root)
    split_of = split_classes(list(by_class), **options)
    return [
        (name, path, split_of[name])
        for name, paths in by_class.items()
        if name in split_of
        for path in paths
    ]


def class_images(root: Path) -> dict[str, list[str]]:
    """Map each class folder of ``root`` to its images, both sorted.

    Returns:
        POSIX paths relative to ``root``, by class name.

    Raises:
        UserError: No class folders, or one without images.
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

    Raises:
        UserError: It is not one of ``SINGLETONS``.
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


def _given_split(root: Path) -> bool:
    """Tell whether ``root`` holds exactly ``train/<class>/`` and ``test/<class>/``."""
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

"""Your own images: any folder with one sub-folder per class."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import SPLITS, Catalog, make_catalog
from retrieval.datasets.checks import has_a_positive
from retrieval.datasets.folder_metadata import read_metadata
from retrieval.datasets.image_files import (
    IMAGE_SUFFIXES,
    describe_left_out,
    is_image_name,
    is_junk,
    is_utf8,
    printable,
)
from retrieval.datasets.splits import (
    ClassList,
    Part,
    part_of,
    remarks_on_names,
    remarks_on_splits,
    split_classes,
)
from retrieval.datasets.tables import TABLE_SUFFIXES
from retrieval.errors import UserError, counted, unknown_option

SINGLETONS = ("refuse", "drop", "keep")
FOLDERS_SHOWN = 4


class File(NamedTuple):
    """One image: the name of its class, its path relative to the root, its split and its role."""

    label_name: str
    path: str
    split: str
    role: str = "both"


@dataclass
class Reading:
    """What reading the folders of a data set has come across.

    Attributes:
        folders: (device, number) of each folder that was read -> its path.
        others: Names of the files that are no readable images.
        junk: Number of hidden files and folders, and of those that a system made.
        loose: Number of images that lie beside class folders, in no class.
    """

    folders: dict[tuple[int, int], Path] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    junk: int = 0
    loose: int = 0

    def note_files(self, entries: list[os.DirEntry[str]]) -> None:
        """Note what lies beside class folders and is not read."""
        for entry in entries:
            if is_junk(entry.name):
                self.junk += 1
            elif is_image_name(entry.name) and not _is_folder(entry):
                self.loose += 1

    def enter(self, folder: Path) -> None:
        """Note that a folder is read.

        Raises:
            UserError: It was read before, under another name: a link leads to it.
        """
        found = _stat(folder)
        seen = self.folders.setdefault((found.st_dev, found.st_ino), folder)
        if seen != folder:
            raise UserError(
                f"{printable(str(folder))}: the same folder as {printable(str(seen))}, by a link: "
                "its images would be read twice; remove the link"
            )


def load(
    root: Path,
    *,
    test_fraction: float = 0.5,
    split_seed: int = 0,
    train_classes: ClassList | None = None,
    test_classes: ClassList | None = None,
    singletons: str | None = None,
    metadata: str | None = None,
    path: str | None = None,
    label: str | None = None,
) -> Catalog:
    """Load ``root/<class>/**/<image>``, or ``root/train/<class>/`` and ``root/test/<class>/``.

    The folders of a split may also be called ``val`` (or ``valid``, ``validation``), and the test
    split may come as ``query`` and ``gallery``, in any case of the letters.

    A table beside the images, such as a CSV file of prices, names an image per row, or a class; its
    other columns are kept with the items: see :mod:`retrieval.datasets.folder_metadata`.

    Args:
        root: The folder. Hidden files and folders in it, and those that systems make, are ignored.
        test_fraction: Share of the classes in the test split, between 0 and 1; used without class
            lists. Defaults to 0.5.
        split_seed: Seed of the random split into training and test classes. Defaults to 0.
        train_classes: Training classes, instead of a random split: class names separated by commas,
            or ``@FILE`` with one per line. Defaults to every class not in ``test_classes``.
        test_classes: Test classes, given like ``train_classes``. Defaults to every class not in
            ``train_classes``.
        singletons: What to do with training classes of a single image, which have no pair of two
            different images: ``refuse`` them, ``drop`` them or ``keep`` them. Defaults to ``keep``
            for folders that are the split, whose training set is not to be changed, and to
            ``refuse`` for a split that is made here.
        metadata: Table of the images' metadata (CSV, TSV, Parquet or JSON lines), or none to read
            no table. Defaults to ``metadata.csv`` (or another such table) in the folder, or else
            the only table in it that names its images or classes.
        path: Name of the column of the image's path, e.g. file. Defaults to the usual names.
        label: Name of the column of the class, e.g. sku. Defaults to the usual names.

    Returns:
        The catalog. Labels number the class names in sorted order. Its remarks count what was left
        out.

    Raises:
        UserError: There are no class folders, a class has no images, folders of splits and of
            classes are mixed, or the split is invalid.
    """
    if singletons is not None:
        check_singletons(singletons)
    reading = Reading()
    parts, remarks = split_folders(root)
    if parts:
        if train_classes is not None or test_classes is not None:
            raise UserError(
                f"{root} has {_shown(parts)} folders: they are the split; drop the lists"
            )
        files = [
            File(name, f"{folder}/{path}", *part)
            for folder, part in parts.items()
            for name, paths in class_images(root / folder, reading).items()
            for path in paths
        ]
        reading.note_files(_entries(root))
        remarks += remarks_on_splits([file.split for file in files])
    else:
        by_class = class_images(root, reading)
        remarks += _remarks_on_inner_folders(root, by_class)
        if len(by_class) == 1:
            (only,) = by_class
            raise UserError(
                f"{root}: 1 class found, {_shown([only])}: a class-disjoint split needs at "
                f"least 2 (if its sub-folders are the classes or splits, give --data {root / only})"
            )
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
    lone = resolve_singletons(
        singletons, [f.label_name for f in files], [f.split for f in files], is_given=bool(parts)
    )
    files = [file for file, kept in zip(files, lone.kept, strict=True) if kept]
    given = {"metadata": metadata, "path": path, "label": label}
    about = read_metadata(
        root,
        [file.path for file in files],
        [file.label_name for file in files],
        file=metadata,
        path=path,
        label=label,
        splits=list(parts),
    )
    return make_catalog(
        "folder",
        root,
        path=[file.path for file in files],
        label=[number[file.label_name] for file in files],
        label_name=[file.label_name for file in files],
        split=[file.split for file in files],
        role=[file.role for file in files],
        options={
            "test_fraction": test_fraction,
            "split_seed": split_seed,
            "train_classes": train_classes,
            "test_classes": test_classes,
            "singletons": lone.option,
            # Runs of version 0.1.0 do not record them.
            **{name: value for name, value in given.items() if value is not None},
        },
        metadata=about.columns,
        remarks=[
            *remarks,
            *lone.remarks,
            *remarks_on_names(number),
            *describe_left_out(root, others=reading.others, junk=reading.junk, loose=reading.loose),
            *about.remarks,
        ],
        keeps_singletons=lone.accepted,
    )


def split_folders(root: Path) -> tuple[dict[str, Part], list[str]]:
    """Find the folders of ``root`` that stand for splits rather than for classes.

    A folder named like a split, e.g. ``train``, stands for one if it holds class folders. If it
    holds images instead and lies among classes, it is the class of that name. The test split may
    hold the folders ``query`` and ``gallery``, which hold the classes.

    Args:
        root: The data set's folder.

    Returns:
        Folder -> split and role, the training split first, none if all folders are classes; and
        remarks for the user.

    Raises:
        UserError: Folders of splits and of classes are mixed, two folders stand for one part, or
            there is a training split without a test split.
    """
    folders = _class_folders(root)
    parts = {name: part for name in folders if (part := part_of(name))}
    others = [name for name in folders if name not in parts]
    splits = [name for name in parts if _holds_classes(root / name)]
    if others and not splits:
        return {}, [
            f"{root / name}: read as a class called {name!r}, not as a split: it has no sub-folders"
            for name in parts
        ]
    if others:
        raise UserError(
            f"{root}: {_shown(splits)} would be splits, but {_shown(others)} would be classes: "
            "move what is no split elsewhere, or rename the folders of classes"
        )
    if unclear := [name for name in parts if name not in splits]:
        raise UserError(
            f"{root / unclear[0]}: a split needs one sub-folder per class, but there is none (or "
            "images lie beside them): sort the images into class folders, or list them in a CSV "
            "file with --dataset csv"
        )
    parts = dict(pair for name, part in parts.items() for pair in _inner_parts(root, name, part))
    _check_parts(root, parts)
    return dict(sorted(parts.items(), key=lambda pair: SPLITS.index(pair[1].split))), []


def _inner_parts(root: Path, name: str, part: Part) -> list[tuple[str, Part]]:
    """Return the folders of a split: itself, or the query and gallery folders of the test split."""
    folders = _class_folders(root / name)
    inner = {f"{name}/{folder}": part_of(folder) for folder in folders}
    found = [(folder, of) for folder, of in inner.items() if of and _holds_classes(root / folder)]
    if not found:
        return [(name, part)]
    if len(found) == len(folders) and all(of.split == part.split == "test" for _, of in found):
        return found
    shown = _shown(folder for folder, _ in found)
    raise UserError(
        f"{root}: {shown} would be splits within a split: give one folder of classes for each "
        "split, and query and gallery folders for the test split only"
    )


def class_images(root: Path, reading: Reading | None = None) -> dict[str, list[str]]:
    """Map each class folder of ``root`` to the images in it.

    Args:
        root: A folder with one sub-folder per class. Hidden files and folders, and those that
            systems make, are ignored.
        reading: Takes up what was come across. Defaults to None.

    Returns:
        Class name -> POSIX paths relative to ``root``, both sorted.

    Raises:
        UserError: There are no class folders, one has no images, a name is not UTF-8, a link leads
            back to a folder that is read, or a folder cannot be read.
    """
    reading = Reading() if reading is None else reading
    reading.enter(root)
    reading.note_files(_entries(root))
    classes = _class_folders(root)
    if not classes:
        tables = [e.name for e in _entries(root) if e.name.lower().endswith(TABLE_SUFFIXES)]
        hint = f", or the list: --data {printable(str(root / tables[0]))}" if tables else ""
        raise UserError(
            f"{root} has no sub-folders: give a folder with one sub-folder per class{hint}"
        )
    found, empty = {}, []
    for name in classes:
        others = len(reading.others)
        images = images_below(root / name, root, reading)
        if not images:
            empty.append((name, len(reading.others) - others))
        found[name] = sorted(f"{name}/{image}" for image in images)
    if empty:
        name, others = empty[0]
        kinds = f" ({counted(others, 'file')} of other kinds)" if others else ""
        more = f" ({counted(len(empty) - 1, 'more class')} like it)" if len(empty) > 1 else ""
        raise UserError(
            f"class folder {printable(str(root / name))} has no images{kinds}{more}: "
            f"add {', '.join(IMAGE_SUFFIXES)} files or remove the folder"
        )
    return found


@dataclass(frozen=True)
class Singletons:
    """What becomes of training classes of a single image.

    Attributes:
        option: The value of the option that the catalog records.
        accepted: Whether such classes are accepted.
        kept: (n,), bool: which of the n images stay.
        remarks: What a user should know about it, at most one line.
    """

    option: str
    accepted: bool
    kept: np.ndarray
    remarks: tuple[str, ...] = ()


def resolve_singletons(
    given: str | None, labels: Sequence[str], splits: Sequence[str], *, is_given: bool
) -> Singletons:
    """Decide what becomes of training classes of a single image.

    Args:
        given: The option as the user gave it; None for the default.
        labels: Class of each of n images.
        splits: Split of each image.
        is_given: Whether the data set names its split, rather than having it made here. A training
            set that is given is not changed by default.
    """
    has_another = has_a_positive(labels, splits)
    count = int((~has_another).sum())
    if given == "drop":
        return Singletons(given, False, has_another)
    accepted = given == "keep" or (given is None and is_given)
    # Without such classes, what earlier versions recorded, so that their runs remain the same.
    option = given or ("keep" if accepted and count else "refuse")
    remarks: tuple[str, ...] = ()
    if accepted and count:
        classes = counted(count, "training class has", "training classes have")
        first = labels[int(np.argmin(has_another))]
        remarks = (
            f"{classes} one image (first: {printable(first)!r}) and {'is' if count == 1 else 'are'}"
            " kept: a batch repeats that image as often as it draws images of a class, so that its "
            "only positive pairs are copies; --singletons drop leaves such classes out",
        )
    return Singletons(option, accepted, np.ones(len(labels), bool), remarks)


def check_singletons(given: str) -> None:
    """Check the value of the ``singletons`` option.

    Args:
        given: The value that was given.

    Raises:
        UserError: It is not one of :data:`SINGLETONS`.
    """
    if given not in SINGLETONS:
        raise unknown_option("value of option singletons", given, SINGLETONS)


def _check_parts(root: Path, parts: dict[str, Part]) -> None:
    """Refuse split folders that do not make up a split."""
    for part in parts.values():
        names = [name for name, other in parts.items() if other == part]
        if len(names) > 1:
            raise UserError(f"{root}: {_shown(names)} stand for the same split: keep one of them")
    if parts and not any(part.split == "test" for part in parts.values()):
        first = next((name for name, part in parts.items() if part.split == "train"), None)
        raise UserError(
            f"{root} has {_shown(parts)} but no test folder: add one with the test classes"
            + (f", or give --data {root / first} to split its classes" if first else "")
        )


def _remarks_on_inner_folders(root: Path, by_class: dict[str, list[str]]) -> list[str]:
    """Say that folders inside of class folders are no splits and no classes, if they may be meant.

    They may be if they are called like splits, or if no class folder holds an image itself.
    """
    where = printable(str(root))
    inner = [f"{c}/{name}" for c in by_class for name in _class_folders(root / c) if part_of(name)]
    if inner:
        return [
            f"{_shown(inner)} in {where}: read as part of their classes, because splits of one "
            "class are no class-disjoint split"
        ]
    if any(path.count("/") == 1 for paths in by_class.values() for path in paths):
        return []
    folders = len({path.rpartition("/")[0] for paths in by_class.values() for path in paths})
    if folders == len(by_class):
        return []
    return [
        f"{_shown(by_class)} in {where}: read as {counted(len(by_class), 'class', 'classes')}, "
        f"though all images lie in {folders} sub-folders: if these are the classes, move them up, "
        "or call the folders above train, val and test"
    ]


def _shown(folders: Iterable[str]) -> str:
    """Return names of folders, e.g. ``train/, test/``; of many, the first ones."""
    names = [f"{printable(name)}/" for name in folders]
    return ", ".join(names[:FOLDERS_SHOWN]) + (", ..." if len(names) > FOLDERS_SHOWN else "")


def _holds_classes(folder: Path) -> bool:
    """Tell whether a folder has sub-folders, and no images beside them."""
    entries = [entry for entry in _entries(folder) if not is_junk(entry.name)]
    folders = [entry for entry in entries if _is_folder(entry)]
    return bool(folders) and not any(is_image_name(e.name) for e in entries if e not in folders)


def _class_folders(root: Path) -> list[str]:
    return [e.name for e in _entries(root) if not is_junk(e.name) and _is_folder(e)]


def images_below(folder: Path, root: Path, reading: Reading) -> list[str]:
    """Return the paths of all images below a folder, relative to it.

    Args:
        folder: The folder.
        root: The data set's folder, which is ``folder`` or above it.
        reading: Takes up what was come across.

    Raises:
        UserError: A name is not UTF-8, a link leads back to a folder that is read, or a folder
            cannot be read.
    """
    if folder.is_symlink() and root.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"{printable(str(folder))}: a link to a folder that it lies in: remove the link"
        )
    reading.enter(folder)
    images: list[str] = []
    for entry in _entries(folder):
        if is_junk(entry.name):
            reading.junk += 1
        elif _is_folder(entry):
            inner = images_below(Path(entry.path), root, reading)
            images += [f"{entry.name}/{path}" for path in inner]
        elif not is_image_name(entry.name):
            reading.others.append(entry.name)
        elif not is_utf8(entry.path):
            raise UserError(
                f"{printable(entry.path)}: its name is not UTF-8: rename it, e.g. with "
                "`convmv -r -f latin1 -t utf8 --notest DIR`"
            )
        elif not _is_file(entry):  # a pipe would be waited for when it is opened
            raise UserError(
                f"{printable(entry.path)}: {_kind(entry)}, not an image file: remove it"
            )
        else:
            images.append(entry.name)
    return images


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """List a folder, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{printable(str(folder))}: cannot be read ({error.strerror})") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()  # without a question to the disk, but for links
    except OSError:  # a link that leads to itself
        return False


def _kind(entry: os.DirEntry[str]) -> str:
    return "a link that leads nowhere" if entry.is_symlink() else "a pipe or device"


def _stat(folder: Path) -> os.stat_result:
    try:
        return folder.stat()
    except OSError as error:
        raise UserError(f"{printable(str(folder))}: cannot be read ({error.strerror})") from error


ENTRY = Dataset(
    name="folder",
    title="Your own images, one folder per class",
    load=load,
    how_to_get="give your folder with --data DIR (one sub-folder per class)",
    splits="by fraction and seed, by lists, or train/ and test/",
)

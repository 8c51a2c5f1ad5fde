"""Your own images, listed in CSV files as the original baseline wrote them.

Each row is ``class id,relative path``.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.checks import IMAGE_SUFFIXES, has_a_positive, scan_files
from retrieval.datasets.folder import check_singletons
from retrieval.datasets.splits import ClassList, split_classes
from retrieval.errors import UserError, counted


@dataclass(frozen=True)
class Row:
    """One image of a CSV file.

    Attributes:
        number: Line of the file, from 1.
        label: The class id.
        path: POSIX path relative to the image folder.
    """

    number: int
    label: str
    path: str


def load(
    root: Path,
    *,
    csv: str | None = None,
    train_csv: str | None = None,
    test_csv: str | None = None,
    image_root: str | None = None,
    test_fraction: float = 0.5,
    split_seed: int = 0,
    train_classes: ClassList | None = None,
    test_classes: ClassList | None = None,
    singletons: str = "refuse",
) -> Catalog:
    """Load images listed in one CSV file (split here) or in two (train and test).

    Args:
        root: Folder in which CSV files are looked up that are not in the working directory.
        csv: CSV file whose classes are to be split, with rows ``class id,relative path`` and an
            optional header. Give either this or both ``train_csv`` and ``test_csv``.
        train_csv: CSV file of the training images, in the format of ``csv``.
        test_csv: CSV file of the test images, in the format of ``csv``.
        image_root: Folder that the paths in the CSV files are relative to. Defaults to the data
            set's folder.
        test_fraction: Share of the classes in the test split, between 0 and 1; used without class
            lists. Defaults to 0.5.
        split_seed: Seed of the random split into training and test classes. Defaults to 0.
        train_classes: Training classes, instead of a random split: class ids separated by commas,
            or ``@FILE`` with one per line. Defaults to every class not in ``test_classes``.
        test_classes: Test classes, given like ``train_classes``. Defaults to every class not in
            ``train_classes``.
        singletons: What to do with training classes of a single image, which have no positive
            pair: ``refuse`` them, ``drop`` them or ``keep`` them. Defaults to ``refuse``.

    Returns:
        The catalog. Labels are the class ids if all are integers, or else their sorted order.

    Raises:
        UserError: A CSV file is missing or malformed, a row names no file, or the split is invalid.
    """
    check_singletons(singletons)
    options = {
        "csv": csv,
        "train_csv": train_csv,
        "test_csv": test_csv,
        "image_root": image_root,
        "test_fraction": test_fraction,
        "split_seed": split_seed,
        "train_classes": train_classes,
        "test_classes": test_classes,
        "singletons": singletons,
    }
    images = Path(image_root) if image_root is not None else Path(root)
    if not images.is_dir():
        raise UserError(f"no image folder at {images}: give it with the option image_root=DIR")
    if csv is not None and train_csv is None and test_csv is None:
        rows = read_rows(_find(root, csv), images)
        split_of = split_classes(
            [row.label for row in rows],
            test_fraction=test_fraction,
            split_seed=split_seed,
            train_classes=train_classes,
            test_classes=test_classes,
        )
        listed = [(row, split_of[row.label]) for row in rows if row.label in split_of]
    elif csv is None and train_csv is not None and test_csv is not None:
        if train_classes is not None or test_classes is not None:
            raise UserError("train_csv and test_csv are the split: drop the class lists")
        listed = [(row, "train") for row in read_rows(_find(root, train_csv), images)]
        listed += [(row, "test") for row in read_rows(_find(root, test_csv), images)]
    else:
        raise UserError("give either the option csv=FILE, or both train_csv=FILE and test_csv=FILE")
    if singletons == "drop":
        keep = has_a_positive([row.label for row, _ in listed], [split for _, split in listed])
        listed = [item for item, kept in zip(listed, keep, strict=True) if kept]
    return _catalog(images, listed, options)


def read_rows(path: Path, images: Path) -> list[Row]:
    """Read one CSV file and check that every row names a file.

    Args:
        path: The CSV file, in UTF-8. Blank lines and a header are skipped.
        images: Folder that the rows' paths are relative to.

    Returns:
        The rows in the order of the file, their paths POSIX and relative to ``images``.

    Raises:
        UserError: Names the file and the row at fault.
    """
    rows: list[Row] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            where = f"{path} row {reader.line_num}"
            if len(cells) != 2 or not all(cells):
                raise UserError(f"{where}: {','.join(cells)!r} is not `class id,relative path`")
            if not rows and _is_header(*cells):
                continue
            rows.append(Row(reader.line_num, cells[0], _relative(cells[1], images, where)))
    if not rows:
        raise UserError(f"{path}: no rows `class id,relative path`")
    missing, _ = scan_files(images, [row.path for row in rows])
    if missing:
        first = rows[missing[0]]
        more = f" ({counted(len(missing) - 1, 'more row')} like it)" if len(missing) > 1 else ""
        raise UserError(f"{path} row {first.number}: no file {images / first.path}{more}")
    return rows


def _is_header(label: str, path: str) -> bool:
    return not _is_integer(label) and not path.lower().endswith(IMAGE_SUFFIXES)


def _relative(path: str, images: Path, where: str) -> str:
    if not Path(path).is_absolute():
        return Path(path).as_posix()
    try:
        return Path(path).relative_to(images.resolve()).as_posix()
    except ValueError:
        raise UserError(f"{where}: {path} is not inside the image folder {images}") from None


def _find(root: Path, file: str) -> Path:
    for path in (Path(file), Path(root) / file):
        if path.is_file():
            return path
    raise UserError(f"no CSV file {file} (looked here and in {root})")


def _catalog(images: Path, listed: list[tuple[Row, str]], options: dict) -> Catalog:
    names = sorted({row.label for row, _ in listed})
    if all(_is_integer(name) for name in names):
        number = {name: int(name) for name in names}
    else:
        number = {name: label for label, name in enumerate(names)}
    return make_catalog(
        "csv",
        images,
        path=[row.path for row, _ in listed],
        label=[number[row.label] for row, _ in listed],
        label_name=[row.label for row, _ in listed],
        split=[split for _, split in listed],
        options=options,
    )


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


ENTRY = Dataset(
    name="csv",
    title="Your own images, listed in CSV files",
    load=load,
    how_to_get="give train_csv=FILE and test_csv=FILE (or csv=FILE) and image_root=DIR as options",
    splits="two files, or one split by fraction and seed or by lists",
    needs_files=False,
)

"""Your own lists: CSV rows ``class id,relative path`` and a folder of images.

The original baseline's files work unchanged: two files, train and test, without a header.
"""

import csv as csv_module
from pathlib import Path

from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.checks import check_class_sizes, missing_files
from retrieval.datasets.splits import split_classes
from retrieval.errors import UserError

Rows = list[tuple[str, str]]


def load(
    root: Path,
    *,
    csv: str | None = None,
    train_csv: str | None = None,
    test_csv: str | None = None,
    image_root: str | None = None,
    test_fraction: float = 0.5,
    split_seed: int = 0,
    train_classes: str | None = None,
    test_classes: str | None = None,
) -> Catalog:
    """Load a catalogue from one CSV file (split by class) or two (train and test).

    Args:
        root: Image folder if ``image_root`` is not given.
        csv: One file, to be split by class.
        train_csv: The training rows; goes with ``test_csv``.
        test_csv: The test rows.
        image_root: Folder the paths are relative to.
        test_fraction: See :func:`retrieval.datasets.splits.split_classes`, as all below.
        split_seed: Seeds the split.
        train_classes: Text file of classes to train on.
        test_classes: Text file of classes to test on.

    Returns:
        The catalogue.

    Raises:
        UserError: A file is missing, or a row is malformed or names no image.
    """
    images = Path(image_root or root)
    if bool(csv) == bool(train_csv or test_csv) or bool(train_csv) != bool(test_csv):
        raise UserError("data set csv needs --csv FILE, or --train-csv FILE and --test-csv FILE")
    if not images.is_dir():
        raise UserError(f"no image folder at {images}; pass --image-root DIR")
    if csv:
        rows = read_rows(csv, images)
        sides = split_classes(
            [label for label, _ in rows],
            test_fraction=test_fraction,
            split_seed=split_seed,
            train_classes=train_classes,
            test_classes=test_classes,
        )
        rows = [row for row in rows if row[0] in sides]
        splits = [sides[label] for label, _ in rows]
    else:
        train, test = read_rows(train_csv, images), read_rows(test_csv, images)
        rows, splits = train + test, ["train"] * len(train) + ["test"] * len(test)
    check_class_sizes([label for label, _ in rows], csv or train_csv)
    names = sorted({label for label, _ in rows}, key=lambda s: (not s.isdigit(), s.zfill(20)))
    numbers = {
        name: int(name) if all(n.isdigit() for n in names) else i for i, name in enumerate(names)
    }
    return make_catalog(
        "csv",
        images,
        path=[path for _, path in rows],
        label=[numbers[label] for label, _ in rows],
        label_name=[label for label, _ in rows],
        split=splits,
        options={
            "csv": csv,
            "train_csv": train_csv,
            "test_csv": test_csv,
            "image_root": image_root,
            "test_fraction": test_fraction,
            "split_seed": split_seed,
            "train_classes": train_classes,
            "test_classes": test_classes,
        },
    )


def read_rows(path: str | Path, images: Path) -> Rows:
    """Read ``class id,relative path`` rows, with or without a header.

    Args:
        path: The CSV file.
        images: Folder the paths are relative to.

    Returns:
        (class, path) pairs.

    Raises:
        UserError: The file is missing or empty, a row has not two columns, or names no image.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"no CSV file at {path}")
    with path.open(encoding="utf-8-sig", newline="") as file:
        numbered = [
            (n, [cell.strip() for cell in row])
            for n, row in enumerate(csv_module.reader(file), start=1)
            if row
        ]
    for number, row in numbered:
        if len(row) < 2 or not row[0] or not row[1]:
            raise UserError(
                f"{path}: row {number}: expected `class id,relative path`, found {','.join(row)!r}"
            )
    names = [row[1].replace("\\", "/") for _, row in numbered]
    missing = missing_files(images, names)
    if missing and missing[0] == 0 and "." not in names[0]:  # a header
        numbered, names, missing = numbered[1:], names[1:], [m - 1 for m in missing[1:]]
    if not numbered:
        raise UserError(f"{path}: no rows")
    if missing:
        raise UserError(
            f"{path}: row {numbered[missing[0]][0]}: no file {images / names[missing[0]]}"
            f" ({len(missing)} of {len(names)} rows name no file)"
        )
    return [(row[0], name) for (_, row), name in zip(numbered, names, strict=True)]

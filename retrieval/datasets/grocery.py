"""Grocery Store: 5,421 phone photos of fruit, vegetables and cartons (Klasson et al., WACV 2019).

Its three lists are pooled and split by class: even fine ids are the training split, odd fine ids
the test split. The photos of the list ``test`` come from other stores, which gives the test split a
second protocol, **cross-store**: the queries are the odd ids of ``test``, the gallery those of
``train`` and ``val``.
"""

import csv
import io
from pathlib import Path

from retrieval.datasets.archives import read_manifest
from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.fetching import PublicArchive, fetch_archive
from retrieval.datasets.official import (
    check_counts,
    find_mark,
    is_placeholder,
    placeholder_options,
    read_mark,
)
from retrieval.datasets.text_files import read_text
from retrieval.errors import UserError

# The host regenerates its archives: their hash changes, but their content does not.
ARCHIVE = PublicArchive(
    url="https://github.com/marcusklasson/GroceryStoreDataset/archive/refs/heads/master.zip",
    digest=None,
    unpacked=123_000_000,
    strip=1,
)
MANIFEST = Path(__file__).with_name("grocery_manifest.json.gz")
COUNTS = {"train": 2640, "val": 296, "test": 2485}
N_CLASSES = 81


def load(root: Path) -> Catalog:
    """Load the catalog from ``root/dataset/``.

    Args:
        root: The folder that :func:`fetch` wrote, or the unpacked public archive.

    Returns:
        The catalog. Test images are queries or gallery items, and coarse classes are the super
        classes.

    Raises:
        UserError: The lists are missing or do not have the official counts.
    """
    fine, coarse = read_classes(root)
    rows = [row for name in COUNTS for row in read_list(root, name, fine)]
    catalog = make_catalog(
        "grocery",
        root,
        path=[f"dataset/{path}" for path, _, _, _ in rows],
        label=[label for _, label, _, _ in rows],
        label_name=[fine[label] for _, label, _, _ in rows],
        split=["test" if label % 2 else "train" for _, label, _, _ in rows],
        role=[_role(label, source) for _, label, _, source in rows],
        super_label=[group for _, _, group, _ in rows],
        super_name=[coarse[group] for _, _, group, _ in rows],
        query_gallery_title="cross-store",
        options=placeholder_options(root),
    )
    mark = find_mark(root)
    if mark is not None:  # the official lists are checked one by one, as they are read
        check_counts("grocery", catalog.items, read_mark(mark))
    return catalog


def read_classes(root: Path) -> tuple[dict[int, str], dict[int, str]]:
    """Read ``classes.csv``.

    Args:
        root: The data set's folder.

    Returns:
        The names of the fine classes by id, and those of the coarse classes.

    Raises:
        UserError: The file is missing or does not name 81 classes.
    """
    path = root / "dataset" / "classes.csv"
    if not path.is_file():
        raise UserError(f"no Grocery photos at {root} ({path} is missing): {ENTRY.how_to_get}")
    try:
        rows = list(csv.reader(io.StringIO(read_text(path), newline="")))[1:]
        fine = {int(row[1]): row[0].replace("-", " ") for row in rows}
        coarse = {int(row[3]): row[2].replace("-", " ") for row in rows}
    except (csv.Error, IndexError, ValueError) as error:
        raise UserError(
            f"{path}: not the list of classes and their numbers that it should be: move {root} "
            f"away, then {ENTRY.how_to_get}"
        ) from error
    if len(fine) != N_CLASSES and not is_placeholder(root):
        raise UserError(f"{path}: expected {N_CLASSES} classes, found {len(fine)}")
    return fine, coarse


def read_list(root: Path, name: str, fine: dict[int, str]) -> list[tuple[str, int, int, str]]:
    """Read one of the three lists, whose rows are ``path, fine id, coarse id``.

    Args:
        root: The data set's folder.
        name: ``train``, ``val`` or ``test``.
        fine: Name of each fine class by id.

    Returns:
        One tuple ``(path, fine id, coarse id, list name)`` per row.

    Raises:
        UserError: The list is missing, has an unexpected length, or has a malformed row.
    """
    path = root / "dataset" / f"{name}.txt"
    if not path.is_file():
        raise UserError(f"{path} is missing: move {root} away, then {ENTRY.how_to_get}")
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 3 or not cells[1].isdecimal() or int(cells[1]) not in fine:
            raise UserError(f"{path} row {number}: {line!r} is not `path, fine id, coarse id`")
        rows.append((cells[0], int(cells[1]), int(cells[2]), name))
    if len(rows) != COUNTS[name] and not is_placeholder(root):
        raise UserError(f"{path}: expected {COUNTS[name]:,} images, found {len(rows):,}")
    return rows


def _role(label: int, source: str) -> str:
    if label % 2 == 0:
        return "both"
    return "query" if source == "test" else "gallery"


def fetch(root: Path, archive: Path | None = None, *, repair: bool = False) -> None:
    """Download the public archive (or take a copy), check its content and unpack it.

    Args:
        root: The folder to unpack to. It is left unchanged if the whole data set is there.
        archive: A copy of the public archive. Defaults to None: download it.
        repair: Whether to fetch again what is missing or damaged. Defaults to False.

    Raises:
        UserError: No connection, or the content differs from the committed manifest.
    """
    fetch_archive(
        root,
        archive,
        ARCHIVE,
        load=load,
        manifest=read_manifest(MANIFEST),
        keep=_wanted,
        repair=repair,
    )


def _wanted(name: str) -> bool:
    return name == "LICENSE" or name.startswith("dataset/")


ENTRY = Dataset(
    name="grocery",
    title="Grocery Store (photos)",
    load=load,
    fetch=fetch,
    how_to_get="run `retrieval fetch grocery`",
    license="MIT",
    source="https://github.com/marcusklasson/GroceryStoreDataset",
    n_images=sum(COUNTS.values()),
    n_classes=N_CLASSES,
    splits="even ids train, odd ids test; cross-store query -> gallery",
    download="119 MB",
    needs=(
        "dataset/classes.csv",
        *(f"dataset/{name}.txt" for name in COUNTS),
        *(f"dataset/{name}" for name in COUNTS),
    ),
)

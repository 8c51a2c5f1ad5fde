"""Grocery Store (Klasson et al., WACV 2019): 5,421 real photos of 81 products.

The three published lists are pooled and split by class: even fine ids train, odd fine ids test.
The published ``test`` list was photographed in other stores, which gives the cross-store protocol:
queries = odd-id photos of ``test``, gallery = odd-id photos of ``train`` and ``val``.
"""

import csv
from pathlib import Path

from retrieval.datasets.archives import read_manifest, unpack
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.checks import check_files
from retrieval.datasets.download import download
from retrieval.errors import UserError

URL = "https://github.com/marcusklasson/GroceryStoreDataset/archive/refs/heads/master.zip"
MANIFEST = Path(__file__).with_name("grocery_manifest.json.gz")
LISTS = ("train", "val", "test")
IMAGES, CLASSES = 5421, 81


def load(root: Path) -> Catalog:
    """Load the catalogue.

    Args:
        root: The unpacked archive's top folder (holds ``dataset/``).

    Returns:
        5,421 items; super-class = coarse class; roles for the cross-store protocol.

    Raises:
        UserError: The folder, a list or a photo is missing.
    """
    folder = root / "dataset"
    if not (folder / "classes.csv").exists():
        raise UserError(f"no Grocery data at {root}: run `retrieval fetch grocery`")
    with (folder / "classes.csv").open(encoding="utf-8", newline="") as file:
        classes = {int(row[1]): (row[0], int(row[3]), row[2]) for row in list(csv.reader(file))[1:]}
    rows = [(path, int(fine), name) for name in LISTS for path, fine in _read_list(folder, name)]
    if (len(rows), len(classes)) != (IMAGES, CLASSES):
        raise UserError(
            f"{folder}: expected {IMAGES:,} photos of {CLASSES} classes, found "
            f"{len(rows):,} of {len(classes)}; run `retrieval fetch grocery` again"
        )
    check_files(folder, [path for path, _, _ in rows])
    return make_catalog(
        "grocery",
        folder,
        path=[path for path, _, _ in rows],
        label=[fine for _, fine, _ in rows],
        label_name=[classes[fine][0].replace("-", " ") for _, fine, _ in rows],
        split=["test" if fine % 2 else "train" for _, fine, _ in rows],
        role=["query" if source == "test" else "gallery" for _, _, source in rows],
        super_label=[classes[fine][1] for _, fine, _ in rows],
        super_name=[classes[fine][2].replace("-", " ") for _, fine, _ in rows],
        query_gallery_title="cross-store",
    )


def _read_list(folder: Path, name: str) -> list[tuple[str, str]]:
    path = folder / f"{name}.txt"
    if not path.exists():
        raise UserError(f"{path} is missing; run `retrieval fetch grocery` again")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [tuple(part.strip() for part in line.split(",")[:2]) for line in lines if line.strip()]


def fetch(root: Path, archive: Path | None = None) -> None:
    """Download the public archive (119 MB), or take a copy on disk, check it and unpack it.

    Args:
        root: Where the data set goes.
        archive: A copy of the public archive; None downloads it.

    Raises:
        UserError: The download fails, or the content is not the published one.
    """
    source = archive or download(URL, root.parent / ".downloads", "grocery.zip")
    try:
        unpack(source, root, read_manifest(MANIFEST))
    except UserError:
        if archive is None:
            source.unlink(missing_ok=True)  # so that the next try downloads it again
        raise

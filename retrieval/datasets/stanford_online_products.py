"""Stanford Online Products: 120,053 photos of 22,634 items for sale (Song et al., CVPR 2016)."""

from pathlib import Path

import pandas as pd

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.fetching import PublicArchive, fetch_archive
from retrieval.datasets.official import Counts, first_existing, load_official, read_table

COUNTS = Counts(train_images=59551, test_images=60502, train_classes=11318, test_classes=11316)
FOLDER = "Stanford_Online_Products"
LISTS = {"train": "Ebay_train.txt", "test": "Ebay_test.txt"}
KINDS = (
    "bicycle", "cabinet", "chair", "coffee_maker", "fan", "kettle",
    "lamp", "mug", "sofa", "stapler", "table", "toaster",
)  # fmt: skip
COLUMNS = {"image_id": int, "class_id": int, "super_class_id": int, "path": str}
ARCHIVE = PublicArchive(
    url="http://ftp.cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",
    digest="md5:7f73d41a2f44250d4779881525aea32e",
    unpacked=3_200_000_000,
)


def load(root: Path) -> Catalog:
    """Load ``root/Stanford_Online_Products/`` (or ``root`` itself, if it is that folder).

    Args:
        root: The data set's folder.

    Returns:
        The catalog. Its super classes are the 12 kinds of product.

    Raises:
        UserError: A list is missing or malformed, or the counts are not the official ones.
    """
    listed = LISTS["train"]
    base = first_existing(root / FOLDER / listed, root / listed).parent
    sources = [base / name for name in LISTS.values()]
    return load_official("sop", root, COUNTS, sources=sources, build=lambda counts: _build(base))


def _build(base: Path) -> Catalog:
    parts = [
        read_table(base / name, COLUMNS, skip=1).assign(split=split)
        for split, name in LISTS.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    kind = table["path"].str.split("/").str[0].str.removesuffix("_final").str.replace("_", " ")
    return make_catalog(
        "sop",
        base,
        path=table["path"].tolist(),
        label=table["class_id"].to_numpy(),
        label_name=(kind + " " + table["class_id"].astype(str)).tolist(),
        split=table["split"].tolist(),
        super_label=table["super_class_id"].to_numpy(),
        super_name=kind.tolist(),
    )


def fetch(root: Path, archive: Path | None = None, *, repair: bool = False) -> None:
    """Download the public archive (or take a copy), check it and unpack it.

    Args:
        root: The folder to unpack to. It is left unchanged if the whole data set is there.
        archive: A copy of ``Stanford_Online_Products.zip``. Defaults to None: download it.
        repair: Whether to fetch again what is missing or damaged. Defaults to False.
    """
    # The public zip also holds ._ files that a Mac left in it.
    keep = lambda name: name.startswith(f"{FOLDER}/") and "/._" not in name  # noqa: E731
    fetch_archive(root, archive, ARCHIVE, load=load, keep=keep, repair=repair)


ENTRY = Dataset(
    name="sop",
    title="Stanford Online Products",
    load=load,
    fetch=fetch,
    how_to_get="run `retrieval fetch sop`",
    license="research use",
    source="https://cvgl.stanford.edu/projects/lifted_struct/",
    n_images=COUNTS.images,
    n_classes=COUNTS.classes,
    splits="official lists, 11,318 / 11,316 classes",
    download="2.9 GB",
    needs=(*LISTS.values(), *(f"{kind}_final" for kind in KINDS)),
    unpacked=FOLDER,
    ks=(1, 2, 4, 8, 10, 16, 100, 1000),
)

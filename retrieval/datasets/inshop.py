"""DeepFashion In-shop Clothes Retrieval: 52,712 photos of 7,982 items (Liu et al., CVPR 2016).

Its official protocol is query -> gallery: each test image is either a query or a gallery item.
"""

from pathlib import Path

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.official import Counts, first_existing, load_official, read_table
from retrieval.datasets.text_files import read_text
from retrieval.errors import UserError

COUNTS = Counts(
    train_images=25882,
    test_images=14218 + 12612,
    train_classes=3997,
    test_classes=3985,
    queries=14218,
)
PARTITION = "list_eval_partition.txt"
STATUSES = {"train": ("train", "both"), "query": ("test", "query"), "gallery": ("test", "gallery")}


def load(root: Path) -> Catalog:
    """Load ``root/Eval/list_eval_partition.txt`` (or ``root/list_eval_partition.txt``).

    Args:
        root: The data set's folder, which also holds ``img/``.

    Returns:
        The catalog. Its super classes are the categories in the paths, e.g. ``WOMEN Dresses``.

    Raises:
        UserError: The list is missing or malformed, or the counts are not the official ones.
    """
    listed = first_existing(root / "Eval" / PARTITION, root / PARTITION)
    return load_official(
        "inshop", root, COUNTS, sources=[listed], build=lambda counts: _build(root, listed)
    )


def _build(root: Path, listed: Path) -> Catalog:
    table = read_table(listed, {"path": str, "item": str, "status": str}, skip=2, separator=r"\s+")
    head = (read_text(listed).split(maxsplit=1) or [""])[0]
    if head != str(len(table)):
        raise UserError(f"{listed}: line 1 says {head} rows, found {len(table):,}")
    unknown = table[~table["status"].isin(STATUSES)]
    if len(unknown):
        row, status = unknown.index[0] + 3, unknown["status"].iloc[0]
        raise UserError(f"{listed} row {row}: status {status!r}: valid: {', '.join(STATUSES)}")
    wrong = table[~table["item"].str.fullmatch(r"id_\d+") | (table["path"].str.count("/") < 3)]
    if len(wrong):
        row = wrong.index[0]
        raise UserError(
            f"{listed} row {row + 3}: {table['path'][row]} {table['item'][row]} is not "
            "`img/SECTION/Category/id_N/name.jpg id_N`"
        )
    parts = table["path"].str.split("/")
    category = parts.str[1] + " " + parts.str[2].str.replace("_", " ")
    order = {name: number for number, name in enumerate(sorted(category.unique()))}
    return make_catalog(
        "inshop",
        root,
        path=table["path"].tolist(),
        label=table["item"].str.removeprefix("id_").astype(int).to_numpy(),
        label_name=(category + " " + table["item"]).tolist(),
        split=[STATUSES[status][0] for status in table["status"]],
        role=[STATUSES[status][1] for status in table["status"]],
        super_label=category.map(order).to_numpy(),
        super_name=category.tolist(),
        query_gallery_title="query -> gallery (official)",
    )


ENTRY = Dataset(
    name="inshop",
    title="DeepFashion In-shop Clothes Retrieval",
    load=load,
    how_to_get=(
        "it is behind a form: from mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html "
        "take Img/img.zip and Eval/list_eval_partition.txt; then `mkdir -p data/inshop/Eval && "
        "unzip img.zip -d data/inshop && cp list_eval_partition.txt data/inshop/Eval`"
    ),
    license="non-commercial research",
    source="https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html",
    n_images=COUNTS.images,
    n_classes=COUNTS.classes,
    splits="official: 3,997 ids train; 14,218 query -> 12,612 gallery",
    needs=((f"Eval/{PARTITION}", PARTITION), "img"),
    small_classes=True,
    ks=(1, 10, 20, 30, 40, 50),
)

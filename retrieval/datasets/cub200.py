"""CUB-200-2011: 11,788 photos of 200 kinds of birds (Wah et al., 2011).

Split by class as in Song et al., CVPR 2016: the first 100 classes are the training split, the last
100 the test split. ``train_test_split.txt`` is a classification split, with every class on both
sides, and of no use for retrieval.
"""

from pathlib import Path

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import BOX_COLUMNS, Catalog, make_catalog
from retrieval.datasets.fetching import PublicArchive, fetch_archive
from retrieval.datasets.official import Counts, first_existing, load_official, read_table
from retrieval.errors import UserError

COUNTS = Counts(train_images=5864, test_images=5924, train_classes=100, test_classes=100)
FOLDER = "CUB_200_2011"
LISTS = ("images.txt", "image_class_labels.txt", "classes.txt", "bounding_boxes.txt")
ARCHIVE = PublicArchive(
    url="https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
    digest="md5:97eceeb196236b17998738112f37df78",
    unpacked=1_200_000_000,
)


def load(root: Path, *, boxes: bool = False) -> Catalog:
    """Load ``root/CUB_200_2011/`` (or ``root`` itself, if it is that folder).

    Args:
        root: The data set's folder.
        boxes: Whether to crop each image to its bounding box. Defaults to False.

    Returns:
        The catalog; labels are 1 to 200.

    Raises:
        UserError: A list is missing or malformed, or the counts are not the official ones.
    """
    base = first_existing(root / FOLDER / "images.txt", root / "images.txt").parent
    return load_official(
        "cub200",
        root,
        COUNTS,
        sources=[base / name for name in LISTS],
        build=lambda counts: _build(base, counts, boxes=boxes),
        options={"boxes": boxes},
    )


def _build(base: Path, counts: Counts, *, boxes: bool) -> Catalog:
    images = read_table(base / "images.txt", {"id": int, "path": str})
    labels = read_table(base / "image_class_labels.txt", {"id": int, "label": int})
    classes = read_table(base / "classes.txt", {"label": int, "name": str})
    table = images.merge(labels, on="id", how="left").merge(classes, on="label", how="left")
    if boxes:
        columns = {"id": int, **dict.fromkeys(BOX_COLUMNS, float)}
        table = table.merge(read_table(base / "bounding_boxes.txt", columns), on="id", how="left")
    if table.isna().any(axis=None):
        row = table[table.isna().any(axis=1)].iloc[0]
        raise UserError(f"{base}: image {row['id']} ({row['path']}) is not in all lists")
    return make_catalog(
        "cub200",
        base,
        path=("images/" + table["path"]).tolist(),
        label=table["label"].to_numpy(),
        label_name=[name.split(".", 1)[-1].replace("_", " ") for name in table["name"]],
        split=["train" if n <= counts.train_classes else "test" for n in table["label"]],
        boxes=table[list(BOX_COLUMNS)].to_numpy() if boxes else None,
    )


def fetch(root: Path, archive: Path | None = None, *, repair: bool = False) -> None:
    """Download the public archive (or take a copy), check it and unpack it.

    Args:
        root: The folder to unpack to. It is left unchanged if the whole data set is there.
        archive: A copy of ``CUB_200_2011.tgz``. Defaults to None: download it.
        repair: Whether to fetch again what is missing or damaged. Defaults to False.
    """
    keep = lambda name: name.startswith(f"{FOLDER}/")  # noqa: E731
    fetch_archive(root, archive, ARCHIVE, load=load, keep=keep, repair=repair)


ENTRY = Dataset(
    name="cub200",
    title="CUB-200-2011 (birds)",
    load=load,
    fetch=fetch,
    how_to_get="run `retrieval fetch cub200`",
    license="non-commercial research",
    source="https://www.vision.caltech.edu/datasets/cub_200_2011/",
    n_images=COUNTS.images,
    n_classes=COUNTS.classes,
    splits="first 100 classes train, last 100 test",
    download="1.1 GB",
    needs=(*LISTS, "images"),
    unpacked=FOLDER,
)

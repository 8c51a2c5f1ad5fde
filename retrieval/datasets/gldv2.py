"""Google Landmarks Dataset v2, retrieval: 1,129 queries, 761,757 images (Weyand et al., CVPR 2020).

``retrieval_solution_v2.1.csv`` lists the relevant images of each query, which are those of one or
several landmarks. Its 117,577 rows are the test images; all but 1,129 are marked as ignored: no
landmark of the index is on them. The private queries are the test set and the public ones the
validation set of the literature. The metric is mAP@100.

To train on, there is the cleaned training set, of 1,580,470 images and 81,313 landmarks. It is not
class-disjoint from the index: this is a benchmark of known landmarks, too. Its landmarks have other
numbers than those of the index.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.judgments import make_judgments
from retrieval.datasets.official import Counts, counts_at, is_placeholder, placeholder_options
from retrieval.errors import UserError
from retrieval.validation import check_choice

COUNTS = Counts(
    train_images=1_580_470,
    test_images=1_129 + 761_757,
    train_classes=81_313,
    test_classes=0,  # the number of landmarks in the index is not published with the data
    queries=1_129,
)
TEST_IMAGES = 117_577
INDEX, SOLUTION = "index_image_to_landmark.csv", "retrieval_solution_v2.1.csv"
CLEAN = "train_clean.csv"
USAGES = {"private": ("Private",), "public": ("Public",), "all": ("Private", "Public")}
IGNORED = "Ignored"
TRAIN_LABELS = 10_000_000  # added to the numbers of training landmarks, which are others
NOT_DISJOINT = (
    "landmarks of the cleaned training set may be in the index too: Google Landmarks v2 is not "
    "class-disjoint"
)


def load(root: Path, *, queries: str = "private", clean_train: bool = False) -> Catalog:
    """Load the index and the queries that the solution lists, and the training set if asked to.

    Args:
        root: The data set's folder, with the lists and the folders ``index``, ``test`` and, to
            train, ``train``, whose images lie at ``a/b/c/abcdef0123456789.jpg``.
        queries: Queries to search with: ``private`` (the test set), ``public`` (the validation set)
            or ``all``. Defaults to ``private``.
        clean_train: Whether to have the images of ``train_clean.csv`` to train on. Defaults to
            False: there is no training split.

    Returns:
        The catalog, with the judgments of the queries. The class of an index image is its landmark,
        that of a query the one of most of its relevant images.

    Raises:
        UserError: A list is missing or malformed, or the counts are not the official ones.
    """
    check_choice("queries", queries, tuple(USAGES))
    index = _read(root / INDEX, ("id", "landmark_id"))
    solution = _read(root / SOLUTION, ("id", "images", "Usage"))
    unknown = ~solution["Usage"].isin((*USAGES["all"], IGNORED))
    if unknown.any():
        row = int(np.argmax(unknown))
        raise UserError(f"{root / SOLUTION} row {row + 2}: Usage {solution['Usage'][row]!r}")
    asked = solution[solution["Usage"] != IGNORED]
    counts = counts_at(root, COUNTS)
    _check(root, counts, index=len(index), queries=len(asked), rows=len(solution))
    asked = asked[asked["Usage"].isin(USAGES[queries])].reset_index(drop=True)
    query, item = _pairs(root, asked, index)
    landmark = _numbers(root / INDEX, index["landmark_id"])
    votes = pd.DataFrame({"query": query, "landmark": landmark[item]}).value_counts(sort=True)
    most = votes.reset_index().drop_duplicates("query").set_index("query")["landmark"]
    table = pd.DataFrame(
        {
            "path": ["test/" + _place(one) for one in asked["id"]]
            + ["index/" + _place(one) for one in index["id"]],
            "label": [*most.sort_index(), *landmark],
            "role": ["query"] * len(asked) + ["gallery"] * len(index),
            "split": "test",
        }
    )
    table["name"] = "landmark " + table["label"].astype(str)
    remarks: tuple[str, ...] = ()
    if clean_train:
        table, remarks = (
            pd.concat([table, _clean(root, counts)], ignore_index=True),
            (NOT_DISJOINT,),
        )
    return make_catalog(
        "gldv2",
        root,
        path=table["path"].tolist(),
        label=table["label"].to_numpy(),
        label_name=table["name"].tolist(),
        split=table["split"].tolist(),
        role=table["role"].tolist(),
        options={"queries": queries, "clean_train": clean_train} | placeholder_options(root),
        remarks=remarks,
        judgments=[make_judgments(queries, query, len(asked) + item)],
    )


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a CSV file whose header has some columns, all as text."""
    if not path.is_file():
        raise UserError(f"data set 'gldv2': {path} is missing: {ENTRY.how_to_get}")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path}: not a CSV file ({str(error).splitlines()[0]})") from error
    lacking = [name for name in columns if name not in table]
    if lacking:
        raise UserError(f"{path}: has no column {lacking[0]!r}, but {', '.join(table.columns)}")
    return table[list(columns)]


def _check(root: Path, counts: Counts, *, index: int, queries: int, rows: int) -> None:
    """Refuse lists of other lengths than the published ones."""
    wanted = {"queries": (counts.queries, queries)}
    wanted["index images"] = (counts.test_images - counts.queries, index)
    if not is_placeholder(root):
        wanted["test images"] = (TEST_IMAGES, rows)
    for what, (expected, found) in wanted.items():
        if expected != found:
            raise UserError(
                f"data set 'gldv2': expected {expected:,} {what}, found {found:,}: its lists are "
                "not those of version 2.1"
            )


def _pairs(root: Path, asked: pd.DataFrame, index: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the query and of the index image of each relevant pair."""
    ids = asked["images"].str.split()
    query = np.repeat(np.arange(len(asked)), ids.str.len())
    listed = np.array([one for each in ids for one in each], dtype=object)
    item = pd.Index(index["id"]).get_indexer(listed)
    without = np.setdiff1d(np.arange(len(asked)), query)
    if len(without):
        raise UserError(
            f"{root / SOLUTION}: query {asked['id'][without[0]]} lists no image, and is not "
            f"{IGNORED}"
        )
    if (item < 0).any():
        at = int(np.argmax(item < 0))
        raise UserError(
            f"{root / SOLUTION}: query {asked['id'][query[at]]} lists image {listed[at]!r}, which "
            f"is not in {INDEX}"
        )
    return query, item


def _numbers(path: Path, column: pd.Series) -> np.ndarray:
    """Return a column of numbers of landmarks."""
    wrong = ~column.str.fullmatch(r"\d+")
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(f"{path} row {row + 2}: landmark_id {column.iloc[row]!r} is no number")
    return column.astype(np.int64).to_numpy()


def _clean(root: Path, counts: Counts) -> pd.DataFrame:
    """Return the images of the cleaned training set."""
    listed = _read(root / CLEAN, ("landmark_id", "images"))
    listed["landmark_id"] = _numbers(root / CLEAN, listed["landmark_id"])
    rows = listed.assign(images=listed["images"].str.split()).explode("images", ignore_index=True)
    found = (len(rows), len(listed))
    if found != (counts.train_images, counts.train_classes):
        raise UserError(
            f"{root / CLEAN}: expected {counts.train_images:,} images of {counts.train_classes:,} "
            f"landmarks, found {found[0]:,} of {found[1]:,}"
        )
    return pd.DataFrame(
        {
            "path": "train/" + rows["images"].map(_place),
            "label": TRAIN_LABELS + rows["landmark_id"].astype(np.int64),
            "role": "both",
            "split": "train",
            "name": "training landmark " + rows["landmark_id"].astype(str),
        }
    )


def _place(name: str) -> str:
    """Return where the image of an id lies."""
    return f"{name[0]}/{name[1]}/{name[2]}/{name}.jpg"


ENTRY = Dataset(
    name="gldv2",
    title="Google Landmarks v2, retrieval",
    load=load,
    how_to_get=(
        "take the index and test images with download-dataset.sh of "
        f"github.com/cvdfoundation/google-landmark, and {INDEX} and {SOLUTION} as its README says, "
        f"into data/gldv2; to train, the train images and {CLEAN} as well"
    ),
    license="annotations CC BY 4.0, index and test images CC0 or public domain, train CC BY",
    source="https://github.com/cvdfoundation/google-landmark",
    n_images=COUNTS.test_images,
    splits="official: 1,129 query (public and private) -> 761,757 index; train on the cleaned set",
    download="95 GB (index and test)",
    needs=(INDEX, SOLUTION, "index", "test"),
    small_classes=True,
    ks=(1, 10, 100),
    metrics=("map@100",),
)

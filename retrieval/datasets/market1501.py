"""Market-1501: 32,217 photos of 1,501 persons and distractors by 6 cameras (Zheng, ICCV 2015).

The official protocol searches the gallery for each query. An image of the query's person *and*
camera is junk: it counts neither as found nor as a mistake. Images of the id -1, boxes that are
neither good nor bad, are junk of every query and left out here. Those of the id 0 are distractors,
which a query must not find: each is a class of its own.
"""

import re
from pathlib import Path

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.official import Counts, counts_at, placeholder_options
from retrieval.errors import UserError, counted

# One class of the test split stands for all distractors, as in the tables of the literature.
COUNTS = Counts(
    train_images=12936,
    test_images=3368 + 15913,
    train_classes=751,
    test_classes=750 + 1,
    queries=3368,
)
FOLDERS = {
    "bounding_box_train": ("train", "both"),
    "query": ("test", "query"),
    "bounding_box_test": ("test", "gallery"),
}
NAME = re.compile(r"(-1|\d{4})_c([1-6])s([1-6])_\d{6}_\d{2}\.jpg")
JUNK, DISTRACTOR = -1, 0
FIRST_DISTRACTOR = 10_000  # label of the first distractor; persons have four digits
UNPACKED = "Market-1501-v15.09.15"


def load(root: Path) -> Catalog:
    """Load ``bounding_box_train``, ``query`` and ``bounding_box_test`` in the folder.

    Args:
        root: The data set's folder, or the one that holds ``Market-1501-v15.09.15``.

    Returns:
        The catalog, with the columns ``camera`` and ``sequence``; the label is the person's id.

    Raises:
        UserError: A folder is missing, an image is not named as the official ones are, or the
            counts are not the official ones.
    """
    base = root / UNPACKED if (root / UNPACKED).is_dir() else root
    rows = []
    for folder, (split, role) in FOLDERS.items():
        if not (base / folder).is_dir():
            raise UserError(f"data set 'market1501': {base / folder} is missing: {HOW_TO_GET}")
        for path in sorted((base / folder).glob("*.jpg")):
            found = NAME.fullmatch(path.name)
            if found is None:
                raise UserError(
                    f"data set 'market1501': {path} is not named as `0002_c1s1_000451_03.jpg`"
                )
            person, camera, sequence = map(int, found.groups())
            if person != JUNK:
                rows.append((f"{folder}/{path.name}", person, camera, sequence, split, role))
    _check(rows, counts_at(root, COUNTS))
    labels, names = [], []
    for at, (_, person, *_) in enumerate(rows):
        is_person = person != DISTRACTOR
        labels.append(person if is_person else FIRST_DISTRACTOR + at)
        names.append(f"person {person}" if is_person else f"distractor {at}")
    return make_catalog(
        "market1501",
        base,
        path=[row[0] for row in rows],
        label=labels,
        label_name=names,
        split=[row[4] for row in rows],
        role=[row[5] for row in rows],
        columns={
            "camera": [row[2] for row in rows],
            "sequence": [f"c{row[2]}s{row[3]}" for row in rows],
        },
        query_gallery_title="query -> gallery (official)",
        options=placeholder_options(root),
    )


def _check(rows: list[tuple], counts: Counts) -> None:
    """Refuse images whose number, or number of persons, is not the official one."""
    found = Counts(
        train_images=sum(row[4] == "train" for row in rows),
        test_images=sum(row[4] == "test" for row in rows),
        train_classes=len({row[1] for row in rows if row[4] == "train"}),
        test_classes=len({row[1] for row in rows if row[4] == "test"}),
        queries=sum(row[5] == "query" for row in rows),
    )
    if found == counts:
        return
    lacking = counts.images - found.images
    why = (
        f"{counted(lacking, 'file')} missing" if lacking > 0 else "its images are not the official"
    )
    raise UserError(
        f"data set 'market1501': expected {counts.train_images:,} / {counts.test_images:,} train / "
        f"test images of {counts.train_classes:,} / {counts.test_classes:,} classes and "
        f"{counts.queries:,} queries, found {found.train_images:,} / {found.test_images:,} of "
        f"{found.train_classes:,} / {found.test_classes:,} and {found.queries:,}: {why}"
    )


HOW_TO_GET = (
    "take Market-1501-v15.09.15.zip from zheng-lab.cecs.anu.edu.au/Project/project_reid.html; then "
    "`unzip Market-1501-v15.09.15.zip -d data/market1501`"
)
ENTRY = Dataset(
    name="market1501",
    title="Market-1501",
    load=load,
    how_to_get=HOW_TO_GET,
    license="none stated; research",
    source="https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html",
    n_images=COUNTS.images,
    n_classes=1501,
    splits="official: 751 persons train; 3,368 query -> 15,913 gallery, same camera is junk",
    needs=tuple(FOLDERS),
    unpacked=UNPACKED,
    ks=(1, 5, 10, 20),
    junk_same=("camera",),
    metrics=("map_trapezoid", "minp"),
)

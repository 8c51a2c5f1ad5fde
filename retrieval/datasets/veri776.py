"""VeRi-776: 51,035 photos of 776 vehicles and 20 cameras (Liu et al., ECCV 2016).

The official protocol searches the gallery for each query. An image of the query's vehicle *and*
camera is junk: it counts neither as found nor as a mistake.
"""

from pathlib import Path

import pandas as pd

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.official import Counts, load_official
from retrieval.datasets.text_files import read_text
from retrieval.errors import UserError

COUNTS = Counts(
    train_images=37778,
    test_images=1678 + 11579,
    train_classes=576,
    test_classes=200,
    queries=1678,
)
PARTS = {"train": ("train", "both"), "query": ("test", "query"), "test": ("test", "gallery")}
NAME = r"(\d{4})_c(\d{3})_\d{8}_\d+\.jpg"


def load(root: Path) -> Catalog:
    """Load the images that ``name_train.txt``, ``name_query.txt`` and ``name_test.txt`` list.

    Args:
        root: The data set's folder, which also holds ``image_train``, ``image_query`` and
            ``image_test``.

    Returns:
        The catalog, with the column ``camera``; the label is the vehicle's id.

    Raises:
        UserError: A list is missing or malformed, or the counts are not the official ones.
    """
    sources = [root / f"name_{part}.txt" for part in PARTS]
    return load_official("veri776", root, COUNTS, sources=sources, build=lambda _: _build(root))


def _build(root: Path) -> Catalog:
    tables = []
    for part, (split, role) in PARTS.items():
        listed = root / f"name_{part}.txt"
        names = pd.Series(read_text(listed).split(), dtype=object)
        found = names.str.extract(f"^{NAME}$")
        wrong = found[0].isna()
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise UserError(
                f"{listed} row {row + 1}: {names[row]!r} is not `0001_c001_00016450_0.jpg`"
            )
        tables.append(
            pd.DataFrame(
                {
                    "path": f"image_{part}/" + names,
                    "vehicle": found[0].astype(int),
                    "camera": found[1].astype(int),
                    "split": split,
                    "role": role,
                }
            )
        )
    table = pd.concat(tables, ignore_index=True)
    return make_catalog(
        "veri776",
        root,
        path=table["path"].tolist(),
        label=table["vehicle"].to_numpy(),
        label_name=[f"vehicle {number}" for number in table["vehicle"]],
        split=table["split"].tolist(),
        role=table["role"].tolist(),
        columns={"camera": table["camera"].tolist()},
        query_gallery_title="query -> gallery (official)",
    )


ENTRY = Dataset(
    name="veri776",
    title="VeRi-776",
    load=load,
    how_to_get=(
        "it is sent on request: see github.com/JDAI-CV/VeRidataset; then unpack it, so that "
        "data/veri776 holds name_train.txt, image_train and the others"
    ),
    license="non-commercial research",
    source="https://github.com/JDAI-CV/VeRidataset",
    n_images=COUNTS.images,
    n_classes=COUNTS.classes,
    splits="official: 576 vehicles train; 1,678 query -> 11,579 gallery, same camera is junk",
    needs=tuple(item for part in PARTS for item in (f"name_{part}.txt", f"image_{part}")),
    ks=(1, 5, 10),
    junk_same=("camera",),
    metrics=("map_trapezoid", "minp"),
)

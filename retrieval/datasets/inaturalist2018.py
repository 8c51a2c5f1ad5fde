"""iNaturalist 2018 for retrieval: 461,939 photos of 8,142 species (Van Horn et al., CVPR 2018).

The class-disjoint split is that of Brown et al. 2020 (Smooth-AP), which the retrieval literature
uses: their lists of the images of 5,690 training and 2,452 test species.
"""

from pathlib import Path

import pandas as pd

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.official import Counts, first_existing, load_official
from retrieval.datasets.text_files import read_text
from retrieval.errors import UserError

COUNTS = Counts(train_images=325846, test_images=136093, train_classes=5690, test_classes=2452)
FOLDER, IMAGES = "Inat_dataset_splits", "train_val2018"
LISTS = {split: f"Inaturalist_{split}_set1.txt" for split in ("train", "test")}
PATH = rf"{IMAGES}/([^/]+)/(\d+)/[^/]+"


def load(root: Path) -> Catalog:
    """Load the images that ``Inaturalist_train_set1.txt`` and ``..._test_set1.txt`` list.

    Args:
        root: The data set's folder, which also holds ``train_val2018``.

    Returns:
        The catalog; the label is the number of the species, and super classes are the groups in the
        paths, such as ``Plantae``.

    Raises:
        UserError: A list is missing or malformed, or the counts are not the official ones.
    """
    sources = [first_existing(root / FOLDER / name, root / name) for name in LISTS.values()]
    return load_official(
        "inaturalist2018", root, COUNTS, sources=sources, build=lambda _: _build(root, sources)
    )


def _build(root: Path, sources: list[Path]) -> Catalog:
    tables = []
    for split, listed in zip(LISTS, sources, strict=True):
        paths = pd.Series(read_text(listed).split("\n"), dtype=object).str.strip()
        paths = paths[paths != ""]
        found = paths.str.extract(f"^{PATH}$")
        wrong = found[0].isna()
        if wrong.any():
            raise UserError(
                f"{listed} row {wrong.idxmax() + 1}: {paths[wrong.idxmax()]!r} is not "
                f"`{IMAGES}/Plantae/7477/name.jpg`"
            )
        tables.append(
            pd.DataFrame({"path": paths, "group": found[0], "species": found[1], "split": split})
        )
    table = pd.concat(tables, ignore_index=True)
    order = {name: number for number, name in enumerate(sorted(table["group"].unique()))}
    return make_catalog(
        "inaturalist2018",
        root,
        path=table["path"].tolist(),
        label=table["species"].astype(int).to_numpy(),
        label_name=(table["group"] + " " + table["species"]).tolist(),
        split=table["split"].tolist(),
        super_label=table["group"].map(order).to_numpy(),
        super_name=table["group"].tolist(),
    )


ENTRY = Dataset(
    name="inaturalist2018",
    title="iNaturalist 2018 (retrieval split)",
    load=load,
    how_to_get=(
        "take train_val2018.tar.gz from github.com/visipedia/inat_comp/tree/master/2018 and the "
        "lists of the splits from github.com/Andrew-Brown1/Smooth_AP; unpack both in "
        f"data/inaturalist2018, so that it holds {IMAGES} and {FOLDER}"
    ),
    license="of each photo; non-commercial research",
    source="https://github.com/visipedia/inat_comp/tree/master/2018",
    n_images=COUNTS.images,
    n_classes=COUNTS.classes,
    splits="of Smooth-AP: 5,690 species train, 2,452 test",
    needs=(*((f"{FOLDER}/{name}", name) for name in LISTS.values()), IMAGES),
    small_classes=True,
    ks=(1, 4, 16, 32),
)

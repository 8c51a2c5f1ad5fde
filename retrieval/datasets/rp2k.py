"""RP2K: photos of retail products on shelves (Peng et al. 2020), with a split for retrieval.

The authors' train and test folders share their 2,388 classes, which suits classification only. The
class-disjoint split is that of UnED (Ypsilantis et al., ICCV 2023), whose lists name 188,724
training images of 1,074 classes, 17,185 validation images and 10,931 test images. How many classes
the latter two have is not said in its code, and not checked here.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog, number_classes
from retrieval.datasets.official import Counts, counts_at, is_placeholder, placeholder_options
from retrieval.errors import UserError

IMAGES = {"train": 188_724, "validation": 17_185, "test": 10_931}
TRAIN_CLASSES = 1_074
LISTS = {"train": "train.json", "validation": "val.json", "test": "test.json"}
FOLDER = "all"
ABOVE = "rp2k/"  # what the lists' paths begin with


def load(root: Path) -> Catalog:
    """Load the images that ``train.json``, ``val.json`` and ``test.json`` list.

    Args:
        root: The data set's folder, which also holds ``all``.

    Returns:
        The catalog, with a validation split; a class is a folder of images.

    Raises:
        UserError: A list is missing or malformed, or the counts are not the official ones.
    """
    rows = [(path, split) for split in LISTS for path in _paths(root, split)]
    folders = [path.rpartition("/")[0].rpartition("/")[2] for path, _ in rows]
    splits = [split for _, split in rows]
    _check(root, folders, splits)
    number = number_classes(folders)
    return make_catalog(
        "rp2k",
        root,
        path=[path for path, _ in rows],
        label=[number[folder] for folder in folders],
        label_name=folders,
        split=splits,
        options=placeholder_options(root),
    )


def _paths(root: Path, split: str) -> list[str]:
    """Return the paths of one list, relative to the root, as they are on the disk."""
    listed = root / LISTS[split]
    if not listed.is_file():
        raise UserError(f"data set 'rp2k': {listed} is missing: {ENTRY.how_to_get}")
    try:
        content = json.loads(listed.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{listed}: not JSON ({error})") from None
    if not isinstance(content, list):
        raise UserError(f"{listed}: is not a list of images")
    paths = []
    for row, entry in enumerate(content):
        path = entry.get("path") if isinstance(entry, Mapping) else None
        if not isinstance(path, str) or path.removeprefix(ABOVE).count("/") < 2:
            raise UserError(f"{listed} entry {row}: has no path `{ABOVE}{FOLDER}/train/CLASS/NAME`")
        paths.append(path.removeprefix(ABOVE))
    special = [path for path in paths if not path.isascii()]
    if special and not os.path.isfile(root / special[0]):  # unpacked by an unzip without UTF-8
        paths = [path if path.isascii() else _escaped(path) for path in paths]
    return paths


def _escaped(path: str) -> str:
    """Spell a path as unzip does where it cannot write other letters: ``#U`` and the number."""
    return "".join(c if c.isascii() else f"#U{ord(c):04x}" for c in path)


def _check(root: Path, folders: list[str], splits: list[str]) -> None:
    """Refuse lists with other numbers of images, or of training classes, than the published."""
    images = {split: splits.count(split) for split in LISTS}
    classes = len({f for f, split in zip(folders, splits, strict=True) if split == "train"})
    if is_placeholder(root):
        given = counts_at(root, Counts(0, 0, 0, 0))
        expected = (given.train_images, given.test_images)
        found = (images["train"] + images["validation"], images["test"])
        if found != expected:
            raise UserError(
                f"data set 'rp2k': expected {expected[0]:,} / {expected[1]:,} train / test images, "
                f"found {found[0]:,} / {found[1]:,}: write the placeholder again"
            )
    elif images != IMAGES or classes != TRAIN_CLASSES:
        shown = " / ".join(f"{n:,}" for n in IMAGES.values())
        have = " / ".join(f"{n:,}" for n in images.values())
        raise UserError(
            f"data set 'rp2k': expected {shown} train / validation / test images and "
            f"{TRAIN_CLASSES:,} training classes, found {have} and {classes:,}: its lists are not "
            "those of UnED"
        )


ENTRY = Dataset(
    name="rp2k",
    title="RP2K (UnED split)",
    load=load,
    how_to_get=(
        "take rp2k_dataset.zip from www.pinlandata.com/rp2k_dataset and info_files.zip from "
        "cmp.felk.cvut.cz/univ_emb; put the folder `all` and the three lists in info_files/rp2k "
        "into data/rp2k"
    ),
    license="none stated; research",
    source="https://arxiv.org/abs/2006.12634",
    n_images=sum(IMAGES.values()),
    splits="of UnED: 1,074 classes train; 17,185 validation and 10,931 test images of others",
    needs=(*LISTS.values(), FOLDER),
    small_classes=True,
    ks=(1, 5),
)

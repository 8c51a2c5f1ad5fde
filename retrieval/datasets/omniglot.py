"""Omniglot: 32,460 drawings of 1,623 characters of 50 alphabets (Lake et al., Science 2015)."""

from pathlib import Path

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.fetching import PublicArchive, fetch_archive
from retrieval.datasets.folder import class_images
from retrieval.datasets.official import Counts, check_counts, counts_at
from retrieval.errors import UserError

COUNTS = Counts(train_images=19280, test_images=13180, train_classes=964, test_classes=659)
PARTS = {"train": "images_background", "test": "images_evaluation"}
SITE = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
ARCHIVES = {
    "images_background": "md5:68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation": "md5:6b91aef0f799c5bb55b94e3f2daec811",
}


def load(root: Path) -> Catalog:
    """Load ``root/images_background/`` (train) and ``root/images_evaluation/`` (test).

    Args:
        root: The data set's folder.

    Returns:
        The catalog. Characters are the classes, alphabets the super classes.

    Raises:
        UserError: A folder is missing, or the counts are not the official ones.
    """
    rows = []
    for split, part in PARTS.items():
        if not (root / part).is_dir():
            raise UserError(f"data set 'omniglot': {root / part} is missing: {ENTRY.how_to_get}")
        for alphabet, images in class_images(root / part).items():
            rows += [(f"{part}/{path}", alphabet, path.split("/")[1], split) for path in images]
    alphabets = sorted({alphabet for _, alphabet, _, _ in rows})
    names = [f"{alphabet} {character}".replace("_", " ") for _, alphabet, character, _ in rows]
    number = {name: label for label, name in enumerate(sorted(set(names)))}
    catalog = make_catalog(
        "omniglot",
        root,
        path=[path for path, _, _, _ in rows],
        label=[number[name] for name in names],
        label_name=names,
        split=[split for _, _, _, split in rows],
        super_label=[alphabets.index(alphabet) for _, alphabet, _, _ in rows],
        super_name=[alphabet.replace("_", " ") for _, alphabet, _, _ in rows],
    )
    check_counts("omniglot", catalog.items, counts_at(root, COUNTS))
    return catalog


def _part(folder: Path) -> Catalog:
    """Load one unpacked archive by itself, so that it can be checked."""
    rows = [(path, name) for name, paths in class_images(folder).items() for path in paths]
    paths, names = zip(*rows, strict=True)
    return make_catalog(
        "omniglot",
        folder,
        path=paths,
        label=[0] * len(rows),
        label_name=names,
        split=["train"] * len(rows),
    )


def fetch(root: Path, archive: Path | None = None, *, repair: bool = False) -> None:
    """Download the two public archives, check them and unpack them.

    Args:
        root: The folder to unpack to.
        archive: Must be None, because the data set comes in two archives.
        repair: Whether to fetch again what is missing or damaged. Defaults to False.

    Raises:
        UserError: An archive was given, a download failed, or its content is wrong.
    """
    if archive is not None:
        raise UserError(
            f"omniglot comes in two archives: unzip {' and '.join(ARCHIVES)} into {root} instead"
        )
    for name, digest in ARCHIVES.items():
        public = PublicArchive(f"{SITE}/{name}.zip", digest, 30_000_000, strip=1)
        keep = lambda path: path.endswith(".png")  # noqa: E731
        fetch_archive(root / name, None, public, load=_part, keep=keep, repair=repair)
    load(root)


ENTRY = Dataset(
    name="omniglot",
    title="Omniglot (handwritten characters)",
    load=load,
    fetch=fetch,
    how_to_get="run `retrieval fetch omniglot`",
    license="MIT",
    source="https://github.com/brendenlake/omniglot",
    n_images=COUNTS.images,
    n_classes=COUNTS.classes,
    splits="background alphabets train, evaluation alphabets test",
    download="16 MB",
    needs=tuple(PARTS.values()),
    flip=False,
)

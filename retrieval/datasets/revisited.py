"""ROxford5k and RParis6k (Radenovic et al., CVPR 2018): 70 queries each, easy, medium and hard.

The ground truth lists for each query the easy, hard and junk images of the gallery; every other
image is wrong. Three protocols follow from it: what is not asked for is junk, which counts neither
as found nor as a mistake. Queries are cropped to their boxes. There is no training split: a network
of ImageNet, or one that was trained elsewhere, is evaluated.
"""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from retrieval.datasets.base import Dataset
from retrieval.datasets.catalog import Catalog, make_catalog
from retrieval.datasets.image_health import ORIENTATION
from retrieval.datasets.judgments import IGNORED, Judgments, make_judgments
from retrieval.datasets.official import Counts, check_counts, counts_at, placeholder_options
from retrieval.errors import UserError
from retrieval.validation import check_choice

# Difficulty -> the kinds of images that are relevant, and those that are junk.
DIFFICULTIES = {
    "easy": (("easy",), ("junk", "hard")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("junk", "easy")),
}
KINDS = ("easy", "hard", "junk")
PROTOCOLS = ("medium", "hard", "easy")  # the first is the primary one
IMAGES = "jpg"  # the folder of the images
# What the pickle of an array of numbers calls; nothing else is ever looked up.
NUMPY_NAMES = {
    ("numpy", "ndarray"), ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer"),
}  # fmt: skip
# Old protocols spell the bytes of an array as text, and no bytes as a call without arguments.
TEXT_NAMES: dict[tuple[str, str], Callable[..., bytes]] = {
    ("_codecs", "encode"): lambda text, _: str(text).encode("latin1"),
    ("__builtin__", "bytes"): lambda: b"",
    ("builtins", "bytes"): lambda: b"",
}


@dataclass(frozen=True)
class GroundTruth:
    """Queries, gallery, and what is relevant to each query.

    Attributes:
        queries: Name of each query image, without folder and suffix.
        gallery: Name of each gallery image.
        boxes: float64, (q, 4), the part of each query image that is searched with: left, top,
            right and bottom in pixels; NaN where the file gives none.
        lists: For each query, ``easy``, ``hard`` and ``junk`` -> positions in ``gallery``.
    """

    queries: tuple[str, ...]
    gallery: tuple[str, ...]
    boxes: np.ndarray
    lists: tuple[dict[str, np.ndarray], ...]

    @property
    def roles(self) -> np.ndarray:
        """The role of each item, where the queries come first and then the gallery."""
        return np.repeat(["query", "gallery"], [len(self.queries), len(self.gallery)])

    def judgments(self, difficulty: str) -> dict[str, list[np.ndarray]]:
        """Return ``relevance`` and ``ignore`` of :func:`retrieval.evaluation.evaluate`.

        Args:
            difficulty: ``easy``, ``medium`` or ``hard``.

        Returns:
            For each query the rows of items, where the queries come first and then the gallery.

        Raises:
            UserError: The difficulty is none of the three.
        """
        relevant, junk = DIFFICULTIES[check_choice("difficulty", difficulty, DIFFICULTIES)]
        return {
            name: [
                len(self.queries) + np.unique(np.concatenate([one[kind] for kind in kinds]))
                for one in self.lists
            ]
            for name, kinds in (("relevance", relevant), ("ignore", junk))
        }


class _Unpickler(pickle.Unpickler):
    """An unpickler of plain values and arrays of numbers, which calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in TEXT_NAMES:
            return TEXT_NAMES[module, name]
        if (module, name) not in NUMPY_NAMES:
            raise UserError(f"its pickle calls {module}.{name}, which lists of images do not need")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_ground_truth(path: Path | str) -> GroundTruth:
    """Read ``gnd_roxford5k.pkl`` or ``gnd_rparis6k.pkl``.

    Args:
        path: The file, as its authors publish it.

    Returns:
        The ground truth.

    Raises:
        UserError: There is no such file, its pickle calls more than NumPy's arrays do, or it does
            not hold what the authors' files hold.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            content = _Unpickler(file, encoding="latin1").load()
    except UserError as error:
        raise UserError(f"{path}: refused: {error}") from None
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except Exception as error:  # whatever a damaged pickle makes NumPy or pickle raise
        raise UserError(f"{path}: damaged: {type(error).__name__}") from error
    if not isinstance(content, Mapping) or not {"imlist", "qimlist", "gnd"} <= content.keys():
        raise UserError(f"{path}: holds no imlist, qimlist and gnd, as the authors' files do")
    queries, gallery = (tuple(map(str, content[name])) for name in ("qimlist", "imlist"))
    if len(content["gnd"]) != len(queries):
        raise UserError(f"{path}: {len(content['gnd'])} entries of gnd for {len(queries)} queries")
    entries = [
        _entry(one, f"{path}, query {at}", len(gallery)) for at, one in enumerate(content["gnd"])
    ]
    boxes = np.array([box for _, box in entries]).reshape(len(queries), 4)
    return GroundTruth(queries, gallery, boxes, tuple(lists for lists, _ in entries))


def _entry(entry: Any, where: str, n_gallery: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the lists and the box of one query."""
    if not isinstance(entry, Mapping) or not set(KINDS) <= entry.keys():
        raise UserError(f"{where}: lacks easy, hard or junk: the file is of the old protocol")
    lists = {}
    for kind in KINDS:
        found = np.asarray(entry[kind], np.int64).reshape(-1)
        if len(found) and (found.min() < 0 or found.max() >= n_gallery):
            raise UserError(f"{where}: {kind} lists an image that is not in the gallery")
        lists[kind] = found
    box = np.asarray(entry.get("bbx", [np.nan] * 4), np.float64).reshape(-1)
    return lists, box if len(box) == 4 else np.full(4, np.nan)


@dataclass(frozen=True)
class Revisited:
    """What tells one of the two data sets from the other.

    Attributes:
        name: Name in the registry.
        title: Name as people write it.
        gallery: Published number of gallery images.
        origin: Data set that its images are those of.
        archives: Archives of the images.
    """

    name: str
    title: str
    gallery: int
    origin: str
    archives: str

    @property
    def truth(self) -> str:
        """File of the ground truth."""
        return f"gnd_{self.name}.pkl"

    @property
    def counts(self) -> Counts:
        """The published counts; the number of classes is that of the ground truth."""
        return Counts(0, QUERIES + self.gallery, 0, 0, queries=QUERIES)

    @property
    def how_to_get(self) -> str:
        """The manual steps."""
        return (
            f"take {self.archives} from www.robots.ox.ac.uk/~vgg/data/{self.origin} and "
            f"{self.truth} from cmp.felk.cvut.cz/revisitop; put all images, without sub-folders, "
            f"into data/{self.name}/{IMAGES} and {self.truth} beside it"
        )


QUERIES = 70
FIRST_TURNED = 5  # orientations from this number on exchange height and width
OXFORD = Revisited("roxford5k", "ROxford5k", 4993, "oxbuildings", "oxbuild_images.tgz")
PARIS = Revisited("rparis6k", "RParis6k", 6322, "parisbuildings", "paris_1.tgz and paris_2.tgz")


def load_revisited(root: Path, this: Revisited) -> Catalog:
    """Load ``root/jpg/*.jpg`` and the ground truth beside it.

    Args:
        root: The data set's folder.
        this: Which of the two data sets.

    Returns:
        The catalog: queries, then the gallery, all in the test split, with the judgments of three
        protocols. Queries whose relevant images overlap are of one landmark, which is the class of
        them all; every other gallery image is a class of its own.

    Raises:
        UserError: A file is missing or damaged, the counts are not the official ones, or a query
            has no box.
    """
    if not (root / this.truth).is_file():
        raise UserError(
            f"data set {this.name!r}: {root / this.truth} is missing: {this.how_to_get}"
        )
    truth = read_ground_truth(root / this.truth)
    lacking = np.isnan(truth.boxes).any(axis=1)
    if lacking.any():
        raise UserError(f"{root / this.truth}, query {int(np.argmax(lacking))}: has no box")
    paths = [f"{IMAGES}/{name}.jpg" for name in (*truth.queries, *truth.gallery)]
    labels, names = _landmarks(truth)
    catalog = make_catalog(
        this.name,
        root,
        path=paths,
        label=labels,
        label_name=names,
        split=["test"] * len(paths),
        role=truth.roles.tolist(),
        boxes=_boxes(root, paths, truth.boxes),
        query_gallery_title="query -> gallery",
        options=placeholder_options(root),
        judgments=[_judgments(truth, name) for name in PROTOCOLS],
    )
    counts = counts_at(root, this.counts)
    classes = catalog.items["label"].nunique()
    check_counts(this.name, catalog.items, replace(counts, train_classes=0, test_classes=classes))
    return catalog


def _landmarks(truth: GroundTruth) -> tuple[np.ndarray, list[str]]:
    """Return the class of each query and gallery image, and its name.

    A class is named after its first query: ``all_souls`` of ``all_souls_000013``.
    """
    q, n = len(truth.queries), len(truth.queries) + len(truth.gallery)
    pairs = [
        (at, q + row) for at, lists in enumerate(truth.lists) for kind in ("easy", "hard")
        for row in lists[kind]
    ]  # fmt: skip
    one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    links = coo_array((np.ones(len(one)), (one, other)), shape=(n, n))
    labels = connected_components(links, directed=False)[1]
    first: dict[int, str] = {}
    for label, name in zip(labels[:q], truth.queries, strict=True):
        first.setdefault(int(label), name.rpartition("_")[0] or name)
    names = [
        first.get(int(label), f"other {name}")
        for label, name in zip(labels, (*truth.queries, *truth.gallery), strict=True)
    ]
    return labels, names


def _boxes(root: Path, paths: list[str], corners: np.ndarray) -> np.ndarray:
    """Return x, y, width and height of each image: the boxes of queries, and whole images.

    As the authors' code crops, corners are rounded to whole pixels. Whole images need their size,
    which is read from the head of the file; those that are not there are refused later on.
    """
    left, top, right, bottom = np.round(corners).T
    queries = np.stack([left, top, right - left, bottom - top], axis=1)
    sizes = [_size(root / path) for path in paths[len(corners) :]]
    gallery = np.array([(0, 0, *size) for size in sizes], np.float64).reshape(-1, 4)
    return np.concatenate([queries, gallery])


def _size(path: Path) -> tuple[int, int]:
    """Return width and height of an image as it is shown; 1 x 1 if it cannot be read."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION, 1) >= FIRST_TURNED
            return (height, width) if turned else (width, height)
    except (OSError, SyntaxError, ValueError):
        return 1, 1


def _judgments(truth: GroundTruth, difficulty: str) -> Judgments:
    """Return the pairs of one protocol."""
    lists = truth.judgments(difficulty)
    parts = []
    for kind, grade in (("relevance", 1.0), ("ignore", IGNORED)):
        sizes = [len(rows) for rows in lists[kind]]
        query = np.repeat(np.arange(len(sizes)), sizes)
        parts.append((query, np.concatenate(lists[kind]), np.full(len(query), grade)))
    return make_judgments(
        difficulty, *(np.concatenate(column) for column in zip(*parts, strict=True))
    )


def _entry_of(this: Revisited) -> Dataset:
    def load(root: Path) -> Catalog:
        return load_revisited(root, this)

    return Dataset(
        name=this.name,
        title=this.title,
        load=load,
        how_to_get=this.how_to_get,
        license="none stated; research",
        source="http://cmp.felk.cvut.cz/revisitop/",
        n_images=this.counts.images,
        splits=f"official: no training split; {QUERIES} query -> {this.gallery:,} gallery; "
        "medium, hard and easy",
        needs=(this.truth, IMAGES),
        ks=(1, 5, 10),
        metrics=("map_trapezoid", "mp@1", "mp@5", "mp@10"),
    )


ROXFORD, RPARIS = _entry_of(OXFORD), _entry_of(PARIS)

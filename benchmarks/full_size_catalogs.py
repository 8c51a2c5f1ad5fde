"""Write a catalog of full size, of tiny JPEGs: Stanford Online Products or In-shop.

    python benchmarks/full_size_catalogs.py sop /tmp/sop
    python benchmarks/full_size_catalogs.py inshop /tmp/inshop

The folders, the names of the files, the lists, and the numbers of images, classes and queries are
those of the published data set: 120,053 images for SOP, 52,712 for In-shop. Every image is a JPEG
of its own, of 32 x 32 pixels in the colors of its class. So loading, sampling, checkpoints,
evaluation and thumbnails cost what they cost with the real photos, apart from decoding them. The
folder is marked as a synthetic placeholder.

It is used by hand: ``benchmarks/results/full_size.md`` says what was measured on these catalogs.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import simplejpeg

from retrieval.datasets import inshop
from retrieval.datasets import stanford_online_products as sop
from retrieval.datasets.official import Counts, mark_as_placeholder
from retrieval.files import write_text

SIDE = 32  # pixels
CELLS = 4  # of a class's pattern, in each direction
VIEWS = ("1_front", "2_side", "3_back", "4_full", "7_additional")
CATEGORIES = {  # of In-shop, by section
    "MEN": (
        "Denim", "Jackets_Vests", "Pants", "Shirts_Polos", "Shorts", "Suiting", "Sweaters",
        "Sweatshirts_Hoodies", "Tees_Tanks",
    ),
    "WOMEN": (
        "Blouses_Shirts", "Cardigans", "Denim", "Dresses", "Graphic_Tees", "Jackets_Coats",
        "Leggings", "Pants", "Rompers_Jumpsuits", "Shorts", "Skirts", "Sweaters",
        "Sweatshirts_Hoodies", "Tees_Tanks",
    ),
}  # fmt: skip
SINGLETONS = 12  # training classes of In-shop with one image


def class_sizes(images: int, classes: int, rng: np.random.Generator, least: int = 2) -> np.ndarray:
    """Return how many images each class has, int64 (classes,): ``least`` and a random rest."""
    rest = rng.multinomial(images - least * classes, np.full(classes, 1 / classes))
    return least + rest


def with_odd(sizes: np.ndarray, odd: int) -> np.ndarray:
    """Return sizes of the same sum of which a given number is odd; none falls below 2."""
    sizes = sizes.copy()
    excess = int((sizes % 2).sum()) - odd
    parity = 1 if excess > 0 else 0
    rows = np.flatnonzero((sizes % 2 == parity) & (sizes > 2))[: abs(excess)]
    sizes[rows[::2]] += 1
    sizes[rows[1::2]] -= 1
    return sizes


def write_images(base: Path, paths: list[str], labels: np.ndarray, seed: int = 0) -> None:
    """Write a JPEG at every path; images of a class look alike, and no two are equal.

    Args:
        base: Folder that the paths are relative to.
        paths: POSIX paths of n files.
        labels: int64, (n,), class of each image.
        seed: Seed of the pixels. Defaults to 0.
    """
    for folder in {path.rpartition("/")[0] for path in paths}:
        (base / folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 192, (labels.max() + 1, CELLS, CELLS, 3))
    enlarge = np.ones((1, SIDE // CELLS, SIDE // CELLS, 1), np.int64)
    for start in range(0, len(paths), 1024):
        chosen = patterns[labels[start : start + 1024]]
        drawn = chosen + rng.integers(0, 64, chosen.shape)
        images = np.stack([np.kron(image, enlarge[0]) for image in drawn]).astype(np.uint8)
        for path, image in zip(paths[start : start + 1024], images, strict=True):
            (base / path).write_bytes(simplejpeg.encode_jpeg(image, quality=90))


def write_sop(root: Path) -> Counts:
    """Write Stanford Online Products: ``Ebay_train.txt``, ``Ebay_test.txt`` and 12 folders."""
    counts, rng = sop.COUNTS, np.random.default_rng(0)
    base = root / sop.FOLDER
    images: dict[str, list[str]] = {}
    paths: list[str] = []
    labels: list[int] = []
    for split, first in (("train", 0), ("test", counts.train_classes)):
        n_images = counts.train_images if split == "train" else counts.test_images
        n_classes = counts.train_classes if split == "train" else counts.test_classes
        sizes = class_sizes(n_images, n_classes, rng)
        kinds = np.sort(rng.integers(0, len(sop.KINDS), n_classes))
        rows = images[split] = []
        for number, (kind, size) in enumerate(zip(kinds, sizes, strict=True), start=first + 1):
            for picture in range(size):
                path = (
                    f"{sop.KINDS[kind]}_final/{110_000_000_000 + 8_641_973 * number}_{picture}.JPG"
                )
                paths.append(path)
                labels.append(number)
                rows.append(f"{len(paths)} {number} {kind + 1} {path}")
    write_images(base, paths, np.array(labels))
    for split, rows in images.items():
        text = "\n".join(["image_id class_id super_class_id path", *rows, ""])
        write_text(base / sop.LISTS[split], text)
    return counts


def write_inshop(root: Path) -> Counts:
    """Write In-shop: ``Eval/list_eval_partition.txt`` and ``img/SECTION/Category/id_N/``."""
    counts, rng = inshop.COUNTS, np.random.default_rng(0)
    train = class_sizes(counts.train_images - SINGLETONS, counts.train_classes - SINGLETONS, rng)
    test = class_sizes(counts.test_images, counts.test_classes, rng)
    # Images of a test class are a query and a gallery item in turn, so odd classes have one query
    # more than they have gallery items.
    test = with_odd(test, 2 * counts.queries - counts.test_images)
    sizes = np.concatenate([np.ones(SINGLETONS, np.int64), train, test])
    places = [f"{section}/{name}" for section, names in CATEGORIES.items() for name in names]
    paths: list[str] = []
    labels: list[int] = []
    rows: list[str] = []
    order = rng.permutation(len(sizes))  # the ids of both splits lie mixed in the list
    for number, place in enumerate(order, start=1):
        category = places[rng.integers(len(places))]
        for picture in range(sizes[place]):
            color, view = 1 + picture // len(VIEWS), VIEWS[picture % len(VIEWS)]
            path = f"img/{category}/id_{number:08d}/{color:02d}_{view}.jpg"
            role = "train" if place < counts.train_classes else ("query", "gallery")[picture % 2]
            paths.append(path)
            labels.append(number)
            rows.append(f"{path:<70} id_{number:08d}    {role}")
    write_images(root, paths, np.array(labels))
    header = [str(len(rows)), "image_name item_id evaluation_status"]
    write_text(root / "Eval" / inshop.PARTITION, "\n".join([*header, *rows, ""]))
    return counts


WRITERS: dict[str, Callable[[Path], Counts]] = {"sop": write_sop, "inshop": write_inshop}


def main() -> None:
    """Write one catalog."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", choices=WRITERS)
    parser.add_argument("folder", type=Path, help="the folder to create")
    given = parser.parse_args()
    if given.folder.exists():
        parser.error(f"{given.folder} exists: give a new folder")
    start = time.perf_counter()
    counts = WRITERS[given.dataset](given.folder)
    text = f"This is a synthetic placeholder for {given.dataset} of full size, with tiny images."
    mark_as_placeholder(given.folder, text, counts)
    print(f"{counts.images:,} images in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

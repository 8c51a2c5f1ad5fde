"""Seconds to load a catalog of Stanford Online Products' size, the first time and after that.

    python benchmarks/catalog.py [--rows 120053] [--folder DIR]

Writes the lists in their published layout and one small JPEG per row (hard links to a few files),
marked as a synthetic placeholder with counts of its own. The first load reads the lists, checks
every image and caches the table; the second reads the cached table and lists the folders. At last
one image is removed, which a load must notice.
"""

import argparse
import io
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.datasets import load_catalog
from retrieval.datasets.official import Counts, mark_as_placeholder
from retrieval.datasets.stanford_online_products import FOLDER, KINDS, LISTS
from retrieval.errors import UserError
from retrieval.files import write_text

ROWS = 120_053
PER_CLASS = 5.3  # as in the data set: 120,053 images of 22,634 classes
LINKS = 20_000  # to one file; file systems allow 65,000 or fewer


def write_images(base: Path, paths: list[str]) -> None:
    """Write a small JPEG at every path."""
    rng, buffer = np.random.default_rng(0), io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(buffer, "JPEG")
    for folder in {path.split("/")[0] for path in paths}:
        (base / folder).mkdir(parents=True)
    for number, path in enumerate(paths):
        if number % LINKS == 0:
            original = base / path
            original.write_bytes(buffer.getvalue())
        else:
            os.link(original, base / path)


def write_lists(root: Path, rows: int) -> None:
    """Write the two lists, the images and the placeholder's mark."""
    classes = max(4, round(rows / PER_CLASS))
    labels = np.sort(np.arange(rows) % classes) + 1
    half = classes // 2
    paths = [f"{KINDS[c % len(KINDS)]}_final/{c:012d}_{i}.JPG" for i, c in enumerate(labels)]
    write_images(root / FOLDER, paths)
    for split, name in LISTS.items():
        lines = [
            f"{i} {label} {label % len(KINDS) + 1} {path}"
            for i, (label, path) in enumerate(zip(labels, paths, strict=True), start=1)
            if (label <= half) == (split == "train")
        ]
        text = "\n".join(["image_id class_id super_class_id path", *lines, ""])
        write_text(root / FOLDER / name, text)
    train = int((labels <= half).sum())
    counts = Counts(train, rows - train, half, classes - half)
    mark_as_placeholder(
        root, "Stanford Online Products in size and layout, for a benchmark.", counts
    )


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the wall time and the processor time of the block."""
    start, busy = time.perf_counter(), time.process_time()
    yield
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    print(f"{what:28} {seconds:8.2f} s, {busy:6.2f} s of processor time", flush=True)


@contextmanager
def expected(kind: type[Exception]) -> Iterator[None]:
    """Print the error that the block must raise."""
    try:
        yield
    except kind as error:
        print(error)
    else:
        raise AssertionError(f"no {kind.__name__}")


def main() -> None:
    """Write the data set, load it three times, and once more with one image missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--folder", type=Path, help="parent of the temporary folder to write to")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        os.environ["RETRIEVAL_CACHE"] = f"{folder}/cache"
        root = Path(folder) / "sop"
        with timed(f"write {given.rows:,} rows"):
            write_lists(root, given.rows)
        for load in ("first load", "second load", "third load"):
            with timed(load):
                catalog = load_catalog("sop", root)
        Path(catalog.absolute_paths()[-1]).unlink()
        with timed("load without one image"), expected(UserError):
            load_catalog("sop", root)
    print(f"{len(catalog):,} items, {catalog.items['label'].nunique():,} classes")


if __name__ == "__main__":
    main()

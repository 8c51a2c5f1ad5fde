"""Write a small stand-in of a benchmark: its exact on-disk format, filled with other photos.

For tests, and for notebooks on a machine without the data. ``STANDIN.txt`` marks the folder, and
the loaders hold it to the counts written there instead of the official ones.
"""

import io
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.datasets.catalog import Catalog
from retrieval.datasets.official import Counts, mark_standin
from retrieval.errors import UserError, unknown_option
from retrieval.files import write_text


@dataclass(frozen=True)
class Photo:
    """One image of a stand-in: its class (numbered from 1, train classes first) and its bytes."""

    label: int
    number: int  # within its class, from 1
    name: str
    group: str
    split: str
    jpeg: bytes
    size: tuple[int, int]


def write_standin(
    name: str,
    source: Catalog,
    root: Path | str,
    *,
    classes: int = 8,
    per_class: int = 8,
    seed: int = 0,
) -> Path:
    """Write a stand-in of a benchmark, all or nothing.

    Args:
        name: ``cub200``, ``cars196``, ``sop`` or ``inshop``.
        source: Photos to fill it with; its train classes become train classes.
        root: The folder to make.
        classes: Classes on each side of the split, at most those ``source`` has.
        per_class: Images of each class, at most those ``source`` has; at least 2.
        seed: Seeds the choice of classes and images.

    Returns:
        ``root``, ready for ``load_catalog(name, root)``.

    Raises:
        UserError: Unknown name, ``root`` exists, or too few images.
    """
    if name not in WRITERS:
        raise unknown_option("benchmark to stand in for", name, WRITERS)
    root = Path(root)
    if root.exists():
        raise UserError(f"{root} exists: a stand-in is written to a new folder")
    photos = _choose(source, classes, per_class, np.random.default_rng(seed))
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        partial.chmod(0o755)
        queries = WRITERS[name](partial, photos)
        text = (
            f"This is a stand-in of {name}: {len(photos)} photos of the data set {source.name!r} "
            "in its on-disk format. It is not the published data set."
        )
        mark_standin(partial, text, _count(photos, queries))
        partial.replace(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root


def _choose(
    source: Catalog, classes: int, per_class: int, random: np.random.Generator
) -> list[Photo]:
    """Pick photos, classes numbered from 1 with the training classes first."""
    photos: list[Photo] = []
    label = 0
    for split in ("train", "test"):
        rows = source.split(split)
        sizes = rows.groupby("label").size()
        usable = sizes[sizes >= 2].index.to_numpy()
        if not len(usable):
            raise UserError(f"data set {source.name!r} has no {split} class with 2 images")
        for chosen in np.sort(random.permutation(usable)[:classes]):
            label += 1
            members = rows[rows["label"] == chosen]
            picked = np.sort(random.permutation(len(members))[: max(per_class, 2)])
            for number, position in enumerate(picked, start=1):
                row = members.iloc[position]
                jpeg, size = _jpeg(source.root / row["path"])
                group = str(row.get("super_name", "Things"))
                photos.append(
                    Photo(label, number, str(row["label_name"]), group, split, jpeg, size)
                )
    return photos


def _jpeg(path: Path) -> tuple[bytes, tuple[int, int]]:
    """Return an image as JPEG bytes (unchanged if it is one) and its size."""
    with Image.open(path) as image:
        if image.format == "JPEG":
            return path.read_bytes(), image.size
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=92)
        return buffer.getvalue(), image.size


def _count(photos: list[Photo], queries: int) -> Counts:
    sides = {split: [p for p in photos if p.split == split] for split in ("train", "test")}
    return Counts(
        train_images=len(sides["train"]),
        test_images=len(sides["test"]),
        train_classes=len({p.label for p in sides["train"]}),
        test_classes=len({p.label for p in sides["test"]}),
        queries=queries,
    )


def _write_images(folder: Path, photos: list[Photo], paths: list[str]) -> None:
    for photo, path in zip(photos, paths, strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(photo.jpeg)


def _lines(rows: list) -> str:
    return "".join(f"{row}\n" for row in rows)


def _word(text: str) -> str:
    """Turn a name into one word that is safe in paths."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text).strip("_") or "x"


def _cub200(root: Path, photos: list[Photo]) -> int:
    base = root / "CUB_200_2011"
    folders = {p.label: f"{p.label:03d}.{_word(p.name)}" for p in photos}
    paths = [f"{folders[p.label]}/{_word(p.name)}_{p.number:04d}_{p.label}.jpg" for p in photos]
    _write_images(base / "images", photos, paths)
    ids = range(1, len(photos) + 1)
    boxes = [(w // 8, h // 8, w - w // 4, h - h // 4) for w, h in (p.size for p in photos)]
    files = {
        "images.txt": [f"{i} {path}" for i, path in zip(ids, paths, strict=True)],
        "image_class_labels.txt": [f"{i} {p.label}" for i, p in zip(ids, photos, strict=True)],
        "classes.txt": [f"{label} {folder}" for label, folder in folders.items()],
        "bounding_boxes.txt": [
            f"{i} {x:.1f} {y:.1f} {w:.1f} {h:.1f}"
            for i, (x, y, w, h) in zip(ids, boxes, strict=True)
        ],
        "train_test_split.txt": [f"{i} {i % 2}" for i in ids],
    }
    for name, rows in files.items():
        write_text(base / name, _lines(rows))
    return 0


def _cars196(root: Path, photos: list[Photo]) -> int:
    from scipy.io import savemat

    paths = [f"car_ims/{number:06d}.jpg" for number in range(1, len(photos) + 1)]
    _write_images(root, photos, paths)
    corners = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
    fields = ("relative_im_path", *corners, "class", "test")
    annotations = np.empty((1, len(photos)), [(field, object) for field in fields])
    for column, (photo, path) in enumerate(zip(photos, paths, strict=True)):
        width, height = photo.size
        box = (width // 8 + 1, height // 8 + 1, width - width // 8, height - height // 8)
        annotations[0, column] = (path, *box, photo.label, photo.number % 2)
    names = {photo.label: photo.name for photo in photos}
    class_names = np.empty((1, len(names)), object)
    class_names[0, :] = list(names.values())
    savemat(root / "cars_annos.mat", {"annotations": annotations, "class_names": class_names})
    return 0


def _sop(root: Path, photos: list[Photo]) -> int:
    base = root / "Stanford_Online_Products"
    groups = {group: n for n, group in enumerate(sorted({p.group for p in photos}), start=1)}
    paths = [
        f"{_word(p.group).lower()}_final/{110_000_000_000 + p.label}_{p.number - 1}.JPG"
        for p in photos
    ]
    _write_images(base, photos, paths)
    for split in ("train", "test"):
        rows = [
            f"{i} {p.label} {groups[p.group]} {path}"
            for i, (p, path) in enumerate(zip(photos, paths, strict=True), start=1)
            if p.split == split
        ]
        write_text(
            base / f"Ebay_{split}.txt", _lines(["image_id class_id super_class_id path", *rows])
        )
    return 0


def _inshop(root: Path, photos: list[Photo]) -> int:
    status = [
        "train" if p.split == "train" else ("query" if p.number % 2 else "gallery") for p in photos
    ]
    paths = [
        f"img/STANDIN/{_word(p.group)}/id_{p.label:08d}/{p.number:02d}_1_front.jpg" for p in photos
    ]
    _write_images(root, photos, paths)
    rows = [
        f"{path:<70} id_{p.label:08d} {s}" for p, path, s in zip(photos, paths, status, strict=True)
    ]
    header = [str(len(rows)), "image_name item_id evaluation_status"]
    write_text(root / "Eval" / "list_eval_partition.txt", _lines([*header, *rows]))
    return status.count("query")


WRITERS: dict[str, Callable[[Path, list[Photo]], int]] = {
    "cub200": _cub200,
    "cars196": _cars196,
    "sop": _sop,
    "inshop": _inshop,
}

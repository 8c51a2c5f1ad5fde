"""Writers of each benchmark's on-disk format, which placeholders are made with."""

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.datasets.official import Counts
from retrieval.files import write_text


@dataclass(frozen=True)
class Photo:
    """One image of a placeholder.

    Attributes:
        label: Number of its class, from 1; the training classes come first.
        number: Number of the image within its class, from 1.
        name: Readable name of its class.
        group: Name of its super class.
        split: ``train`` or ``test``.
        jpeg: Content of the JPEG file.
        size: Width and height in pixels.
    """

    label: int
    number: int
    name: str
    group: str
    split: str
    jpeg: bytes
    size: tuple[int, int]


def _write_images(folder: Path, photos: list[Photo], paths: list[str]) -> None:
    for photo, path in zip(photos, paths, strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(photo.jpeg)


def _lines(rows: list) -> str:
    return "".join(f"{row}\n" for row in rows)


def word(text: str) -> str:
    """Replace what is unsafe in a path by underscores."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text).strip("_") or "x"


def _cub200(root: Path, photos: list[Photo]) -> int:
    base = root / "CUB_200_2011"
    folders = {p.label: f"{p.label:03d}.{word(p.name)}" for p in photos}
    paths = [f"{folders[p.label]}/{word(p.name)}_{p.number:04d}_{p.label}.jpg" for p in photos]
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
        f"{word(p.group).lower()}_final/{110_000_000_000 + p.label}_{p.number - 1}.JPG"
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
        f"img/PLACEHOLDER/{word(p.group)}/id_{p.label:08d}/{p.number:02d}_1_front.jpg"
        for p in photos
    ]
    _write_images(root, photos, paths)
    rows = [
        f"{path:<70} id_{p.label:08d} {s}" for p, path, s in zip(photos, paths, status, strict=True)
    ]
    header = [str(len(rows)), "image_name item_id evaluation_status"]
    write_text(root / "Eval" / "list_eval_partition.txt", _lines([*header, *rows]))
    return status.count("query")


def _grocery(root: Path, photos: list[Photo]) -> int:
    """Write the lists of Grocery: even ids train, odd ids test; half the photos are in ``test``."""
    train = sorted({p.label for p in photos if p.split == "train"})
    test = sorted({p.label for p in photos if p.split == "test"})
    ids = {label: 2 * n for n, label in enumerate(train)}
    ids |= {label: 2 * n + 1 for n, label in enumerate(test)}
    groups = {group: n for n, group in enumerate(sorted({p.group for p in photos}))}
    lists = ["train" if p.number % 2 else "test" for p in photos]
    paths = [
        f"{where}/{word(p.group)}/{word(p.name)}/{word(p.name)}_{p.label}_{p.number:03d}.jpg"
        for where, p in zip(lists, photos, strict=True)
    ]
    _write_images(root / "dataset", photos, paths)
    for name in ("train", "val", "test"):
        rows = [
            f"{path}, {ids[p.label]}, {groups[p.group]}"
            for where, path, p in zip(lists, paths, photos, strict=True)
            if where == name
        ]
        write_text(root / "dataset" / f"{name}.txt", _lines(rows))
    known = {ids[p.label]: (word(p.name), p) for p in photos}
    rows = [
        f"{name},{number},{word(p.group)},{groups[p.group]},,"
        for number, (name, p) in sorted(known.items())
    ]
    header = (
        "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),"
        "Iconic Image Path (str),Product Description Path (str)"
    )
    write_text(root / "dataset" / "classes.csv", _lines([header, *rows]))
    return sum(where == "test" for where, p in zip(lists, photos, strict=True) if p.split == "test")


def _market1501(root: Path, photos: list[Photo]) -> int:
    """Write persons seen by three cameras; the first photo of a test person is the query."""
    paths, queries = [], 0
    for photo in photos:
        is_query = photo.split == "test" and photo.number == 1
        queries += is_query
        test = "query" if is_query else "bounding_box_test"
        folder = "bounding_box_train" if photo.split == "train" else test
        camera = 1 + photo.number % 3
        paths.append(f"{folder}/{photo.label:04d}_c{camera}s1_{photo.number:06d}_01.jpg")
    _write_images(root, photos, paths)
    return queries


def _veri776(root: Path, photos: list[Photo]) -> int:
    """Write vehicles seen by three cameras; the first photo of a test vehicle is the query."""
    names: dict[str, list[str]] = {"train": [], "query": [], "test": []}
    paths = []
    for photo in photos:
        is_query = photo.split == "test" and photo.number == 1
        part = "query" if is_query else photo.split
        name = f"{photo.label:04d}_c{1 + photo.number % 3:03d}_{photo.number:08d}_0.jpg"
        names[part].append(name)
        paths.append(f"image_{part}/{name}")
    _write_images(root, photos, paths)
    for part, rows in names.items():
        write_text(root / f"name_{part}.txt", _lines(rows))
    return len(names["query"])


def _inaturalist2018(root: Path, photos: list[Photo]) -> int:
    paths = [
        f"train_val2018/{word(p.group)}/{p.label}/{p.label:08x}{p.number:024x}.jpg" for p in photos
    ]
    _write_images(root, photos, paths)
    for split in ("train", "test"):
        rows = [path for path, photo in zip(paths, photos, strict=True) if photo.split == split]
        write_text(root / "Inat_dataset_splits" / f"Inaturalist_{split}_set1.txt", _lines(rows))
    return 0


def _rp2k(root: Path, photos: list[Photo]) -> int:
    """Write products; the last third of the training classes is the validation split."""
    train = sorted({p.label for p in photos if p.split == "train"})
    validation = set(train[-(len(train) // 3) :]) if len(train) > 2 else set()
    lists: dict[str, list[dict[str, object]]] = {"train": [], "val": [], "test": []}
    paths = []
    for photo in photos:
        part = "val" if photo.label in validation else photo.split
        folder = "test" if photo.split == "test" else "train"
        path = f"all/{folder}/{word(photo.name)}_{photo.label}/{photo.number:04d}.jpg"
        lists[part].append({"path": f"rp2k/{path}", "class_id": photo.label})
        paths.append(path)
    _write_images(root, photos, paths)
    for part, rows in lists.items():
        write_text(root / f"{part}.json", json.dumps(rows))
    return 0


def _revisited(name: str) -> Callable[[Path, list[Photo]], Counts]:
    """Write ROxford5k or RParis6k: the first photo of each test class asks for the others.

    Of these, one in three is hard, and the last is junk. Photos of the training classes are in the
    gallery too, and of no landmark.
    """

    def write(root: Path, photos: list[Photo]) -> Counts:
        names = [f"{word(p.name).lower()}_{p.label:03d}{p.number:03d}" for p in photos]
        _write_images(root, photos, [f"jpg/{each}.jpg" for each in names])
        queries = [p.split == "test" and p.number == 1 for p in photos]
        gallery = [at for at, asks in enumerate(queries) if not asks]
        truth: dict[str, list] = {
            "qimlist": [each for each, asks in zip(names, queries, strict=True) if asks],
            "imlist": [names[at] for at in gallery],
            "gnd": [],
        }
        for photo, asks in zip(photos, queries, strict=True):
            if not asks:
                continue
            own = [row for row, at in enumerate(gallery) if photos[at].label == photo.label]
            width, height = photo.size
            junk = own[-1:] if len(own) > 2 else []
            kept = own[: len(own) - len(junk)]
            hard = kept[1::3]
            entry = {"easy": sorted(set(kept) - set(hard)), "hard": hard, "junk": junk}
            truth["gnd"].append(
                {kind: np.array(rows, np.int64) for kind, rows in entry.items()}
                | {"bbx": [width / 8, height / 8, width - width / 8, height - height / 8]}
            )
        (root / f"gnd_{name}.pkl").write_bytes(pickle.dumps(truth, protocol=2))
        return Counts(0, len(photos), 0, 0, queries=sum(queries))

    return write


def _gldv2(root: Path, photos: list[Photo]) -> Counts:
    """Write landmarks: the first photo of each test class is a query, public or private in turn."""
    ids = [f"{p.label:08x}{p.number:08x}" for p in photos]
    folders = [
        "train" if p.split == "train" else "test" if p.number == 1 else "index" for p in photos
    ]
    places = [
        f"{folder}/{one[0]}/{one[1]}/{one[2]}/{one}.jpg"
        for folder, one in zip(folders, ids, strict=True)
    ]
    _write_images(root, photos, places)
    rows = list(zip(photos, folders, ids, strict=True))
    index = [(one, p.label) for p, folder, one in rows if folder == "index"]
    solution, queries = ["id,images,Usage", "ffffffffffffffff,None,Ignored"], 0
    for photo, folder, one in rows:
        if folder == "test":
            relevant = " ".join(other for other, label in index if label == photo.label)
            solution.append(f"{one},{relevant},{('Public', 'Private')[queries % 2]}")
            queries += 1
    train: dict[int, list[str]] = {}
    for photo, folder, one in rows:
        if folder == "train":
            train.setdefault(photo.label, []).append(one)
    lists = {
        "retrieval_solution_v2.1.csv": solution,
        "index_image_to_landmark.csv": ["id,landmark_id", *(f"{a},{b}" for a, b in index)],
        "train_clean.csv": [
            "landmark_id,images",
            *(f"{label},{' '.join(members)}" for label, members in train.items()),
        ],
    }
    for name, lines in lists.items():
        write_text(root / name, _lines(lines))
    return Counts(
        sum(map(len, train.values())), queries + len(index), len(train), 0, queries=queries
    )


# Each returns the number of test images that are queries only; or all counts, where the splits are
# not those of the photos.
WRITERS: dict[str, Callable[[Path, list[Photo]], int | Counts]] = {
    "cub200": _cub200,
    "cars196": _cars196,
    "sop": _sop,
    "inshop": _inshop,
    "grocery": _grocery,
    "market1501": _market1501,
    "veri776": _veri776,
    "inaturalist2018": _inaturalist2018,
    "rp2k": _rp2k,
    "roxford5k": _revisited("roxford5k"),
    "rparis6k": _revisited("rparis6k"),
    "gldv2": _gldv2,
}

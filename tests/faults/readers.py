"""Every reader of files and addresses, with valid inputs to begin from."""

import gzip
import io
import json
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from hypothesis import strategies as st
from PIL import Image

from retrieval.datasets import load_catalog
from retrieval.datasets.archives import unpack
from retrieval.report.writing import write_report
from retrieval.runs.checks import check_neighbors
from retrieval.runs.embedding_files import read_embeddings
from retrieval.runs.evaluate import evaluate_run
from retrieval.runs.importing import read_items
from retrieval.runs.run import PROJECTION_COLUMNS, Run
from retrieval.runs.store import open_run
from retrieval.runs.thumbnails import encode_thumbnail
from tests.faults import structures
from tests.faults.inputs import changed, texts
from tests.photos import write_colors
from tests.runs.helpers import edit, write_small_run

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252")


@dataclass(frozen=True)
class Reader:
    """A reader to fuzz.

    Attributes:
        name: Its name in the table of results.
        inputs: Strategy of contents, bytes.
        read: Read a content; gets it and an empty folder, in which nothing may be left that was not
            there before :attr:`read` was entered, except below ``work``.
        needs_tensorflow: Whether it imports TensorFlow. Defaults to False.
        share: Its share of the inputs; readers of whole runs are slow. Defaults to 3.
    """

    name: str
    inputs: st.SearchStrategy
    read: Callable[[bytes, Path], object]
    needs_tensorflow: bool = False
    share: int = 3


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    """Return a reader of contents from a function that reads a file."""

    def of_content(content: bytes, folder: Path) -> object:
        path = folder / name
        path.write_bytes(content)
        stamp = path.stat().st_mtime_ns
        try:
            return read(path)
        finally:
            assert path.read_bytes() == content, "the file was changed"
            assert path.stat().st_mtime_ns == stamp, "the file was written"
            assert os.listdir(folder) in ([name], ["work"]), f"left {os.listdir(folder)}"

    return of_content


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    """Return what a function writes to a file."""
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


MATRIX = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)


def _parquets() -> tuple[bytes, ...]:
    columns = pd.DataFrame(MATRIX, columns=[f"d{i}" for i in range(4)])
    lists = pd.DataFrame({"embedding": list(MATRIX)})
    return tuple(saved(frame.to_parquet) for frame in (columns, lists, columns.assign(label="a")))


def _hdf5() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.h5")
        with h5py.File(path, "w") as file:
            file["emb"] = MATRIX
        return path.read_bytes()


def _torch() -> bytes:
    """Return what `torch.save` writes for a dict with a float tensor, without torch."""
    pickled = (
        b"\x80\x02}q\x00X\x0a\x00\x00\x00embeddingsq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02"
        b"((X\x07\x00\x00\x00storageq\x03ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05"
        b"X\x03\x00\x00\x00cpuq\x06K\x18tq\x07QK\x00K\x06K\x04\x86q\x08K\x04K\x01\x86q\x09\x89"
        b"ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0ds."
    )

    def save(buffer: io.BytesIO) -> None:
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
            archive.writestr("archive/data/0", MATRIX.tobytes())
            archive.writestr("archive/version", "3\n")

    return saved(save)


def _archives() -> tuple[bytes, ...]:
    members = {"a/1.txt": b"one" * 50, "a/b/2.txt": b"two" * 90}

    def save_zip(buffer: io.BytesIO, method: int) -> None:
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    def save_tar(buffer: io.BytesIO) -> None:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))

    plain = saved(save_tar)
    zips = [
        saved(lambda b, m=m: save_zip(b, m)) for m in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    ]
    return (*zips, plain, gzip.compress(plain))


def _images() -> tuple[bytes, ...]:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    kinds = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
    return tuple(saved(lambda b, k=k: Image.fromarray(pixels).save(b, k)) for k in kinds)


_PREPARED: dict[str, Path] = {}


def _prepared(name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that is made once per process."""
    if name not in _PREPARED:
        _PREPARED[name] = Path(tempfile.mkdtemp()) / "made"
        make(_PREPARED[name])
    return _PREPARED[name]


def _unpack(path: Path) -> None:
    target = path.parent / "work"
    try:
        unpack(path, target, progress=False)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _csv_list(content: bytes, folder: Path) -> None:
    photos = _prepared("photos", lambda p: write_colors(p, seed=0, scale=9, classes=4, each=3))
    path = folder / "list.csv"
    path.write_bytes(content)
    load_catalog("csv", photos, csv=str(path))


def _folder(content: bytes, folder: Path) -> None:
    """Load a folder whose names are the lines of the content."""
    image = _images()[0]
    root = folder / "work"
    root.mkdir()
    for line in content.split(b"\n")[:30]:
        name = os.fsdecode(line.replace(b"\0", b"")).strip("/")
        path = Path(os.path.normpath(root / name))
        if not name or not path.is_relative_to(root) or len(line) > 200:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_bytes(image)
        except OSError:  # no such name is possible
            continue
    load_catalog("folder", root)


def _image(content: bytes, folder: Path) -> None:
    def make(root: Path) -> None:
        write_colors(root, seed=0, scale=9, classes=2, each=2)

    root = folder / "work"
    shutil.copytree(_prepared("few photos", make), root)
    for suffix in (".png", ".jpg"):
        path = root / "class 0" / f"fuzzed{suffix}"
        path.write_bytes(content)
        encode_thumbnail(path)
        load_catalog("folder", root)


CHECKED = ("items.parquet", "embeddings.npy", "neighbours.npz")  # by checksums in metrics.json


def run_file(name: str) -> Callable[[bytes, Path], object]:
    """Return a reader of a run in which one file has the content."""

    def read(content: bytes, folder: Path) -> None:
        from workbench.data.notes import read_notes

        path = folder / "work" / "birds" / "one"
        shutil.copytree(_small_run(), path)
        if name in CHECKED:  # else every change of it would be refused
            edit(path, "metrics.json", "computed_from", to={})
        (path / name).write_bytes(content)
        run = open_run(path)
        check_neighbors(run)
        for part in (
            run.projection,
            run.history,
            run.evolution(),
            run.thumbnail(0),
            run.selected_on,
        ):
            assert part is not NotImplemented
        read_notes(run)
        assert (path / name).read_bytes() == content, "the file was changed"
        turn = zlib.crc32(content) % 16
        if turn == 0:  # it takes far longer than reading
            evaluate_run(path, progress=False)
        elif turn == 1:
            _report(run, folder)

    return read


def _report(run: Run, folder: Path) -> None:
    """Write the report of a run with another one."""
    write_report([run, open_run(_small_run())], folder / "work")


def _small_run() -> Path:
    from retrieval.runs.thumbnails import write_thumbnails
    from workbench.data.notes import write_note

    def make(path: Path) -> None:
        write_small_run(path / "birds" / "one")
        write_thumbnails(path / "birds" / "one" / "thumbnails", ["/no.jpg"] * 20, progress=False)
        write_note(open_run(path / "birds" / "one"), 3, "ambiguous", "a note")
        (path / "birds" / "one" / "history.csv").write_text("step,loss\n1,2.5\n2,1.5\n")
        points = np.random.default_rng(0).standard_normal((2, 20, 5)).astype(np.float32)
        frame = pd.DataFrame(points[0], columns=PROJECTION_COLUMNS)
        frame.to_parquet(path / "birds" / "one" / "projection.parquet")
        arrays = {"steps": np.array([1, 2]), "points": points[..., :2]}
        np.savez(path / "birds" / "one" / "evolution.npz", **arrays)

    return _prepared("run", make) / "birds" / "one"


def in_run(name: str) -> st.SearchStrategy:
    """Return a strategy of changed contents of a file of a run."""
    edited = getattr(structures, f"edited_{name.rpartition('.')[2]}")

    def inputs() -> st.SearchStrategy:
        content = (_small_run() / name).read_bytes()
        return st.one_of(changed((content,)), edited(content), edited(content))

    return st.deferred(inputs)


def _address(content: bytes, folder: Path) -> None:
    """Ask the app's image routes for an address."""
    from urllib.parse import quote

    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    from workbench.data.images import ROUTES

    os.environ["RETRIEVAL_RUNS"] = str(_small_run().parents[1])
    client = TestClient(Starlette(routes=ROUTES), raise_server_exceptions=True)
    for kind in ("thumbnails", "pictures", "hover"):
        address = quote(content[:600], safe="/?=&%.")
        assert client.get(f"/{kind}/{address}").status_code < 500


def _sweep(path: Path) -> None:
    from retrieval.experiment.sweep import read_grid

    read_grid(path)


def _index(content: bytes, folder: Path) -> None:
    from retrieval.training.checkpoints import load_network

    (folder / "work").mkdir()
    (folder / "work" / "index.json").write_bytes(content)
    load_network(folder / "work", _network())


def _network() -> object:
    import keras

    return keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])


def embeddings(suffix: str, seeds: tuple[bytes, ...], *more: st.SearchStrategy) -> Reader:
    """Return the reader of one format of embeddings."""
    inputs = st.one_of(changed(seeds), *more)
    return Reader(f"embeddings {suffix}", inputs, in_file(f"x{suffix}", read_embeddings))


TABLE = b"label,path,role,id\na,1.jpg,query,1\nb,2.jpg,gallery,2\na,3.jpg,both,3\n"
ROLES = b"label,image_path,is_query,is_gallery\na,1.jpg,1,0\nb,2.jpg,0,1\na,3.jpg,1,1\n"
LIST = b"".join(b"%d,class %d/%d.png\n" % (c, c, n) for c in range(4) for n in range(3))
GRID = b"""base: {dataset: folder, steps: 2}
grid:
  loss: [npairs_loss, semi_hard_triplet]
  seed: [0, 1]
"""
NPY = saved(lambda b: np.save(b, MATRIX))
NPZ = tuple(saved(lambda b, s=s: s(b, emb=MATRIX)) for s in (np.savez, np.savez_compressed))
INDEX = json.dumps({"latest": 2, "best": 1, "best_value": 0.5}).encode()


def words(text: str) -> list[str]:
    """Return the parts of a text between spaces."""
    return text.split()


YAML = (
    *words("base: grid: - [ ] { } : seed loss &a *a 1e999 null ~ ' \" loss_options 0x10"),
    *(" ", "\n", "!!python/name:os.system ", "2020-01-01"),
)
CELLS = (
    *words('label path id role , " a 007 7 query both 1.jpg ; ../ /'),
    *("\n", "\r\n", "class 0/0.png", "class 1/1.png", "\t", "x" * 200, "\0"),
)
PATHS = (
    "a/1.jpg a/2.jpg b/1.jpg b/2.jpg c/1.jpg train/a/1.jpg train/a/2.jpg test/b/1.jpg test/b/2.jpg"
)
NAMES = (
    *(f"{name}\n" for name in words(PATHS)),
    *words("train/ test/ query/ gallery/ a/ b/ c/ 1.jpg 2.png 3.webp @eaDir/ .hidden/ .. é \\ :"),
    *("\n", " ", "\u202e"),
)
ADDRESSES = (
    *words("birds one / 0 1 19 20 .. %2e%2e %00 \\ ?row= ?row=-1 ² leave_one_out query_gallery"),
    *("birds/one/3", "birds/one/leave_one_out/?row=2", "9" * 400, "x" * 300),
)
FILES_OF_RUNS = (
    "config.yaml", "metrics.json", "items.parquet", "embeddings.npy", "neighbours.npz", "notes.csv",
    "history.csv", "projection.parquet", "evolution.npz", "thumbnails/offsets.npy",
)  # fmt: skip

READERS = {
    reader.name: reader
    for reader in (
        Reader(
            "items.csv",
            st.one_of(
                changed((TABLE,)),
                texts(CELLS, ENCODINGS),
                *[structures.edited_csv(table) for table in (TABLE, ROLES)],
            ),
            in_file("x.csv", read_items),
        ),
        Reader(
            "lists",
            st.one_of(
                changed((LIST,)),
                texts(CELLS, ENCODINGS),
                *[structures.edited_csv(table) for table in (LIST, b"label,path\n" + LIST)],
            ),
            _csv_list,
        ),
        Reader("folders", texts(NAMES, ("utf-8", "latin-1")), _folder),
        embeddings(".npy", (NPY,), structures.edited_npy(NPY)),
        embeddings(".npz", NPZ, structures.edited_npz(NPZ[0])),
        embeddings(".parquet", _parquets(), *map(structures.edited_parquet, _parquets())),
        embeddings(".h5", (_hdf5(),), structures.edited_hdf5(MATRIX)),
        embeddings(".pt", (_torch(),), structures.edited_torch(MATRIX)),
        *(Reader(f"run: {name}", in_run(name), run_file(name), share=1) for name in FILES_OF_RUNS),
        Reader(
            "archives",
            st.one_of(
                changed(_archives()),
                *map(structures.edited_zip, _archives()[:2]),
                structures.edited_tar(_archives()[2]),
            ),
            in_file("x.archive", _unpack),
        ),
        Reader(
            "images",
            st.one_of(changed(_images()), *map(structures.edited_image, _images())),
            _image,
        ),
        Reader("addresses", texts(ADDRESSES), _address),
        Reader(
            "sweep.yaml",
            st.one_of(changed((GRID,)), texts(YAML), structures.edited_yaml(GRID)),
            in_file("x.yaml", _sweep),
            True,
        ),
        Reader(
            "checkpoints/index.json",
            st.one_of(changed((INDEX,)), structures.edited_json(INDEX)),
            _index,
            True,
        ),
    )
}

"""Inputs for fuzzing that are valid files with one field changed: they get past the first check.

The content is parsed, edited and written again, so that checksums and lengths are right and only
the meaning is wrong: a huge count, another type, a missing key, NaN.
"""

import io
import json
import pickle
import struct
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import yaml
from hypothesis import strategies as st
from PIL import Image

NUMBERS = (
    0, 1, -1, 2, 3, 7, 255, 256, 65535, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63,
    10**30, 10**400, 0.5, -0.0, 1e-320, 1e308, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
TEXTS = (
    "", " ", "\0", "\n", "nan", "None", "-1", "1e400", "../../etc/passwd", "/etc/passwd", "é\u202e",
    "\ud800", "x" * 300, "x" * 70_000, "=1+1", "a/b", ".", "..", "2020-01-01", "007", "9" * 30,
    "cosine", "euclidean", "test", "query", "query_gallery",
)  # fmt: skip


def _deep(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


VALUES = st.one_of(
    st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.booleans(), st.none(), st.text(max_size=5),
    st.sampled_from(([], {}, [None], {"": 1}, [[1]], {"a": {"b": []}}, list(range(5000)))),
    st.just(200).map(_deep), st.integers(), st.floats(),
)  # fmt: skip


def _places(value: Any, path: tuple = ()) -> list[tuple]:
    """Return the paths of all entries of nested dicts and lists."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, part in parts:
        found.append((*path, key))
        if isinstance(part, dict | list):
            found += _places(part, (*path, key))
    return found


@st.composite
def edited(draw: st.DrawFn, value: Any) -> Any:
    """Draw nested dicts and lists with one or two entries set, removed, added or renamed."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.sampled_from((1, 1, 1, 2)))):
        places = _places(value)
        if not places:
            return draw(VALUES)
        *path, key = draw(st.sampled_from(places))
        part = value
        for step in path:
            part = part[step]
        kind = draw(st.sampled_from(("set", "set", "set", "remove", "add", "rename", "swap")))
        if kind == "set":
            part[key] = draw(VALUES)
        elif kind == "remove":
            del part[key]
        elif kind == "swap":  # with the value of another place
            *path, other = draw(st.sampled_from(_places(value)))
            source = value
            for step in path:
                source = source[step]
            part[key] = json.loads(json.dumps(source[other]))
        elif isinstance(part, list):
            part.insert(key, draw(VALUES))
        else:
            name = draw(st.sampled_from(("", "x", "schema", "metrics", "latest", str(key) + " ")))
            part[name] = part.pop(key) if kind == "rename" else draw(VALUES)
    return value


def edited_json(content: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy of JSON files like one, with an entry or two changed."""
    texts = edited(json.loads(content)).map(json.dumps)
    return texts.map(lambda text: text.encode(errors="surrogatepass"))


def edited_yaml(content: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy of YAML files like one, with an entry or two changed."""
    before, _, after = content.rpartition(b"...\n")
    first = content.split(b"\n")[0] + b"\n" if before.startswith(b"schema") else b""

    def written(value: Any) -> bytes:
        if isinstance(value, dict) and first and value.get("schema") == 1:
            value = {k: v for k, v in value.items() if k != "schema"}
            return first + yaml.safe_dump(value, sort_keys=False).encode() + b"...\n" + after
        return yaml.safe_dump(value, allow_unicode=True).encode(errors="surrogatepass")

    return edited(yaml.safe_load(content)).map(written)


CELLS = st.one_of(
    st.sampled_from(TEXTS), st.sampled_from(NUMBERS).map(str), st.text(max_size=8),
    st.sampled_from(('"', '"a', "a,b", '"a\nb"', "both", "gallery", "1.jpg", "true")),
)  # fmt: skip


@st.composite
def edited_csv(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a CSV file like one, with a cell, a column, a row, or how it is written changed."""
    rows = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(draw(st.integers(1, 3))):
        row = draw(st.integers(0, len(rows) - 1))
        column = draw(st.integers(0, max(0, len(rows[row]) - 1)))
        kind = draw(
            st.sampled_from(("cell", "cell", "cell", "column", "row", "wide", "short", "swap"))
        )
        if kind == "cell" and rows[row]:
            rows[row][column] = draw(CELLS)
        elif kind == "column":
            value = draw(CELLS)
            rows = [[*r[:column], value, *r[column + 1 :]] for r in rows]
        elif kind == "row":
            rows[row:row] = [list(rows[row])] * draw(st.sampled_from((1, 2, 400)))
        elif kind == "wide":
            rows[row] += [draw(CELLS)] * draw(st.sampled_from((1, 3, 3000)))
        elif kind == "short":
            del rows[row][column:]
        else:
            rows[row] = rows[row][::-1]
    between = draw(st.sampled_from((",", ",", ",", ";", "\t", ", ")))
    end = draw(st.sampled_from(("\n", "\n", "\r\n", "\r")))
    encoding = draw(st.sampled_from(("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252")))
    text = end.join(between.join(row) for row in rows) + draw(st.sampled_from((end, "", end * 3)))
    return text.encode(encoding, "replace")


DTYPES = (
    "<f4", "<f4", "<f2", "<f8", ">f4", "|b1", "<i1", "<i8", "<u8", "<c8", "|S3", "<U3", "<M8[s]",
    "<m8[D]", "|V4", "<f16", "|O",
)  # fmt: skip


@st.composite
def edited_array(draw: st.DrawFn, array: np.ndarray) -> np.ndarray:
    """Draw an array like one, of another shape or type or with other numbers in it."""
    kind = draw(st.sampled_from(("values", "values", "dtype", "shape", "all", "cut", "repeat")))
    array = np.array(array)
    if kind == "cut":
        return array[: draw(st.integers(0, len(array)))] if array.ndim else array
    if kind == "repeat":
        return np.concatenate([np.atleast_1d(array)] * 2, axis=draw(st.just(0)))
    if kind == "shape":
        shapes = ((-1,), (1, -1), (-1, 1), (1, 1, -1), (0,), (0, 4), (6, 0), ())
        shape = draw(st.sampled_from(shapes))
        if 0 in shape or shape == ():
            return np.zeros(shape, array.dtype)
        return array.reshape(shape)
    if kind == "dtype":
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            try:
                return array.astype(draw(st.sampled_from(DTYPES)))
            except (TypeError, ValueError):
                return array
    whole = array.dtype.kind in "iu"
    numbers = (0, 1, -1, 19, 20, 2**31 - 1, -(2**31)) if whole else NUMBERS[:10] + NUMBERS[17:]
    value = draw(st.sampled_from(numbers))
    with np.errstate(all="ignore"):
        value = np.float64(value).astype(array.dtype) if array.dtype.kind in "fiu" else value
    flat = array.reshape(-1)
    try:
        if kind == "all":
            flat[:] = value
        elif len(flat):
            flat[draw(st.lists(st.integers(0, len(flat) - 1), min_size=1, max_size=4))] = value
    except (TypeError, ValueError):
        return array
    return array


@st.composite
def _npy_header(draw: st.DrawFn) -> str:
    """Draw the header of an array file, which may promise what is not there."""
    huge = ((2**40, 4), (2**62, 4), (2**63, 2), (10**9,), (6, 2**61), (-1, 4), (6, -4), (6, 4.5))
    usual = ((6, 4), (4, 6), (24,), (6,), (6, 4, 1), (), (7, 4), (6, 5), (True, 24))
    shape = draw(st.sampled_from(huge + usual))
    dtype = draw(st.sampled_from((*DTYPES, "O", "<f3", "", "<f4,<i4", "x" * 99)))
    parts = {"descr": dtype, "fortran_order": draw(st.sampled_from((False, True, 1, None)))}
    parts["shape"] = shape
    if draw(st.integers(0, 9)) == 0:
        parts.pop(draw(st.sampled_from(sorted(parts))))
    if draw(st.integers(0, 9)) == 0:
        parts["more"] = draw(st.sampled_from((1, [[]], "x")))
    return repr(parts)


@st.composite
def _npy_with_header(draw: st.DrawFn, array: np.ndarray) -> bytes:
    text = draw(_npy_header()).encode()
    version = draw(st.sampled_from((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\4\0", b"\0\0")))
    size = len(text) + draw(st.sampled_from((1, 1, 1, 0, 60_000)))
    length = struct.pack("<H" if version == b"\1\0" else "<I", min(size, 65535))
    return b"\x93NUMPY" + version + length + text + b"\n" + array.tobytes()


def as_npy(array: np.ndarray) -> bytes:
    """Return an array as the content of a file; one of objects with a harmless pickle."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def edited_npy(content: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy of array files like one: other numbers, or another header."""
    array = np.load(io.BytesIO(content))
    return st.one_of(edited_array(array).map(as_npy), _npy_with_header(array))


def _zip_of(members: dict[str, bytes], method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@st.composite
def edited_npz(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw an archive of arrays like one, with one array changed, missing or renamed."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = draw(st.sampled_from(sorted(members)))
    kind = draw(
        st.sampled_from(("array", "array", "array", "missing", "rename", "swap", "copy", "junk"))
    )
    if kind == "array":
        members[name] = draw(edited_npy(members[name]))
    elif kind == "missing":
        del members[name]
    elif kind == "rename":
        members[draw(st.sampled_from(("x.npy", "x", "../x.npy", "é.npy")))] = members.pop(name)
    elif kind == "swap":
        members[name] = members[draw(st.sampled_from(sorted(members)))]
    elif kind == "copy":
        members["copy.npy"] = members[name]
    else:
        members[name] = draw(st.binary(max_size=40))
    method = draw(st.sampled_from((0, 0, 0, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)))
    data = _zip_of(members, method)
    return draw(edited_zip(data)) if draw(st.integers(0, 4)) == 0 else data


COLUMNS = (
    lambda n: [None] * n,
    lambda n: [float("nan")] * n,
    lambda n: [1e308, -1e308] * (n // 2) + [0.0] * (n % 2),
    lambda n: [2**63 - 1 - i for i in range(n)],
    lambda n: np.arange(n, dtype=np.uint64) + np.uint64(2**63),
    lambda n: ["x" * 5000] * n,
    lambda n: [str(i) for i in range(n)],
    lambda n: [b"\xff"] * n,
    lambda n: [[0.5] * (i % 3) for i in range(n)],
    lambda n: [[0.5] * 4] * n,
    lambda n: [{"a": i} for i in range(n)],
    lambda n: pd.date_range("2020-01-01", periods=n),
    lambda n: pd.Categorical(["a", "b"] * (n // 2) + ["a"] * (n % 2)),
    lambda n: np.arange(n) % 2 == 0,
    lambda n: np.arange(n) - 1,
    lambda n: ["../x.jpg"] * n,
    lambda n: pd.array([None, *range(n - 1)], dtype="Int64") if n else [],
    lambda n: np.arange(n).astype(np.float16),
)


@st.composite
def edited_parquet(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a Parquet file like one, with a column or its rows changed."""
    frame = pd.read_parquet(io.BytesIO(content))
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(list(frame.columns))) if len(frame.columns) else "a"
        kind = draw(
            st.sampled_from(("column", "column", "column", "drop", "rows", "twice", "name", "add"))
        )
        if kind == "column":
            frame[name] = draw(st.sampled_from(COLUMNS))(len(frame))
        elif kind == "drop":
            frame = frame.drop(columns=name, errors="ignore")
        elif kind == "rows":
            frame = frame.iloc[: draw(st.sampled_from((0, 1, 2, 5)))]
        elif kind == "twice":
            frame = pd.concat([frame, frame]) if len(frame.columns) else frame
        elif kind == "name":
            names = ("", "d00", "d1", "d9", "label", "target", "path", "é", "embedding", "x" * 999)
            new = draw(st.sampled_from(names))
            if new not in frame.columns:
                frame = frame.rename(columns={name: new})
        else:
            frame = frame.assign(more=draw(st.sampled_from(COLUMNS))(len(frame)))
    buffer = io.BytesIO()
    try:
        frame.to_parquet(buffer, index=draw(st.sampled_from((None, False, True))))
    except (ValueError, TypeError, OSError):  # e.g. a column of several kinds
        return content
    return buffer.getvalue()


def _hdf5_edits(array: np.ndarray) -> tuple[Callable[[h5py.File], object], ...]:
    def nested(file: h5py.File) -> None:
        group: h5py.Group = file
        for _ in range(60):
            group = group.create_group("g")
        group["emb"] = array

    def many(file: h5py.File) -> None:
        for i in range(300):
            file[f"e{i}"] = array

    def loop(file: h5py.File) -> None:
        group = file.create_group("g")
        group["g"] = group
        group["emb"] = array

    def set_link(link: object) -> Callable[[h5py.File], None]:
        return lambda file: file.__setitem__("emb", link)

    def sparse(shape: tuple[int, ...]) -> Callable[[h5py.File], object]:
        return lambda file: file.create_dataset(
            "emb", shape, "f4", chunks=tuple(min(64, n) for n in shape)
        )

    words = np.array([b"a", b"bc"] * 3)
    compound = np.zeros(6, [("a", "f4"), ("b", "i4")])
    return (
        nested, many, loop,
        set_link(h5py.SoftLink("/emb")), set_link(h5py.SoftLink("/none")),
        set_link(h5py.ExternalLink("/etc/passwd", "/x")), set_link(h5py.ExternalLink(".", "/")),
        *(sparse(shape) for shape in ((10**12, 4), (10**6, 10**6), (2**40,), (6, 2**40))),
        *(lambda f, d=d: f.create_dataset("emb", data=d) for d in (words, compound, np.float32(1))),
        lambda f: f.create_dataset("emb", (6, 4), h5py.vlen_dtype(np.float32)),
        lambda f: f.create_dataset("emb", (6,), h5py.string_dtype()),
        lambda f: f.create_dataset("emb", dtype="f4", shape=None),
        lambda f: f.create_dataset("emb", (6,), h5py.ref_dtype),
        lambda f: f.create_dataset("emb", data=array, compression="gzip", fletcher32=True),
        lambda f: f.create_dataset("emb", data=array).attrs.update(x=1),
        lambda f: f.create_dataset("emb", data=array.T, maxshape=(None, None)),
        lambda f: None,
    )  # fmt: skip


@st.composite
def edited_hdf5(draw: st.DrawFn, array: np.ndarray) -> bytes:
    """Draw an HDF5 file of embeddings: other arrays, or other kinds of data sets and links."""
    edits = _hdf5_edits(array)
    other = draw(st.one_of(st.none(), edited_array(array)))
    edit = draw(st.sampled_from(edits))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.h5")
        with h5py.File(path, "w") as file:
            try:
                if other is None:
                    edit(file)
                else:
                    file["emb"] = other
            except (TypeError, ValueError, OSError):  # what HDF5 does not know
                pass
        return path.read_bytes()


@st.composite
def edited_torch(draw: st.DrawFn, array: np.ndarray) -> bytes:
    """Draw what `torch.save` writes for a tensor, with its sizes, offset or storage changed."""
    rows, columns = array.shape
    number = st.sampled_from((0, 1, -1, rows, columns, 255, 65535, 2**31 - 1, 2**40, 2**62))
    size, stride = [rows, columns], [columns, 1]
    offset, count, key, kind = 0, array.size, "0", "FloatStorage"
    data = array.tobytes()
    name: Any = "embeddings"
    for _ in range(draw(st.integers(1, 2))):
        what = draw(
            st.sampled_from(("size", "stride", "offset", "count", "key", "kind", "data", "name"))
        )
        if what == "size":
            size[draw(st.integers(0, 1))] = draw(number)
        elif what == "stride":
            stride[draw(st.integers(0, 1))] = draw(number)
        elif what == "offset":
            offset = draw(number)
        elif what == "count":
            count = draw(number)
        elif what == "key":
            key = draw(st.sampled_from(("1", "", "../0", "x" * 300)))
        elif what == "kind":
            kinds = ("HalfStorage", "DoubleStorage", "LongStorage", "BoolStorage", "XStorage")
            kind = draw(st.sampled_from((*kinds, "BFloat16Storage", "ComplexFloatStorage")))
        elif what == "data":
            data = draw(st.sampled_from((b"", data[:-1], data * 2, data[:7])))
        else:
            name = draw(st.sampled_from((1, None, "", (1, 2), b"x")))

    def put(value: Any) -> bytes:
        return pickle.dumps(value, protocol=2)[2:-1]

    pickled = (
        b"\x80\x02}" + put(name) + b"ctorch._utils\n_rebuild_tensor_v2\n((" + put("storage")
        + f"ctorch\n{kind}\n".encode() + put(key) + put("cpu") + put(count) + b"tQ" + put(offset)
        + put(tuple(size)) + put(tuple(stride)) + b"\x89ccollections\nOrderedDict\n)Rt"
        + draw(st.sampled_from((b"Rs.", b"Rs.", b"Rs.", b"R.", b"s.", b"Rs")))
    )  # fmt: skip
    members = {"archive/data.pkl": pickled, "archive/data/0": data, "archive/version": b"3\n"}
    return _zip_of(members, zipfile.ZIP_STORED)


# Signature, and the places and sizes of the fields after it.
ZIP_FIELDS = {
    b"PK\3\4": ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    b"PK\1\2": (
        *((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 4), (24, 4), (28, 2)),
        *((30, 2), (32, 2), (34, 2), (38, 4), (42, 4)),
    ),
    b"PK\5\6": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
}
FIELD_VALUES = (0, 1, 2, 8, 12, 14, 20, 45, 63, 93, 97, 99, 0x41, 0x800, 0x2000, 0xFFFF, 2**31)


@st.composite
def edited_zip(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a zip file like one, with one or two fields of its headers changed."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 2))):
        signature = draw(st.sampled_from(sorted(ZIP_FIELDS)))
        found = [i for i in range(len(data) - 3) if data[i : i + 4] == signature]
        if not found:
            continue
        at, size = draw(st.sampled_from(ZIP_FIELDS[signature]))
        at += draw(st.sampled_from(found))
        value = draw(st.one_of(st.sampled_from(FIELD_VALUES), st.just(2**32 - 1)))
        data[at : at + size] = (value % 256**size).to_bytes(size, "little")
    return bytes(data)


@st.composite
def edited_tar(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a tar file like one, with a field of a header changed and its checksum right."""
    data = bytearray(content)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        starts = [member.offset for member in archive]
    start = draw(st.sampled_from(starts))
    # Name, mode, owner, size, time, type, target of a link, magic, device, prefix.
    fields = ((0, 100), (100, 8), (108, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8),
              (329, 8), (345, 155))  # fmt: skip
    at, size = draw(st.sampled_from(fields))
    values = (
        b"", b"\0", b"\xff", b"777777777777", b"-1", b"\x80" + b"\xff" * 10, b"xyz", b"9", b"../x",
        b"/x", b"a/1.txt", b"1", b"2", b"3", b"5", b"6", b"L", b"K", b"x", b"g", b"S", b"D",
        b"\xe9\n",
    )  # fmt: skip
    value = draw(st.sampled_from(values))[:size]
    data[start + at : start + at + size] = value.ljust(size, b"\0")
    data[start + 148 : start + 156] = b" " * 8
    total = sum(data[start : start + 512])
    data[start + 148 : start + 156] = f"{total:06o}\0 ".encode()
    return bytes(data)


# Where the headers of images hold numbers: place and size.
IMAGE_FIELDS = {
    "BMP": ((2, 4), (10, 4), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2), (30, 4), (46, 4)),
    "GIF": ((6, 2), (8, 2), (10, 1), (11, 1)),
    "WEBP": ((4, 4), (16, 4), (26, 2), (28, 2)),
    "TIFF": tuple((at, 2) for at in range(4, 160, 2)),
}
SIDES = (0, 1, 2, 23, 25, 255, 32767, 65535, 100_000, 2**31 - 1, 2**31, 2**32 - 1)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@st.composite
def _edited_png(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a PNG with a field changed or a chunk added, and right checksums."""
    chunks, at = [], 8
    while at < len(content):
        length = struct.unpack(">I", content[at : at + 4])[0]
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    kind = draw(st.sampled_from(("side", "header", "chunk", "drop", "data")))
    if kind in ("side", "header"):
        header = bytearray(chunks[0][1])
        if kind == "side":
            place = draw(st.sampled_from((0, 4)))
            header[place : place + 4] = struct.pack(">I", draw(st.sampled_from(SIDES)))
        else:
            header[draw(st.integers(8, 12))] = draw(st.sampled_from((0, 1, 2, 3, 4, 6, 8, 16, 255)))
        chunks[0] = (b"IHDR", bytes(header))
    elif kind == "chunk":
        names = (b"tRNS", b"PLTE", b"gAMA", b"iCCP", b"zTXt", b"iTXt", b"eXIf", b"acTL", b"IHDR")
        data = draw(
            st.sampled_from(
                (b"", b"\0", b"a\0\0" + zlib.compress(b"x" * 10**7), b"\xff" * 999, b"a\0\0\0\0\0x")
            )
        )
        chunks.insert(draw(st.integers(0, len(chunks))), (draw(st.sampled_from(names)), data))
    elif kind == "drop":
        chunks.pop(draw(st.integers(0, len(chunks) - 1)))
    else:
        pixels = draw(st.sampled_from((b"", b"\0" * 9, b"\7" * 1752, b"\0" * 10**6)))
        chunks[1] = (b"IDAT", zlib.compress(pixels))
    return content[:8] + b"".join(_chunk(*chunk) for chunk in chunks)


@st.composite
def _edited_jpeg(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a JPEG with a field of its frame, scan or tables changed."""
    data = bytearray(content)
    markers = [
        i for i in range(len(data) - 1) if data[i] == 0xFF and data[i + 1] in (0xC0, 0xC4, 0xDA,
                                                                            0xDB, 0xE0)
    ]  # fmt: skip
    at = draw(st.sampled_from(markers))
    place = at + draw(st.integers(1, 12))
    value = draw(st.sampled_from((b"\0", b"\1", b"\xff", b"\0\0", b"\xff\xff", b"\x7f\xff", b"\4")))
    data[place : place + len(value)] = value
    return bytes(data)


@st.composite
def _edited_header(draw: st.DrawFn, content: bytes, fields: tuple) -> bytes:
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 2))):
        at, size = draw(st.sampled_from(fields))
        value = draw(st.sampled_from(SIDES)) % 256**size
        data[at : at + size] = value.to_bytes(size, "little")
    return bytes(data)


def edited_image(content: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy of images like one, with a field of the header changed."""
    kind = Image.open(io.BytesIO(content)).format
    if kind == "PNG":
        return _edited_png(content)
    if kind == "JPEG":
        return _edited_jpeg(content)
    return _edited_header(content, IMAGE_FIELDS[kind])

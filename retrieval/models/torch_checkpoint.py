"""Read a PyTorch ``.pth`` state dict into NumPy arrays, without torch or running pickled code.

Both formats of ``torch.save`` are read: the zip archive (PyTorch 1.6 and later) and the older
stream of pickles. A pickle can name any function to be called while it loads. Here only the few
names that a state dict needs are known, and each of them is replaced by a function that merely
records its arguments. Any other name is refused before it runs.
"""

import collections
import io
import math
import os
import pickle
import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from retrieval.errors import UserError

# torch/serialization.py: the integer that starts the older format.
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}

PUTS = ("PUT", "BINPUT", "LONG_BINPUT")  # operations that name an index of the memo


@dataclass
class _Tensor:
    """A tensor as the pickle describes it. Its storage is read later."""

    storage: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_checkpoint(path: Path | str) -> dict[str, np.ndarray]:
    """Read the tensors of a state dict written by ``torch.save``.

    Args:
        path: A ``.pth`` or ``.pt`` file that holds a state dict, or a dict that has one under
            ``"state_dict"``.

    Returns:
        Name of the parameter -> array, in the file's order and with torch's axes (convolutions
        OIHW).

    Raises:
        UserError: The file is missing, damaged or not a state dict, or its pickle names a function
            that a state dict does not need.
    """
    content = _load(Path(path), "state dict", "torch.save(model.state_dict(), path)")
    if isinstance(content, dict) and "state_dict" in content:
        content = content["state_dict"]
    try:
        return _check(content)
    except ValueError as error:
        raise UserError(
            f"{path}: not a readable PyTorch state dict ({error}); save one with "
            "torch.save(model.state_dict(), path)"
        ) from None


def read_torch_tensors(path: Path | str) -> dict[str, np.ndarray]:
    """Read a tensor, or a dict with tensors, written by ``torch.save``.

    Args:
        path: A ``.pt`` or ``.pth`` file.

    Returns:
        Name -> array. A single tensor is called ``tensor``; entries that are not tensors are
        skipped.

    Raises:
        UserError: The file is missing, damaged or without a tensor, or its pickle names a function
            that tensors do not need.
    """
    content = _load(Path(path), "tensor file", "torch.save(tensor, path)")
    content = content if isinstance(content, dict) else {"tensor": content}
    tensors = {str(k): v for k, v in content.items() if isinstance(v, np.ndarray)}
    if not tensors:
        raise UserError(f"{path}: holds no tensor; save one with torch.save(tensor, path)")
    return tensors


def _load(path: Path, what: str, how: str) -> object:
    try:
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot read the weights ({error.strerror or error})") from None
    except Exception as error:  # A damaged pickle may raise nearly anything.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path}: not a readable PyTorch {what} ({reason}); save one with {how}"
        ) from None


def _check(content: object) -> dict[str, np.ndarray]:
    if not isinstance(content, dict) or not content:
        raise ValueError("it holds no dict of tensors")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise ValueError(f"entry {name!r} is not a tensor")
    return dict(content)


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows only the names a state dict needs."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file, encoding="utf-8")
        self.file, self.path = file, path
        self.storages: dict[str, str] = {}  # key -> dtype of each storage the pickle refers to
        # Created for each file, so that a pickle that modifies a replacement affects no other file.
        self.names = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda *args: _rebuild(*args),
            ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
        }

    def load(self) -> Any:
        """Load the next pickle of the file, after a check of its memo."""
        start = self.file.tell()
        _check_memo(self.file)
        self.file.seek(start)
        return super().load()

    def find_class(self, module: str, name: str) -> object:
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) not in self.names:
            raise UserError(
                f"{self.path}: refused, its pickle calls {module}.{name}, which a "
                "state dict does not need; save plain tensors with "
                "torch.save(model.state_dict(), path)"
            )
        return self.names[module, name]

    def persistent_load(self, pid: tuple) -> tuple[str, str]:
        kind, dtype, key = pid[:3]
        view = pid[5] if len(pid) > 5 else None
        if kind != "storage" or dtype not in STORAGES.values() or view is not None:
            raise ValueError("unknown kind of storage")
        self.storages[str(key)] = dtype
        return str(key), dtype


def _check_memo(file: IO[bytes]) -> None:
    """Refuse a pickle that puts an object at an index of the memo that none of its size needs.

    The unpickler makes a memo of twice the index: one damaged byte can ask for 32 GB.
    """
    start = file.tell()
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name in PUTS and not 0 <= int(argument or 0) <= file.tell() - start:
            raise ValueError(f"index {argument} in its memo")


def _rebuild(
    storage: tuple[str, str], offset: int, shape: tuple, strides: tuple, *_: object
) -> _Tensor:
    return _Tensor(*storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _materialize(value: object, storages: dict[str, np.ndarray]) -> object:
    """Replace each described tensor by an array. Check that it lies within its storage."""
    if isinstance(value, dict):
        return {key: _materialize(item, storages) for key, item in value.items()}
    if not isinstance(value, _Tensor):
        return value
    data = storages[value.storage].view(value.dtype)
    if min((value.offset, *value.shape, *value.strides)) < 0:
        raise ValueError("negative size")
    last = value.offset + sum(
        (n - 1) * step for n, step in zip(value.shape, value.strides, strict=True)
    )
    if math.prod(value.shape) > len(data) or (0 not in value.shape and last >= len(data)):
        raise ValueError("a tensor reaches beyond its storage")
    steps = [step * data.itemsize for step in value.strides]
    window = np.lib.stride_tricks.as_strided(data[value.offset :], value.shape, steps)
    return window.copy()


def _read_zip(path: Path) -> object:
    with zipfile.ZipFile(path) as archive:
        names = {name.partition("/")[2]: name for name in archive.namelist()}
        if "byteorder" in names and archive.read(names["byteorder"]) != b"little":
            raise ValueError("big-endian file")
        content = _Unpickler(io.BytesIO(archive.read(names["data.pkl"])), path).load()
        storages = {
            name.partition("/")[2]: np.frombuffer(archive.read(full), np.uint8)
            for name, full in names.items()
            if name.startswith("data/")
        }
    return _materialize(content, storages)


def _read_legacy(path: Path) -> object:
    with open(path, "rb") as file:
        if _Unpickler(file, path).load() != LEGACY_MAGIC:
            raise ValueError("unknown file type")
        _Unpickler(file, path).load()  # the format's version
        if not _Unpickler(file, path).load()["little_endian"]:
            raise ValueError("big-endian file")
        described = _Unpickler(file, path)
        content = described.load()
        keys = _Unpickler(file, path).load()
        storages = {key: _read_storage(file, described.storages[key]) for key in keys}
    return _materialize(content, storages)


def _read_storage(file: io.BufferedReader, dtype: str) -> np.ndarray:
    header = file.read(8)
    size = int.from_bytes(header, "little") * np.dtype(dtype).itemsize
    if len(header) < 8 or size > os.fstat(file.fileno()).st_size - file.tell():
        raise ValueError("the file ends early")
    return np.frombuffer(file.read(size), np.uint8)

"""Read the arrays of an ``.npz`` file as memory maps, so that large runs cost little memory.

``np.load(..., mmap_mode="r")`` ignores ``mmap_mode`` for ``.npz`` files and reads whole arrays.
"""

import struct
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

LOCAL_HEADER = struct.Struct("<4s5H3L2H")
HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def map_npz(path: Path) -> dict[str, np.ndarray]:
    """Open every array of an uncompressed ``.npz`` file (``np.savez``) without reading it.

    Args:
        path: The file. It may be replaced while it is mapped, but not changed in place.

    Returns:
        Name -> read-only array: a memory map, except for compressed members, which are read.

    Raises:
        ValueError: A member is not an array.
        zipfile.BadZipFile: The file is damaged.
    """
    arrays = {}
    with zipfile.ZipFile(path) as archive, Path(path).open("rb") as file:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if member.compress_type == zipfile.ZIP_STORED:
                arrays[name] = _map_member(path, file, member)
            else:
                with archive.open(member) as stream:
                    arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
                arrays[name].setflags(write=False)
    return arrays


def _map_member(path: Path, file: IO[bytes], member: zipfile.ZipInfo) -> np.ndarray:
    # The local header repeats the name and has extra fields of its own length.
    file.seek(member.header_offset)
    fields = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    file.seek(member.header_offset + LOCAL_HEADER.size + fields[-2] + fields[-1])
    version = np.lib.format.read_magic(file)
    if version not in HEADER_READERS:
        raise ValueError(f"{path}: {member.filename} has an unknown array version {version}")
    shape, is_fortran, dtype = HEADER_READERS[version](file)
    if dtype.hasobject:
        raise ValueError(f"{path}: {member.filename} holds Python objects")
    if 0 in shape:  # an empty range cannot be mapped
        return np.zeros(shape, dtype)
    return _memory_map(path, dtype, file.tell(), shape, "F" if is_fortran else "C")


def _memory_map(
    path: Path, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...], order: Any
) -> np.ndarray:
    return np.memmap(path, dtype, "r", offset=offset, shape=shape, order=order)

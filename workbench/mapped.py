"""Arrays of an ``.npz`` file as memory maps, so that large runs cost little memory."""

import struct
import zipfile
from pathlib import Path

import numpy as np

LOCAL_HEADER = struct.Struct("<4s5H3L2H")


def map_npz(path: Path) -> dict[str, np.ndarray]:
    """Open every array of an uncompressed ``.npz`` file (``np.savez``) without reading it.

    Args:
        path: The file. It may be replaced while it is mapped, but not changed in place.

    Returns:
        Name -> read-only array; a memory map, except for compressed members, which are read.

    Raises:
        ValueError: A member is no array.
        zipfile.BadZipFile: The file is damaged.
    """
    arrays = {}
    with zipfile.ZipFile(path) as archive, Path(path).open("rb") as file:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if member.compress_type != zipfile.ZIP_STORED:
                with archive.open(member) as stream:
                    arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
                arrays[name].setflags(write=False)
                continue
            arrays[name] = _map_member(path, file, member)
    return arrays


def _map_member(path: Path, file, member: zipfile.ZipInfo) -> np.ndarray:
    # The local header repeats the name and has extra fields of its own length.
    file.seek(member.header_offset)
    fields = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    file.seek(member.header_offset + LOCAL_HEADER.size + fields[-2] + fields[-1])
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"{path}: {member.filename} has an unknown array version {version}")
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError(f"{path}: {member.filename} holds Python objects")
    if 0 in shape:
        return np.zeros(shape, dtype)
    order = "F" if fortran else "C"
    return np.memmap(path, dtype, "r", offset=file.tell(), shape=shape, order=order)

"""Unpack zip and tar archives safely: check them first, write aside, rename at the end."""

import contextlib
import gzip
import json
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm.auto import tqdm

from retrieval.errors import UserError
from retrieval.files import atomic_folder, check_space

CHUNK = 1 << 20
# Flags of a zip member: encrypted, strongly encrypted, with an encrypted list of names; a patch.
ENCRYPTED, PATCH = 0x1 | 0x40 | 0x2000, 0x20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
# What the libraries raise for archives that are damaged or made to confuse them.
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    ArithmeticError,
    MemoryError,
)


class ArchiveError(UserError):
    """The archive itself is wrong: unpacking it again cannot help."""


@dataclass(frozen=True)
class Member:
    """One file of an archive.

    Attributes:
        name: POSIX path in the archive.
        size: Size in bytes.
        crc: CRC32 of its content; None in tar archives, which store none.
        open: Opens it for reading.
    """

    name: str
    size: int
    crc: int | None
    open: Callable[[], IO[bytes]]


Manifest = dict[str, tuple[int, int]]  # member name -> (size, CRC32)


class _StrictTarInfo(tarfile.TarInfo):
    """A member's header. A damaged one is an error, where `tarfile` takes it for the end."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> "_StrictTarInfo":
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the proper end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"header of a member: {error}") from error


def read_manifest(path: Path) -> Manifest:
    """Read a manifest from gzipped JSON ``{name: [size, crc32]}``."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {name: (size, crc) for name, (size, crc) in json.load(file).items()}


def unpack(
    archive: Path,
    target: Path,
    *,
    manifest: Manifest | None = None,
    strip: int = 0,
    keep: Callable[[str], bool] = lambda name: True,
    verify: Callable[[Path], object] | None = None,
    most: int | None = None,
    record: Callable[[Path, Manifest], object] | None = None,
    progress: bool = True,
) -> None:
    """Unpack an archive into a new folder, which appears only when everything is right.

    Args:
        archive: A zip file, or a tar file, compressed or not.
        target: The folder to create. It must not exist, or be empty.
        manifest: Names (after ``strip``), sizes and CRC32s that the unpacked members must have,
            no more and no fewer. Defaults to None: they are not compared.
        strip: Number of leading folders to drop from the members' names. Defaults to 0.
        keep: Tells by its name (after ``strip``) whether to unpack a member. Defaults to all of
            them.
        verify: Called with the unpacked folder before it is renamed; raises UserError to refuse it.
            Defaults to None: the folder is not checked.
        most: Largest size of all members together, in bytes. Defaults to None: what fits on the
            disk.
        record: Called with the unpacked folder, and with the sizes and CRC32s of its files, before
            ``verify``. Defaults to None, no call.
        progress: Whether to show a progress bar. Defaults to True.

    Raises:
        ArchiveError: The file is not an archive or damaged, a member's name is unsafe, or the
            content differs from the manifest or is refused by ``verify``.
        UserError: The disk is full, or ``target`` is in use.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists and is not empty: move it away first")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _open_archive(archive, most) as everything:
        members = {m.name: m for m in _stripped(archive, everything, strip) if keep(m.name)}
        if manifest is not None:
            compare(archive, members, manifest)
        check_space(target.parent, sum(m.size for m in members.values()))
        try:
            with atomic_folder(target) as folder:
                written: Manifest = {}
                for member in tqdm(
                    members.values(), "unpacking", unit="file", disable=not progress
                ):
                    written[member.name] = _write(archive, member, folder, manifest)
                if record is not None:
                    record(folder, written)
                if verify is not None:
                    _verify(archive, verify, folder)
        except OSError as error:
            raise UserError(f"cannot unpack {archive} to {target}: {error}") from error


def _verify(archive: Path, verify: Callable[[Path], object], folder: Path) -> None:
    try:
        verify(folder)
    except UserError as error:
        text = str(error).replace(f"{folder}/", "").replace(str(folder), "it")
        raise ArchiveError(f"{archive} is not the archive expected: {text}") from error


def compare(archive: Path, members: dict[str, Member], manifest: Manifest) -> None:
    """Compare the members of an archive with a manifest, before anything is written.

    Args:
        archive: The archive, for the message.
        members: Its members by name.
        manifest: The names, sizes and CRC32s that the members must have.

    Raises:
        ArchiveError: Counts the missing, unexpected and different members and names the first.
    """
    missing = sorted(set(manifest) - set(members))
    extra = sorted(set(members) - set(manifest))
    different = [
        name
        for name, (size, crc) in manifest.items()
        if name in members and (members[name].size != size or members[name].crc not in (None, crc))
    ]
    faults = (("missing", missing), ("unexpected", extra), ("different", different))
    found = [f"{len(names):,} {what} (first: {names[0]})" for what, names in faults if names]
    if found:
        raise ArchiveError(f"{archive} is not the archive expected: {', '.join(found)}")


def safe_name(archive: Path, name: str) -> str:
    """Return the name of a member if it stays inside the folder that it is unpacked to.

    Args:
        archive: The archive, for the message.
        name: The member's name.

    Returns:
        The name, without redundant parts.

    Raises:
        ArchiveError: The name is absolute, or contains a drive, a backslash, ``..`` or control
            characters.
    """
    path = PurePosixPath(name)
    if any(ord(letter) < 32 for letter in name):
        raise ArchiveError(f"{archive}: member {name!r} has control characters in its name")
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name.split("/")[0]:
        raise ArchiveError(
            f"{archive}: member {name!r} points outside its folder; nothing was unpacked"
        )
    return str(path)


def _stripped(archive: Path, members: Iterable[Member], strip: int) -> Iterator[Member]:
    for member in members:
        parts = PurePosixPath(safe_name(archive, member.name)).parts[strip:]
        if parts:
            yield Member("/".join(parts), member.size, member.crc, member.open)


def _write(
    archive: Path, member: Member, folder: Path, manifest: Manifest | None
) -> tuple[int, int]:
    """Write a member to a folder; return its size and CRC32."""
    path = folder / member.name
    path.parent.mkdir(parents=True, exist_ok=True)
    size, crc = 0, 0
    with path.open("wb") as file:
        for chunk in _chunks(archive, member):
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
            if size > member.size:
                break
            file.write(chunk)
    if size != member.size or (manifest is not None and manifest[member.name] != (size, crc)):
        raise ArchiveError(f"{archive}: member {member.name} is damaged (wrong size or checksum)")
    return size, crc


def _chunks(archive: Path, member: Member) -> Iterator[bytes]:
    try:
        with member.open() as source:
            while chunk := source.read(CHUNK):
                yield chunk
    except DAMAGE as error:
        raise ArchiveError(f"{archive}: member {member.name} is damaged ({_line(error)})") from (
            error
        )


@contextlib.contextmanager
def _open_archive(archive: Path, most: int | None) -> Iterator[list[Member]]:
    """Open an archive and list its members, all of which have been looked at."""
    with contextlib.ExitStack() as stack:
        try:
            if zipfile.is_zipfile(archive):
                zipped = stack.enter_context(zipfile.ZipFile(archive))
                members = _up_to(archive, most, _zip_members(archive, zipped))
            elif tarfile.is_tarfile(archive):
                tape = stack.enter_context(tarfile.open(archive, tarinfo=_StrictTarInfo))
                members = _up_to(archive, most, _tar_members(archive, tape))
                _check_end(tape)
            else:
                raise ArchiveError(
                    f"{archive} is not a whole zip or tar archive: download it again"
                )
        except NotImplementedError as error:  # of a newer version of the format
            raise ArchiveError(
                f"{archive} cannot be read ({_line(error)}); nothing was unpacked: unpack it "
                "yourself"
            ) from error
        except PermissionError as error:
            raise UserError(f"{archive} cannot be read ({error.strerror})") from error
        except DAMAGE as error:
            if isinstance(error, UserError):
                raise
            raise ArchiveError(f"{archive} is damaged ({_line(error)}): download it again") from (
                error
            )
        yield members


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _up_to(archive: Path, most: int | None, members: Iterator[Member]) -> list[Member]:
    """List members until they are larger than expected: a small archive can unpack to anything."""
    found, size = [], 0
    for member in members:
        size += member.size
        if most is not None and size > most:
            raise ArchiveError(
                f"{archive} unpacks to more than {most / 1e9:.1f} GB, which is not what was "
                "expected; nothing was unpacked"
            )
        found.append(member)
    return found


def _zip_members(archive: Path, reader: zipfile.ZipFile) -> Iterator[Member]:
    for info in reader.infolist():
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ArchiveError(
                f"{archive}: member {info.filename!r} is a link; nothing was unpacked"
            )
        if info.flag_bits & ENCRYPTED:
            raise ArchiveError(
                f"{archive}: member {info.filename!r} is encrypted; nothing was unpacked: give an "
                "archive without a password"
            )
        if info.compress_type not in METHODS or info.flag_bits & PATCH:
            how = "as a patch" if info.flag_bits & PATCH else f"by method {info.compress_type}"
            raise ArchiveError(
                f"{archive}: member {info.filename!r} is compressed {how}, which cannot be read; "
                "nothing was unpacked: unpack it yourself"
            )
        if info.is_dir():
            safe_name(archive, info.filename)
        else:
            yield Member(info.filename, info.file_size, info.CRC, partial(reader.open, info))


def _tar_members(archive: Path, reader: tarfile.TarFile) -> Iterator[Member]:
    for info in reader:
        if info.isdir():
            safe_name(archive, info.name)
        elif info.isreg():
            yield Member(info.name, info.size, None, partial(_open_tar_member, reader, info))
        else:
            raise ArchiveError(f"{archive}: member {info.name!r} is a link; nothing was unpacked")


def _check_end(reader: tarfile.TarFile) -> None:
    """Refuse a tar archive with data after its end, which a zeroed header looks like."""
    assert reader.fileobj is not None
    while chunk := reader.fileobj.read(CHUNK):
        if chunk.strip(b"\0"):
            raise tarfile.ReadError("there are data after its end")


def _open_tar_member(reader: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = reader.extractfile(info)
    if file is None:  # only for members that are no regular files, which _tar_members refuses
        raise tarfile.ReadError(f"{info.name} has no content")
    return file

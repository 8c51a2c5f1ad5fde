"""Unpack zip and tar archives safely: check them first, write aside, rename at the end."""

import contextlib
import gzip
import json
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm.auto import tqdm

from retrieval.errors import UserError
from retrieval.files import atomic_folder, check_space

CHUNK = 1 << 20


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
        progress: Whether to show a progress bar. Defaults to True.

    Raises:
        ArchiveError: The file is not an archive or damaged, a member's name is unsafe, or the
            content differs from the manifest or is refused by ``verify``.
        UserError: The disk is full, or ``target`` is in use.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists and is not empty: move it away first")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _open_archive(archive) as everything:
        members = {m.name: m for m in _stripped(archive, everything, strip) if keep(m.name)}
        if manifest is not None:
            compare(archive, members, manifest)
        check_space(target.parent, sum(m.size for m in members.values()))
        try:
            with atomic_folder(target) as folder:
                for member in tqdm(
                    members.values(), "unpacking", unit="file", disable=not progress
                ):
                    _write(archive, member, folder, manifest)
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
        ArchiveError: The name is absolute, or contains a drive, a backslash or ``..``.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name.split("/")[0]:
        raise ArchiveError(
            f"{archive}: member {name!r} points outside its folder; nothing was unpacked"
        )
    return str(path)


def _stripped(archive: Path, members: Iterator[Member], strip: int) -> Iterator[Member]:
    for member in members:
        parts = PurePosixPath(safe_name(archive, member.name)).parts[strip:]
        if parts:
            yield Member("/".join(parts), member.size, member.crc, member.open)


def _write(archive: Path, member: Member, folder: Path, manifest: Manifest | None) -> None:
    path = folder / member.name
    path.parent.mkdir(parents=True, exist_ok=True)
    size, crc = 0, 0
    try:
        with member.open() as source, path.open("wb") as file:
            while chunk := source.read(CHUNK):
                size, crc = size + len(chunk), zlib.crc32(chunk, crc)
                file.write(chunk)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise ArchiveError(f"{archive}: member {member.name} is damaged ({error})") from error
    if size != member.size or (manifest is not None and manifest[member.name] != (size, crc)):
        raise ArchiveError(f"{archive}: member {member.name} is damaged (wrong size or checksum)")


@contextlib.contextmanager
def _open_archive(archive: Path) -> Iterator[Iterator[Member]]:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as reader:
                yield _zip_members(archive, reader)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as reader:
                yield _tar_members(archive, reader)
        else:
            raise ArchiveError(f"{archive} is not a whole zip or tar archive: download it again")
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise ArchiveError(f"{archive} is damaged ({error}): download it again") from error


def _zip_members(archive: Path, reader: zipfile.ZipFile) -> Iterator[Member]:
    for info in reader.infolist():
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ArchiveError(
                f"{archive}: member {info.filename!r} is a link; nothing was unpacked"
            )
        if info.is_dir():
            safe_name(archive, info.filename)
        else:
            yield Member(info.filename, info.file_size, info.CRC, partial(reader.open, info))


def _tar_members(archive: Path, reader: tarfile.TarFile) -> Iterator[Member]:
    for info in reader.getmembers():
        if info.isdir():
            safe_name(archive, info.name)
        elif info.isreg():
            yield Member(info.name, info.size, None, partial(_open_tar_member, reader, info))
        else:
            raise ArchiveError(f"{archive}: member {info.name!r} is a link; nothing was unpacked")


def _open_tar_member(reader: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = reader.extractfile(info)
    if file is None:  # only for members that are no regular files, which _tar_members refuses
        raise tarfile.ReadError(f"{info.name} has no content")
    return file

"""Check and unpack a downloaded archive: by content, into place in one move, never outside it."""

import gzip
import json
import os
import shutil
import zipfile
from pathlib import Path, PurePosixPath

from tqdm.auto import tqdm

from retrieval.errors import UserError

Manifest = dict[str, list[int]]
MARGIN = 50_000_000  # bytes kept free on the disk


def read_manifest(path: Path) -> Manifest:
    """Read a gzipped JSON manifest: member path (without the top folder) -> [size, CRC-32]."""
    return json.loads(gzip.decompress(path.read_bytes()))


def archive_content(archive: Path) -> dict[str, zipfile.ZipInfo]:
    """List a zip archive's files by path without the top folder.

    Args:
        archive: A zip file whose members share one top folder.

    Returns:
        Path below the top folder -> member.

    Raises:
        UserError: Not a zip file, or a member points outside its folder.
    """
    if not archive.exists():
        raise UserError(f"no archive at {archive}")
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = zipped.infolist()
    except zipfile.BadZipFile as error:
        raise UserError(f"{archive}: not a zip archive, or cut short; download it again") from error
    found = {}
    for member in members:
        parts = PurePosixPath(member.filename).parts
        unsafe = (
            ".." in parts or "\\" in member.filename or PurePosixPath(member.filename).is_absolute()
        )
        if unsafe:
            raise UserError(
                f"{archive}: member {member.filename!r} points outside its folder; "
                "refused, nothing was unpacked"
            )
        if not member.is_dir() and len(parts) > 1:
            found["/".join(parts[1:])] = member
    return found


def verify(archive: Path, manifest: Manifest) -> None:
    """Compare an archive's member list, sizes and CRC-32s with a manifest.

    Raises:
        UserError: Names the first member that is missing or differs.
    """
    content = archive_content(archive)
    for name, (size, crc) in manifest.items():
        member = content.get(name)
        if member is None:
            raise UserError(f"{archive}: {name} is missing; this is not the published archive")
        if (member.file_size, member.CRC) != (size, crc):
            raise UserError(
                f"{archive}: {name} differs from the published file "
                f"(size {member.file_size}, expected {size}; or its checksum)"
            )


def unpack(archive: Path, target: Path, manifest: Manifest) -> None:
    """Unpack the manifest's members into ``target``, whole or not at all.

    Args:
        archive: A zip archive; verified here first.
        target: The data set's folder; replaced only once everything is unpacked.
        manifest: What to unpack.

    Raises:
        UserError: The content differs, a member is corrupt, or the disk is too full.
    """
    verify(archive, manifest)
    target.parent.mkdir(parents=True, exist_ok=True)
    needed = sum(size for size, _ in manifest.values()) + MARGIN
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise UserError(f"{target.parent}: {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB needed")
    temporary = target.parent / f".{target.name}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    content = archive_content(archive)
    try:
        with zipfile.ZipFile(archive) as zipped:
            for name in tqdm(manifest, f"unpacking {archive.name}", unit="file", leave=False):
                path = temporary / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with zipped.open(content[name]) as source, path.open("wb") as out:
                    shutil.copyfileobj(source, out)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(temporary, target)
    except zipfile.BadZipFile as error:
        raise UserError(f"{archive}: {error}; download it again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

"""Fetch a data set that is one public archive: download it or take a copy, check it, unpack it."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from retrieval.datasets.archives import ArchiveError, Manifest, unpack
from retrieval.datasets.catalog import Catalog
from retrieval.datasets.checks import check_files
from retrieval.datasets.download import download


@dataclass(frozen=True)
class PublicArchive:
    """A public archive.

    Attributes:
        url: Address to download it from.
        digest: ``"md5:..."`` or ``"sha256:..."``; None if the host publishes none or regenerates
            its archives.
        unpacked: Size of the unpacked files in bytes.
        strip: Number of leading folders to drop from the names of its members. Defaults to 0.
    """

    url: str
    digest: str | None
    unpacked: int
    strip: int = 0


def fetch_archive(
    root: Path,
    archive: Path | None,
    public: PublicArchive,
    *,
    load: Callable[[Path], Catalog],
    manifest: Manifest | None = None,
    keep: Callable[[str], bool] = lambda name: True,
) -> None:
    """Unpack a public archive to ``root``, which appears only when everything is right.

    A download is kept in ``.downloads`` beside ``root`` until it is unpacked, so that an
    interrupted one can continue. An archive with wrong content is removed, except for a copy that
    the user gave.

    Args:
        root: The folder to create.
        archive: A copy of the archive, or None to download it.
        public: The published archive.
        load: Loads the unpacked folder, before it is renamed. Every file in the catalog must exist.
        manifest: Names, sizes and CRC32s that the unpacked files must have. Defaults to None: they
            are not compared.
        keep: Tells by its name whether to unpack a member. Defaults to all of them.

    Raises:
        ArchiveError: The content is wrong.
        UserError: The download failed, the disk is full, or ``root`` is in use.
    """

    def verify(folder: Path) -> None:
        check_files(load(folder))

    downloads = root.parent / ".downloads"
    file = archive
    if file is None:
        name = f"{root.name}-{public.url.rsplit('/', 1)[-1]}"
        file = download(
            public.url, downloads / name, digest=public.digest, unpacked=public.unpacked
        )
    try:
        unpack(file, root, manifest=manifest, strip=public.strip, keep=keep, verify=verify)
    except ArchiveError as error:
        if archive is not None:
            raise
        file.unlink()
        raise ArchiveError(f"{error}; the download was removed: run the same command again") from (
            error
        )
    if archive is None:
        file.unlink()
        with contextlib.suppress(OSError):  # it still holds other downloads
            downloads.rmdir()

"""Fetch a data set that is one public archive: download or take a copy, check, unpack, tidy up."""

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
    """Where an archive is and what is known of it.

    Attributes:
        url: Where from.
        digest: ``"md5:..."`` or ``"sha256:..."``; None where the host regenerates its archives.
        unpacked: Size of the unpacked files, bytes.
        strip: Leading path components to drop from member names.
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
    """Put the content of a public archive at ``root``; nothing is there until all of it is.

    A download is kept in ``.downloads`` beside ``root`` until it is unpacked, so that an
    interrupted one continues; an archive that proves wrong is thrown away. A copy given by the
    user is never touched.

    Args:
        root: The folder to make.
        archive: A copy on disk, or None to download.
        public: The archive.
        load: Loads the unpacked folder before it is renamed; every file it lists must be there.
        manifest: See :func:`retrieval.datasets.archives.unpack`.
        keep: See :func:`retrieval.datasets.archives.unpack`.

    Raises:
        ArchiveError: The content is wrong.
    """
    verify = lambda folder: check_files(load(folder))  # noqa: E731
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
        with contextlib.suppress(OSError):  # other downloads are still in it
            downloads.rmdir()

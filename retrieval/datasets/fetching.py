"""Fetch a data set that is one public archive: download it or take a copy, check it, unpack it.

What is fetched carries a mark, which lists its files. A folder with the mark is repaired by
fetching it again and replacing what differs. In a folder without, only what is missing is added.
"""

import contextlib
import gzip
import json
import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from retrieval.datasets.archives import ArchiveError, Manifest, read_manifest, unpack
from retrieval.datasets.catalog import Catalog
from retrieval.datasets.checks import check_files
from retrieval.datasets.download import download
from retrieval.datasets.official import is_placeholder
from retrieval.errors import UserError
from retrieval.files import file_lock, making_lock, remove, sync

MARK = ".fetched.json.gz"  # name -> size and CRC32 of every file that was unpacked
LARGER = 3  # times the published size that an archive may unpack to


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
    repair: bool = False,
) -> None:
    """Unpack a public archive to ``root``, which appears only when everything is right.

    A download is kept in ``.downloads`` beside ``root`` until it is unpacked, so that an
    interrupted one can continue. An archive with wrong content is removed, except for a copy that
    the user gave. What is there already is checked, file by file.

    Args:
        root: The folder to create.
        archive: A copy of the archive, or None to download it.
        public: The published archive.
        load: Loads the unpacked folder, before it is renamed. Every file in the catalog must exist.
        manifest: Names, sizes and CRC32s that the unpacked files must have. Defaults to None: they
            are not compared.
        keep: Tells by its name whether to unpack a member. Defaults to all of them.
        repair: Whether to fetch again what is missing or damaged in ``root``. Defaults to False.

    Raises:
        ArchiveError: The content is wrong.
        UserError: The download failed, the disk is full, or ``root`` is in use or not whole.
    """

    def fetch_to(folder: Path) -> None:
        _fetch_new(folder, archive, public, root.name, load, manifest, keep)

    def find_fault() -> str:
        return fault_of(root, load=load, manifest=manifest)

    if not is_filled(root) or find_fault():
        with file_lock(_lock(root), on_wait=_say_wait):
            if not is_filled(root):  # another process may have fetched it meanwhile
                fetch_to(root)
            elif fault := find_fault():
                if not repair:
                    raise UserError(
                        f"{root} is there, but not whole: {fault}: the same command with --repair "
                        "fetches what is missing; or move the folder away"
                    )
                _repair(root, fetch_to)
    else:
        if repair:
            tqdm.write(f"{root}: nothing to repair")
        _remove_left_overs(root, public)


def _lock(root: Path) -> Path:
    return root.parent / f".{root.name}.fetch.lock"


def _download_path(root: Path, public: PublicArchive) -> Path:
    return root.parent / ".downloads" / f"{root.name}-{public.url.rsplit('/', 1)[-1]}"


def _remove_left_overs(root: Path, public: PublicArchive) -> None:
    """Remove what a process left that was killed after it had published the folder."""
    file = _download_path(root, public)
    left = (_lock(root), making_lock(root), file, file.parent)
    if not any(path.exists() for path in left):
        return
    with (
        contextlib.suppress(OSError),  # another process is at it, or the folder is read-only
        file_lock(_lock(root), wait=False),
        file_lock(making_lock(root), wait=False),
    ):
        _remove_download(file)


def _remove_download(file: Path) -> None:
    file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it still holds other downloads
        file.parent.rmdir()


def _say_wait() -> None:
    tqdm.write("another process fetches the same data set; waiting for it")


def is_filled(root: Path) -> bool:
    """Tell whether a folder exists and holds anything."""
    return root.exists() and (not root.is_dir() or any(root.iterdir()))


def fault_of(
    root: Path, *, load: Callable[[Path], Catalog], manifest: Manifest | None = None
) -> str:
    """Return what a data set's folder lacks, in a few words; empty if nothing.

    Args:
        root: The folder.
        load: Loads it.
        manifest: Names, sizes and CRC32s of its files. Defaults to those in its mark, if any.
    """
    if not root.is_dir():
        return "it is not a folder"
    if not is_placeholder(root):
        expected = manifest or read_mark(root)
        if fault := _compare(root, expected):
            return fault
    try:
        catalog = load(root)
        check_files(catalog)
    except UserError as error:
        return str(error)
    empty = [path for path in catalog.absolute_paths() if os.stat(path).st_size == 0]
    return _counted_first(empty, len(catalog), "empty") if empty else ""


def read_mark(root: Path) -> Manifest:
    """Return what the mark of a fetched folder lists; empty if it has none or a damaged one."""
    try:
        return read_manifest(root / MARK)
    except (OSError, EOFError, ValueError, AttributeError, TypeError, zlib.error):
        return {}


def write_mark(folder: Path, files: Manifest) -> None:
    """Mark a folder as fetched by this program.

    Args:
        folder: The folder, not yet published.
        files: Name -> (size, CRC32) of its files.
    """
    with gzip.open(folder / MARK, "wt", encoding="utf-8") as file:
        json.dump(files, file)


def _compare(root: Path, expected: Manifest) -> str:
    names = list(expected)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = tqdm(
            pool.map(lambda name: _size_and_crc(root / name, expected[name][0]), names),
            f"checking {root.name}",
            len(names),
            unit="file",
            delay=2,
        )
        states = list(found)
    missing = [name for name, state in zip(names, states, strict=True) if state is None]
    damaged = [
        name
        for name, state in zip(names, states, strict=True)
        if state is not None and state != tuple(expected[name])
    ]
    faults = ((missing, "missing"), (damaged, "not as published"))
    return ", ".join(_counted_first(some, len(names), what) for some, what in faults if some)


def _counted_first(names: list[str], total: int, what: str) -> str:
    are = "is" if len(names) == 1 else "are"
    return f"{len(names):,} of {total:,} files {are} {what} (first: {names[0]})"


def _size_and_crc(path: Path, size: int) -> tuple[int, int] | None:
    """Return a file's size and CRC32; the latter is 0 if the size is not the expected one."""
    if not path.is_file():
        return None
    found = path.stat().st_size
    if found != size:
        return found, 0
    return found, zlib.crc32(path.read_bytes())


def _fetch_new(
    root: Path,
    archive: Path | None,
    public: PublicArchive,
    name: str,
    load: Callable[[Path], Catalog],
    manifest: Manifest | None,
    keep: Callable[[str], bool],
) -> None:
    """Unpack a public archive to a folder that does not exist yet."""

    def verify(folder: Path) -> None:
        check_files(load(folder))

    file = archive
    if file is None:
        file = download(
            public.url,
            _download_path(root.with_name(name), public),
            digest=public.digest,
            unpacked=public.unpacked,
        )
    try:
        unpack(
            file,
            root,
            manifest=manifest,
            strip=public.strip,
            keep=keep,
            verify=verify,
            most=LARGER * public.unpacked,
            record=write_mark,
        )
    except ArchiveError as error:
        if archive is not None:
            raise
        file.unlink()
        raise ArchiveError(f"{error}; the download was removed: run the same command again") from (
            error
        )
    if archive is None:
        _remove_download(file)


def _repair(root: Path, fetch_to: Callable[[Path], None]) -> None:
    """Fetch a data set again beside its folder, and move what the folder lacks into it."""
    if not root.is_dir() or is_placeholder(root):
        raise UserError(f"{root} is not this data set's folder: move it away")
    own = bool(read_mark(root))
    fresh = root.parent / f".{root.name}.repair"
    if read_mark(fresh):  # of a repair that was killed
        remove(fresh)
    fetch_to(fresh)
    files, kept = read_mark(fresh), []
    try:
        if not own and not any((root / name).exists() for name in files):
            raise UserError(f"{root} holds nothing of this data set: give another folder")
        for name, expected in files.items():
            target = root / name
            state = _size_and_crc(target, expected[0])
            if state == tuple(expected):
                continue
            if os.path.lexists(target) and not own:
                kept.append(name)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            sync(fresh / name)
            os.replace(fresh / name, target)
        if not kept:
            os.replace(fresh / MARK, root / MARK)
    except OSError as error:
        raise UserError(f"cannot repair {root}: {error}") from error
    finally:
        remove(fresh)
    if kept:
        raise UserError(
            f"{root}: {_counted_first(kept, len(files), 'not as published')} and left as they are, "
            "as this program has not fetched them; what was missing was added: move them away and "
            "run the same command again"
        )

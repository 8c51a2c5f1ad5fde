"""Files that appear whole: atomic writes, locks, and the cache of what can be computed again.

A reader sees the old file or the new one, never half of one, also after a power cut: a file's
content reaches the disk before its name does.
"""

import contextlib
import ctypes
import errno
import functools
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, SoftFileLease, Timeout

from retrieval.errors import UserError

# Temporary files and folders are called `.tmp-<random>-<name>`, beside what they become.
MAKING = ".making.lock"  # ending of the lock of those that make a folder
TEMPORARY = ".tmp-"
RANDOM = 8  # characters that `tempfile` adds
# Above this many files, a folder is brought to the disk by one call for the whole system: 40,000
# calls for a file each take minutes.
MANY_FILES = 500
PART = 256  # files per unit of work: to hand over a single one takes longer than to look at it
LARGEST_READ, PARTS, PART_BYTES = 256 << 20, 256, 1 << 20  # of a digest, bytes
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP)  # of network disks, by their settings
POLL = 0.05  # seconds between two tries to get a lock
LEASE = 60.0  # seconds without a sign of life after which another machine's holder counts as dead
LONGEST_NAME = 200  # bytes; file systems allow 255, and a partial run has a longer name
LINUX_EXCHANGE, MAC_SWAP, AT_FDCWD = 2, 2, -100  # constants of renameat2(2) and renamex_np(2)


def check_folder_name(kind: str, name: str) -> str:
    """Check that a name that a user chose can be used for a folder that is not hidden.

    Args:
        kind: What it is the name of, for the message, e.g. ``"run name"``.
        name: The name that was asked for.

    Returns:
        The name.

    Raises:
        UserError: The name is empty, too long, starts with a dot or contains a slash or control
            characters.
    """
    if not name.strip() or name.startswith(".") or "/" in name or "\\" in name:
        raise UserError(f"{kind} {name!r}: give a name without slashes or a leading dot")
    if not name.isprintable():
        raise UserError(
            f"{kind} {ascii(name)[:60]}: give a name without control characters and line breaks"
        )
    if (size := len(os.fsencode(name))) > LONGEST_NAME:
        raise UserError(
            f"{kind} {name[:40]!r}... is {size} bytes long: give {LONGEST_NAME} at most"
        )
    return name


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Provide a temporary path to write to, which is renamed to ``path`` if the block succeeds.

    Args:
        path: The file to create or replace.

    Yields:
        A temporary path in the same folder and with the same suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path, tempfile.mkstemp)
    try:
        yield temporary
        temporary.chmod(0o644)
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary sibling folder to fill; rename it to ``path`` if the block succeeds.

    Processes that make the same folder take turns. What killed ones left is removed first.

    Args:
        path: The folder to create. It must not exist, or be empty, when the block ends: what a user
            has put there is never replaced. :func:`replace_folder` replaces a folder of our own.

    Yields:
        An empty folder with a hidden name beside ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The lock is not that of `build_once`, which may be held here.
    with file_lock(making_lock(path)):
        remove_temporaries(path.parent, path.name)
        temporary = _temporary(path, tempfile.mkdtemp)
        try:
            temporary.chmod(0o755)
            yield temporary
            sync_tree(temporary)
            temporary.replace(path)
            sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def making_lock(path: Path) -> Path:
    """Return the lock file of those that make a folder, see :func:`atomic_folder`."""
    return path.parent / f".{_shortened(path.name)}{MAKING}"


def _temporary(path: Path, make: Callable[..., object]) -> Path:
    """Create a file or folder with a temporary name beside ``path``."""
    made = make(prefix=TEMPORARY, suffix=f"-{_shortened(path.name)}", dir=path.parent)
    if isinstance(made, tuple):
        os.close(made[0])
        made = made[1]
    return Path(str(made))


def _shortened(name: str) -> str:
    """Leave room in a name, which may have 255 bytes, for what a temporary name adds."""
    return name.encode(errors="surrogateescape")[-200:].decode(errors="ignore")


def remove_temporaries(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left behind in a folder.

    Args:
        folder: A folder in which no other process writes: call it under its lock.
        name: Only remove the temporaries of this file or folder. Defaults to all.
    """
    for left in folder.glob(f"{TEMPORARY}*"):
        if name is None or left.name[len(TEMPORARY) + RANDOM + 1 :] == _shortened(name):
            remove(left)


def remove(path: Path) -> None:
    """Remove a file or a folder of our own, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, atomically and indented. NaN is refused, as JSON has none."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows does not open folders
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):  # e.g. some FUSE mounts
            raise
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Wait until a folder and everything below it is on the disk."""
    found = [Path(here, name) for here, _, names in os.walk(folder) for name in names]
    if len(found) > MANY_FILES and hasattr(os, "sync"):
        os.sync()
        return
    for path in (*found, *(Path(here) for here, _, _ in os.walk(folder))):
        if not path.is_symlink():
            sync(path)


def replace_folder(new: Path, path: Path, old: Path) -> None:
    """Give a complete folder its final name; a folder of that name is replaced as a whole.

    Where the file system can exchange two names (those of Linux and macOS can; network ones often
    not), a reader finds the one folder or the other at any moment. Elsewhere, there is a moment
    without either, and :func:`recover_folder` completes what a kill interrupts there.

    Args:
        new: The complete folder.
        path: Its final name.
        old: A name for the folder that is replaced, until it is removed. All three are siblings.
    """
    sync_tree(new)
    remove(old)
    if not path.exists():
        os.rename(new, path)
    elif _exchange(new, path):
        os.rename(new, old)
    else:
        os.rename(path, old)
        os.rename(new, path)
    sync(path.parent)
    remove(old)


def recover_folder(path: Path, old: Path) -> None:
    """Complete a :func:`replace_folder` that was killed; call it under the folder's lock.

    Args:
        path: The folder's final name.
        old: The name of the replaced folder.
    """
    if old.exists() and not path.exists():
        os.rename(old, path)
    remove(old)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two paths in one step; return False where that is not supported."""
    names = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux":
        function, words = "renameat2", (AT_FDCWD, names[0], AT_FDCWD, names[1], LINUX_EXCHANGE)
    elif sys.platform == "darwin":
        function, words = "renamex_np", (*names, MAC_SWAP)
    else:
        return False
    call = getattr(_libc(), function, None)
    return call is not None and call(*words) == 0


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it to another file system; ``target`` is replaced.

    The two names share their content, so neither file may be written to in place.
    """
    temporary = _temporary(target, tempfile.mkdtemp) / target.name
    try:
        try:
            os.link(source, temporary)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, temporary)
            sync(temporary)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary.parent, ignore_errors=True)


@contextlib.contextmanager
def file_lock(
    file: Path, *, wait: bool = True, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Lock a file for the block, against other processes and other threads of this one.

    The operating system releases the lock when the process ends, however it ends; a killed process
    leaves the lock file behind, unlocked and harmless. On a network disk, the server releases what
    a dead machine held. On a disk without locks, a second file holds the name of the machine and
    the number of the process, and the time of its last sign of life: it counts for nothing once
    that process has ended, or has given none for a minute.

    Args:
        file: The lock file; its folder is created.
        wait: Whether to wait for another holder. Defaults to True.
        on_wait: Called once if there is another holder. Defaults to None, no call.

    Yields:
        Nothing.

    Raises:
        TimeoutError: Another process holds the lock, and ``wait`` is off.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = _acquire(file, wait=wait, on_wait=on_wait)
    try:
        yield
    finally:
        # filelock leaves the file behind. It is removed while the lock is held, so it is never the
        # file of another holder. A process that has opened it meanwhile and then gets the lock
        # notices that the file has no name any more, and tries again with a new one.
        with contextlib.suppress(OSError):  # Windows does not remove an open file
            file.unlink()
        lock.release()


def remove_locks(*files: Path) -> None:
    """Remove lock files that killed processes left behind, and none that is held.

    Args:
        *files: The lock files, which need not exist.
    """
    for file in files:
        if file.exists():
            # It may be held, or its folder read-only.
            with contextlib.suppress(OSError), file_lock(file, wait=False):
                pass


def _acquire(file: Path, *, wait: bool, on_wait: Callable[[], None] | None) -> BaseFileLock:
    # The first try lasts a moment: the file may be removed between opening and locking it.
    options: dict[str, Any] = {
        "timeout": 4 * POLL,
        "poll_interval": POLL,
        "thread_local": False,
        "fallback_to_soft": False,  # it would warn, and leaves out two of NO_LOCKS
    }
    lock: BaseFileLock = FileLock(file, **options)
    with contextlib.suppress(Timeout):
        try:
            lock.acquire()
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            soft = file.with_name(f"{file.name}.soft")
            lock = SoftFileLease(soft, lease_duration=LEASE, **options)
            lock.acquire()
    if not lock.is_locked:
        if not wait:
            raise TimeoutError(file)
        if on_wait is not None:
            on_wait()
        lock.acquire(timeout=-1)
    return lock


def cache_folder(kind: str) -> Path:
    """Return the folder of one kind of cached files, which need not exist.

    Args:
        kind: Name of the subfolder, e.g. ``thumbnails`` or ``features``.

    Returns:
        ``$RETRIEVAL_CACHE/<kind>``, or ``data/.cache/<kind>`` if the variable is not set.
    """
    return Path(os.environ.get("RETRIEVAL_CACHE", "data/.cache")) / kind


def build_once(
    target: Path,
    build: Callable[[], None],
    is_valid: Callable[[], bool],
    *,
    on_wait: Callable[[], None] | None = None,
    fix: str = "name a folder of your own with the variable RETRIEVAL_CACHE",
    remove_old: bool = True,
) -> None:
    """Build a file or folder of the cache, unless it is there and valid.

    Of several processes that need it, one builds and the others wait.

    Args:
        target: What is built. What is there but not valid is removed, see ``remove_old``.
        build: Makes it, atomically.
        is_valid: Tells whether it is there, whole and undamaged.
        on_wait: Called once if another process is building it. Defaults to None, no call.
        fix: What to do if the folder cannot be written to. Defaults to the advice for the cache.
        remove_old: Whether to remove what is not valid first. Defaults to True; otherwise ``build``
            replaces it.

    Raises:
        UserError: The cache cannot be written to, or what was built is not valid.
    """
    lock = target.parent / f".{target.name}.lock"
    try:
        valid = is_valid()
    except FileNotFoundError:  # another process removes what is damaged, at this moment
        valid = False
    if valid:
        remove_locks(lock, making_lock(target))
        return
    try:
        with file_lock(lock, on_wait=on_wait):
            if is_valid():
                return
            remove_temporaries(target.parent, target.name)
            if remove_old:
                remove(target)
            build()
    except OSError as error:
        in_cache = Path(str(error.filename)).is_relative_to(target.parent)
        if not in_cache or error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        raise UserError(
            f"{error.filename or target}: cannot be written ({error.strerror}): {fix}"
        ) from error
    if not is_valid():
        raise UserError(f"{target}: damaged as soon as it was written: check this disk")


def check_space(folder: Path, needed: int) -> None:
    """Refuse to fill up a disk.

    Args:
        folder: A folder on the disk, which need not exist yet.
        needed: Number of bytes needed.

    Raises:
        UserError: Says how much is needed and how much is free.
    """
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise UserError(
            f"{folder}: {_size(needed)} needed, {_size(free)} free on this disk: make room, or "
            "choose a folder on another disk"
        )


def _size(count: int) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count / 1e3:.1f} kB"


def fingerprint(*parts: object) -> str:
    """Return a hash of values for use as a cache key: 16 hexadecimal digits, stable across runs.

    Args:
        *parts: Values that JSON can represent; others are represented by their ``str``.
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_stamps(paths: Iterable[Path | str]) -> list[tuple[int, int]]:
    """Return the size and the time of change of every file, which tell whether it was replaced.

    With the variable ``RETRIEVAL_STAMPS=content``, a checksum of the content stands for the time of
    change: for copies that keep neither time nor size apart.

    Args:
        paths: The files.

    Returns:
        For each file, its size in bytes, and nanoseconds or a checksum; (-1, 0) if it is missing.
    """
    stamp = content_stamp if os.environ.get("RETRIEVAL_STAMPS") == "content" else time_stamp
    paths = list(paths)
    parts = [paths[start : start + PART] for start in range(0, len(paths), PART)]
    with ThreadPoolExecutor(8) as pool:  # network disks answer many questions at a time
        return [found for part in pool.map(lambda p: list(map(stamp, p)), parts) for found in part]


def time_stamp(path: Path | str) -> tuple[int, int]:
    """Return a file's size in bytes and its time of change in nanoseconds; (-1, 0) if missing."""
    try:
        found = os.stat(path)
    except OSError:
        return -1, 0
    return found.st_size, found.st_mtime_ns


def content_stamp(path: Path | str) -> tuple[int, int]:
    """Return a file's size in bytes and the CRC-32 of its content; (-1, 0) if it is missing."""
    try:
        return os.stat(path).st_size, checksum([Path(path)])
    except OSError:
        return -1, 0


def digest(path: Path) -> int:
    """Return a CRC-32 of a file's content; of a file above 256 MiB, of 256 parts of it.

    It is computed once per process, until the file changes.
    """
    found = os.stat(path)
    return _digest(path, found.st_ino, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _digest(path: Path, number: int, size: int, changed: int) -> int:
    if size <= LARGEST_READ:
        return checksum([path])
    value = zlib.crc32(str(size).encode())
    with path.open("rb") as file:
        for part in range(PARTS):
            file.seek(part * (size - PART_BYTES) // (PARTS - 1))
            value = zlib.crc32(file.read(PART_BYTES), value)
    return value


def checksum(paths: Sequence[Path]) -> int:
    """Return the CRC-32 of the content of some files, one after the other."""
    value = 0
    for path in paths:
        with path.open("rb") as file:
            while part := file.read(1 << 22):
                value = zlib.crc32(part, value)
    return value

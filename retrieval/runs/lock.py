"""A lock on a run folder, so that only one process at a time makes a run."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from retrieval.errors import UserError

TIMEOUT = 0.2  # seconds: time for a second try, if the file is removed while it is opened


def lock_path(path: Path) -> Path:
    """Return the hidden sibling of a run folder that is locked while the run is made."""
    return path.parent / f".{path.name}.lock"


@contextlib.contextmanager
def run_lock(path: Path) -> Iterator[None]:
    """Lock a run for the block.

    The operating system releases the lock when the process ends, however it ends. The lock file is
    removed after the block; a killed process leaves it behind, unlocked and harmless.

    Args:
        path: The run's final folder, which need not exist. Its parent is created.

    Yields:
        Nothing.

    Raises:
        UserError: Another process holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_path(path), timeout=TIMEOUT, poll_interval=TIMEOUT / 10)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{path} is being made by another process: wait for it, or choose another name"
        ) from None
    try:
        yield
    finally:
        # filelock leaves the file behind. It is removed while the lock is held, so it is never the
        # file of another holder. A process that has opened it meanwhile and then gets the lock
        # notices that the file has no name any more, and tries again with a new one.
        with contextlib.suppress(OSError):  # Windows does not remove an open file
            lock_path(path).unlink()
        lock.release()

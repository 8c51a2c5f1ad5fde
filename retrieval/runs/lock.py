"""One process at a time makes a run: a lock that the system lets go of, however a process ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: two processes that make one run are not told apart there
    fcntl = None


def lock_path(path: Path) -> Path:
    """Return the hidden sibling of a run's folder that is locked while the run is made."""
    return path.parent / f".{path.name}.lock"


@contextmanager
def run_lock(path: Path) -> Iterator[None]:
    """Hold a run for the block; the file is removed after it, or is left (unlocked) by a kill.

    Args:
        path: The run's folder as it will be called; its parent is made.

    Raises:
        UserError: Another process holds it.
    """
    if fcntl is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _locked(path)
    try:
        yield
    finally:
        lock_path(path).unlink(missing_ok=True)  # while held: no one else's is removed
        os.close(file)


def _locked(path: Path) -> int:
    """Return the descriptor of the run's lock file, locked."""
    while True:
        file = os.open(lock_path(path), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, lock_path(path)):
                return file
        except BlockingIOError:
            os.close(file)
            raise UserError(
                f"{path} is being made by another process: wait for it, or choose another name"
            ) from None
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # its last holder had removed it in between: lock the one there is now


def _is_at(file: int, path: Path) -> bool:
    """Tell whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False

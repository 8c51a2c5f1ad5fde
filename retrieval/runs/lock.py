"""A lock on a run folder, so that only one process at a time makes or changes a run."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from retrieval.errors import UserError
from retrieval.files import file_lock

POLL = 1.0  # seconds between two looks at a lock


def lock_path(path: Path) -> Path:
    """Return the hidden sibling of a run folder that is locked while the run is made."""
    return path.parent / f".{path.name}.lock"


@contextlib.contextmanager
def run_lock(path: Path) -> Iterator[None]:
    """Lock a run for the block, as every command does that makes or changes one.

    Args:
        path: The run's final folder, which need not exist. Its parent is created.

    Yields:
        Nothing.

    Raises:
        UserError: Another process holds the lock.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(file_lock(lock_path(path), wait=False))
        except TimeoutError:
            raise UserError(
                f"{path} is being made or changed by another process: wait for it, or choose "
                "another name"
            ) from None
        yield


def wait_for_run(path: Path, seconds: float) -> None:
    """Wait until no process makes or changes a run, or for so many seconds.

    Args:
        path: The run's final folder, which need not exist.
        seconds: The longest wait. Afterwards, :func:`run_lock` says what is the matter.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with file_lock(lock_path(path), wait=False):
                return
        except TimeoutError:
            time.sleep(POLL)

"""A lock on a run folder, so that only one process at a time makes or changes a run."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from retrieval.errors import UserError
from retrieval.files import file_lock


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

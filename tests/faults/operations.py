"""Stop a process at its k-th file operation, or let that operation fail.

Python announces every operation that changes a folder to its audit hooks before it takes place, so
a hook that ends the process there leaves the disk as a kill at that moment would. Files that native
code opens (HDF5, Parquet) are not announced; kills at random times reach those.
"""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from retrieval import files

KILLED = 9  # exit status of a process that was stopped here
ADDING = ("open", "os.mkdir", "os.link", "os.symlink", "os.rename", "exchange")
EVENTS = {*ADDING, "os.remove", "os.rmdir", "os.chmod", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
Act = Callable[[int, str, Path], None]  # gets the number, the kind and the path of an operation


def watch_operations(root: Path, act: Act) -> None:
    """Call a function before every file operation of this process below a folder, from now on.

    An audit hook cannot be removed: call this in a process that ends with what it watches.

    Args:
        root: The folder; operations elsewhere are not counted.
        act: The function.
    """
    number, exchange = 0, files._exchange

    def announce(event: str, path: Path) -> None:
        nonlocal number
        if path.is_relative_to(root):
            number += 1
            act(number, event, path)

    def hook(event: str, arguments: tuple) -> None:
        if event in EVENTS and (event != "open" or arguments[2] & WRITES):
            path = _path(event, arguments)
            if path is not None:
                announce(event, path)

    def announced_exchange(one: Path, other: Path) -> bool:  # native, and not audited
        announce("exchange", other)
        return exchange(one, other)

    files._exchange = announced_exchange
    sys.addaudithook(hook)


def _path(event: str, arguments: tuple) -> Path | None:
    """Return the absolute path that an operation changes; None for an open file."""
    at = 1 if event in ("os.rename", "os.link", "os.symlink") else 0
    path = arguments[at]
    if isinstance(path, int):
        return None
    path = os.fsdecode(path)
    folders = {"os.remove": 1, "os.rmdir": 1, "os.mkdir": 2, "os.rename": 3, "os.link": 3}
    folder = arguments[folders[event]] if event in folders else -1
    base = os.readlink(f"/proc/self/fd/{folder}") if folder not in (-1, None) else os.getcwd()
    return Path(os.path.normpath(os.path.join(base, path)))


def kill_at(at: int) -> Act:
    """Return an act that ends the process before its ``at``-th operation, as a kill would."""

    def act(number: int, _event: str, _path: Path) -> None:
        if number == at:
            os._exit(KILLED)

    return act


def fail_at(at: int, code: int) -> Act:
    """Return an act that lets the ``at``-th operation fail.

    Args:
        at: Number of the operation.
        code: An ``errno``. With ``ENOSPC``, every operation from there on that needs space fails: a
            full disk stays full.
    """

    def act(number: int, event: str, path: Path) -> None:
        full = code == errno.ENOSPC
        if (number >= at and event in ADDING) if full else number == at:
            raise OSError(code, os.strerror(code), str(path))

    return act


def counted(log: Path) -> Act:
    """Return an act that writes a line for every operation to a file outside the watched folder."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def act(_number: int, event: str, path: Path) -> None:
        os.write(out, f"{event} {path}\n".encode(errors="surrogateescape"))

    return act

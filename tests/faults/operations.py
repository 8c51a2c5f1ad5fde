"""Stop a process at its k-th file operation, or let that operation fail.

Python announces every operation that changes a folder to its audit hooks before it takes place, so
a hook that ends the process there leaves the disk as a kill at that moment would. Files that native
code opens (HDF5, Parquet) are not announced; kills at random times reach those.
"""

import errno
import os
import re
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
    """Return an act that writes a line for every operation to a file outside the watched folder.

    The line of an operation that changes nothing which a kill could show begins with ``void``: a
    folder that is there is made, what is not there is removed, or only permissions change.
    """
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def act(_number: int, event: str, path: Path) -> None:
        is_there = os.path.lexists(path)
        void = is_there if event == "os.mkdir" else event == "os.remove" and not is_there
        word = "void " if void or event == "os.chmod" else ""
        os.write(out, f"{word}{event} {path}\n".encode(errors="surrogateescape"))

    return act


def telling_places(operations: list[str]) -> list[int]:
    """Return the numbers of the operations at which a kill leaves something new on the disk.

    A kill before an operation equals the one before its predecessor if that was void. Of more than
    three operations of one kind, such as a link for each file of a folder, the first, the middle
    and the last are kept.

    Args:
        operations: The lines that :func:`counted` wrote, in order.
    """
    kinds: dict[str, list[int]] = {}
    for at in range(len(operations)):
        if at == 0 or not operations[at - 1].startswith("void "):
            kinds.setdefault(_kind(operations, at), []).append(at + 1)
    kept = [
        at
        for places in kinds.values()
        for at in (
            places if len(places) <= 3 else (places[0], places[len(places) // 2], places[-1])
        )
    ]
    return sorted(kept)


def _kind(operations: list[str], at: int) -> str:
    """Return what operations that repeat each other have in common."""
    event = operations[at].removeprefix("void ").partition(" ")[0]
    around = operations[max(0, at - 2) : at + 2]
    if event != "open" and any(line.startswith("os.link ") for line in around):
        return f"{event} around a link"
    if event in ("os.remove", "os.rmdir") and "/." in operations[at].partition(".old/")[0]:
        return f"{event} in the old one" if ".old/" in operations[at] else operations[at]
    name = re.sub(r"\.tmp-\w{8}", ".tmp", operations[at])
    return re.sub(r"\d+|[0-9a-f]{16}", "#", name)

"""Do all nodes see the same folder, with the same locks? Run folders and caches need both."""

import socket
import time
from pathlib import Path
from uuid import uuid4

from retrieval.cluster.nodes import on_every_node
from retrieval.errors import UserError
from retrieval.files import file_lock, write_text

SEEN, UNSEEN, UNLOCKED = "seen", "unseen", "unlocked"
LOOK = 10.0  # seconds until a network disk must show a new file


def check_shared(folder: Path, *, required: bool = True) -> None:
    """Refuse a folder that a node does not see, or in which its locks do not count.

    Args:
        folder: The folder, which is made if it is not there.
        required: Whether all nodes must see it. Defaults to True; otherwise each may have its own.

    Raises:
        UserError: Names the node and the fix.
    """
    here = socket.gethostname()
    file = folder.absolute() / f".shared-{uuid4().hex}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        write_text(file, file.name)
        with file_lock(_lock(file)):
            for node, found in on_every_node(look, file).items():
                if found == UNSEEN and required:
                    raise UserError(
                        f"node {node.address} does not see {folder.absolute()} of {here}: give a "
                        "folder of a disk that all nodes share, by the same path, or a URL"
                    )
                if found == UNLOCKED:
                    raise UserError(
                        f"{folder.absolute()}: locks of {here} do not count on node "
                        f"{node.address}: mount this disk with locks across machines (Lustre: "
                        "`flock`, NFS: not `local_lock` or `nolock`), or give a URL"
                    )
    finally:
        file.unlink(missing_ok=True)
        _lock(file).unlink(missing_ok=True)


def look(file: Path) -> str:
    """Return what this node finds of a file that another machine has written and locked."""
    deadline = time.monotonic() + LOOK
    while not (file.is_file() and file.read_text(encoding="utf-8") == file.name):
        if time.monotonic() > deadline:
            return UNSEEN
        time.sleep(0.2)
    try:
        with file_lock(_lock(file), wait=False):
            return UNLOCKED
    except TimeoutError:
        return SEEN


def _lock(file: Path) -> Path:
    return file.with_name(f"{file.name}.lock")

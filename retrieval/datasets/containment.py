"""Keep the paths of a list or a run within their root folder, wherever their files are opened.

A list or a run may come from somebody else. A path that leads out of its root folder, by ``..``, by
an absolute name or over a link, would put a file of this computer into thumbnails and reports that
are passed on.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from retrieval.errors import UserError


def contained_path(root: Path, name: str, linked_roots: Sequence[str] = ()) -> Path | None:
    """Return the absolute path of one file of a root folder; see :func:`contained_paths`.

    Args:
        root: Root folder.
        name: Path of the file, relative to the root.
        linked_roots: Folders outside of the root that belong to it. Defaults to none.

    Returns:
        The path; None if it leads out of the root.
    """
    path = contained_paths(root, [name], linked_roots)[0]
    return None if path is None else Path(path)


def contained_paths(
    root: Path, names: Iterable[str], linked_roots: Sequence[str] = ()
) -> list[str | None]:
    """Return the absolute paths of files below a root folder.

    Links are followed. They may lead to other places in the root, or in the folders that the root's
    own links were recorded to lead to when the data set was loaded. The files need not exist.

    Args:
        root: Root folder.
        names: Path of each file, relative to the root.
        linked_roots: Folders outside of the root that belong to it, see :func:`linked_folders`.
            Defaults to none.

    Returns:
        One path per name; None if it leads out of the root.
    """
    start, folders = str(root), (str(root), *linked_roots)
    allowed = [os.path.realpath(folder) for folder in folders]
    parents: dict[str, str] = {}  # a folder of many files is resolved once
    found: list[str | None] = []
    for name in names:
        path = f"{start}/{name}"
        if "\0" in name or not name or os.path.isabs(name) or _encoded(path) is None:
            found.append(None)
            continue
        parent, last = os.path.split(path)
        if parent not in parents:
            parents[parent] = os.path.realpath(parent)
        real = os.path.join(parents[parent], last)
        if last in ("", ".", "..") or os.path.islink(real):
            real = os.path.realpath(real)
        found.append(path if any(_is_below(real, folder) for folder in allowed) else None)
    return found


def _encoded(path: str) -> bytes | None:
    """Return a path as the system gets it; None if it has characters that no file name can have."""
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        return None


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder if folder.endswith(os.sep) else folder + os.sep)


def linked_folders(root: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Return the folders outside of a root that the root's own links to folders lead to.

    A data set may lie on several disks, with its class folders as links in one place. Such links
    are the choice of whoever made the folder, so they are looked up once, when the data set is
    loaded, and recorded with every run.

    Args:
        root: Root folder of the data set.
        names: Path of each file, relative to the root.

    Returns:
        Real paths, sorted. Links to single files are not among them.
    """
    folders, found = {os.path.dirname(name) for name in names}, set()
    inside = os.path.realpath(root)
    for folder in folders:
        parts = folder.split("/")
        if os.path.isabs(folder) or ".." in parts:
            continue
        for depth in range(1, len(parts) + 1):
            path = os.path.join(root, *parts[:depth])
            if os.path.islink(path):
                found.add(os.path.realpath(path))
    return tuple(sorted(path for path in found if not _is_below(path, inside) and path != inside))


def check_names(root: Path, names: Iterable[str], where: str) -> None:
    """Refuse the first name that says to leave the root folder.

    Args:
        root: Root folder of the data set.
        names: Path of each file, relative to the root.
        where: What the names come from, for the message.

    Raises:
        UserError: A name is absolute, or has so many ``..`` that it leaves the root.
    """
    for row, name in enumerate(names):
        if os.path.isabs(name) or os.path.normpath(name).split(os.sep)[0] == "..":
            raise UserError(
                f"{where}: row {row} ({name!r}) leads out of the data set's folder {root}; "
                "move the file into it, or choose a folder that holds all files"
            )

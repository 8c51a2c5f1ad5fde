"""Folders that the program draws itself: once, whole, and never in the place of others' files.

Of several processes that need such a folder, one makes it and the others wait. A folder that is
there is only replaced if it carries the mark of this program, and holds nothing else than what the
program has put there.
"""

import json
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from retrieval.errors import UserError, counted
from retrieval.files import atomic_folder, build_once, remove, replace_folder, write_json

MARK = "index.json"
Mark = dict[str, Any]


def draw_once(
    target: Path,
    made_by: str,
    draw: Callable[[Path], list[str]],
    *,
    drawn_before: Callable[[Mark], Collection[str]],
) -> list[str]:
    """Make a folder of images, unless it is there, whole, and made by this version.

    Args:
        target: The folder.
        made_by: What the pixels depend on: the name of the data set, a space, and versions.
        draw: Writes the images below the folder that it is given, and returns their POSIX paths.
        drawn_before: Returns the paths of the images that an earlier version drew, which wrote no
            list of ``files``, given its mark, or an empty one if it wrote none.

    Returns:
        The paths of the images.

    Raises:
        UserError: The folder holds files that this program has not made, or cannot be written.
    """
    name = made_by.split(" ")[0]
    new, old = (target.with_name(f".{target.name}.drawn-{age}") for age in ("new", "old"))

    def build() -> None:
        remove(new)
        with atomic_folder(new) as folder:
            write_json(folder / MARK, {"made_by": made_by, "files": draw(folder)})
        replace_folder(new, target, old)

    def is_valid() -> bool:
        if not target.exists() and not target.is_symlink():
            return False
        mark = read_mark(target, name)
        images = set(mark.get("files") or drawn_before(mark))
        found = _files_below(target)
        if images and images <= found and mark.get("made_by", made_by) == made_by:
            return True
        check_own(target, name, found, images if mark else set())
        return False

    def on_wait() -> None:
        tqdm.write(f"another process draws the same images; waiting for {target}")

    fix = "give a folder of your own with --data"
    build_once(target, build, is_valid, on_wait=on_wait, fix=fix, remove_old=False)
    mark = read_mark(target, name)
    return [str(path) for path in mark.get("files") or drawn_before(mark)]


def read_mark(folder: Path, name: str) -> Mark:
    """Return the mark of a folder of drawn images; empty if it has none, or not this program's.

    Args:
        folder: The folder.
        name: Name of the data set.
    """
    try:
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_mark = isinstance(mark, dict) and isinstance(mark.get("files", mark.get("rows")), list)
    return mark if is_mark and str(mark.get("made_by")).startswith(f"{name} ") else {}


def check_own(folder: Path, name: str, found: Collection[str], images: Collection[str]) -> None:
    """Refuse to replace a folder that holds anything but images that this program has drawn.

    Args:
        folder: The folder.
        name: Name of the data set.
        found: POSIX paths of all files in it.
        images: Paths of the images that its mark names; empty if it has none.

    Raises:
        UserError: Names the first other file.
    """
    if not folder.is_dir() or folder.is_symlink():
        raise UserError(
            f"{folder} is in the way of the images of {name}: move it away, or give another folder "
            "with --data"
        )
    others = sorted({*found} - ({MARK, *images} if images else set()))
    if others:
        raise UserError(
            f"{folder} holds {counted(len(others), 'file')} that this program has not drawn "
            f"(first: {others[0]}), and the images of {name} would take its place: move it away, "
            "or give another folder with --data"
        )


def _files_below(folder: Path) -> set[str]:
    found: set[str] = set()
    for here, _, names in os.walk(folder):
        inside = Path(here).relative_to(folder).as_posix()
        found.update(names if inside == "." else (f"{inside}/{name}" for name in names))
    return found

"""Links among the images of a data set: which ones are followed.

Class folders that lie on another disk are common, so links to folders are followed. A link of a
single image to a place elsewhere is refused, because nobody would notice what it shows.
"""

import os
from collections import defaultdict
from pathlib import Path

from retrieval.datasets.catalog import Catalog
from retrieval.datasets.image_files import is_utf8, printable
from retrieval.errors import UserError


def check_links(catalog: Catalog) -> None:
    """Refuse links to images elsewhere or read twice, and paths that are not UTF-8.

    Args:
        catalog: A catalog whose files exist.

    Raises:
        UserError: Names the image, or the folder whose path is not UTF-8.
    """
    if not is_utf8(str(catalog.root.resolve())):
        raise UserError(f"{printable(str(catalog.root))}: its path is not UTF-8: rename the folder")
    members: dict[str, set[str]] = defaultdict(set)
    for path in catalog.items["path"]:
        folder, _, name = path.rpartition("/")
        members[folder].add(name)
    real = {folder: Path(os.path.realpath(catalog.root / folder)) for folder in members}
    places = {catalog.root.resolve(), *real.values()}
    # As text: making a path of every file takes longer than all other checks of a large data set.
    read = {os.path.join(real[folder], name) for folder, names in members.items() for name in names}
    if len(read) < sum(map(len, members.values())):
        _refuse_folders_read_twice(catalog, members, real)
    for folder, names in members.items():
        for name in _linked_files(real[folder], names):
            target = Path(os.path.realpath(real[folder] / name))
            if str(target) in read:
                raise UserError(
                    f"{catalog.root / folder / name}: a link to {printable(str(target))}, which is "
                    "in the data set too: its image would be read twice; remove the link"
                )
            if not any(target.is_relative_to(place) for place in places):
                raise UserError(
                    f"{catalog.root / folder / name}: a link to {printable(str(target))}, outside "
                    "the data set's folder: copy the image, or link its whole folder instead"
                )


def _refuse_folders_read_twice(
    catalog: Catalog, members: dict[str, set[str]], real: dict[str, Path]
) -> None:
    first: dict[Path, str] = {}
    for folder in sorted(members):
        other = first.setdefault(real[folder], folder)
        if twice := sorted(members[folder] & members[other]) if other != folder else []:
            raise UserError(
                f"{catalog.root / folder / twice[0]}: the same image as "
                f"{catalog.root / other / twice[0]}, by a link: it would be read twice; remove one"
            )


def _linked_files(folder: Path, names: set[str]) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_symlink() and e.name in names)

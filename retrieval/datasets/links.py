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
    """Refuse images that are links out of the data set's folder, and paths that are not UTF-8.

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
    for folder, names in members.items():
        for name in _linked_files(real[folder], names):
            target = Path(os.path.realpath(real[folder] / name))
            if not any(target.is_relative_to(place) for place in places):
                raise UserError(
                    f"{catalog.root / folder / name}: a link to {printable(str(target))}, outside "
                    "the data set's folder: copy the image, or link its whole folder instead"
                )


def _linked_files(folder: Path, names: set[str]) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_symlink() and e.name in names)

"""Any images, to be embedded rather than trained on: a folder, or a list with or without classes.

Unlike a data set, such images have no split, and need no classes.
"""

import itertools
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from retrieval.datasets.csv_files import read_listing
from retrieval.datasets.folder import Reading, images_below, split_folders
from retrieval.datasets.folder_metadata import read_metadata
from retrieval.datasets.image_files import IMAGE_SUFFIXES, describe_left_out, printable
from retrieval.datasets.metadata import text_remarks, typed_texts
from retrieval.datasets.tables import (
    column_called,
    is_typed,
    read_lines,
    read_typed,
    usual_column,
)
from retrieval.errors import UserError

RESTORE = "restore it, or leave such images out: drop --strict"


@dataclass(frozen=True)
class ImageList:
    """Images in the order in which they are embedded.

    Attributes:
        source: The folder or the list that names them.
        root: Folder that the paths are relative to.
        paths: POSIX paths; absolute if the list has absolute ones and no root was given.
        labels: Class of each image as it is written; None if there are no classes.
        roles: ``query``, ``gallery`` or ``both`` for each image; None if all are ``both``.
        remarks: What a user should know about how they were read, one line each.
        metadata: What else a list says, one row per image: see
            :mod:`retrieval.datasets.metadata`. Defaults to None, nothing.
    """

    source: Path
    root: Path
    paths: list[str]
    labels: list[str] | None = None
    roles: list[str] | None = None
    remarks: tuple[str, ...] = ()
    metadata: pd.DataFrame | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def files(self, start: int, stop: int) -> list[str]:
        """Return the paths of some of the image files."""
        return [os.path.join(self.root, path) for path in self.paths[start:stop]]

    def common_root(self) -> Path:
        """Return the folder that all images lie in: the root, and of absolute paths the deepest."""
        if not os.path.isabs(self.paths[0]):
            return self.root
        return Path(os.path.commonpath([os.path.dirname(path) for path in self.paths]))


def read_images(
    source: Path | str,
    image_root: Path | str | None = None,
    *,
    strict: bool = False,
    named: Mapping[str, str] | None = None,
    metadata: str | None = None,
) -> ImageList:
    """Read which images a folder or a list names. No image is opened.

    Args:
        source: A folder, with all images below it in the order of their names; the class is the
            first folder below it (below a folder of a split such as ``test``), if every image lies
            in one, and a table in it says more, as for a training: see
            :mod:`retrieval.datasets.folder_metadata`. Or a list in a text file: with a header, see
            :mod:`retrieval.datasets.csv_files`; without one, rows ``class id,relative path`` as the
            original baseline wrote them; or paths only.
        image_root: Folder that the paths of a list are relative to. Defaults to the folder of the
            list, as for a training, and for absolute paths to none.
        strict: Whether a list must not name files that are not there. Defaults to False: some may
            be missing.
        named: ``label`` or ``path`` -> name of that column of a list, or of the table in a folder.
            Defaults to the usual names.
        metadata: The table of a folder's images, or ``none`` to read none. Defaults to None: the
            one that is found in it.

    Returns:
        The images, at least one.

    Raises:
        UserError: There are no images, the list is malformed, or a file is missing.
    """
    source = Path(source)
    if source.is_dir():
        if image_root is not None:
            raise UserError(f"--image-root is for lists, and {source} is a folder: drop it")
        return _in_folder(source, named or {}, metadata)
    if not source.is_file():
        raise UserError(f"{source}: no such folder or list of images")
    if image_root is not None and not Path(image_root).is_dir():
        raise UserError(f"{image_root}: no such folder; --image-root is where the paths begin")
    if metadata is not None:
        raise UserError(f"--metadata is for folders, and {source} is a list: drop it")
    return _in_list(source, image_root, strict, named or {})


def _in_folder(folder: Path, named: Mapping[str, str], metadata: str | None) -> ImageList:
    reading, root = Reading(), folder.resolve()
    paths = sorted(images_below(root, root, reading))
    if not paths:
        kinds = ", ".join(IMAGE_SUFFIXES)
        raise UserError(f"{folder}: no images in it: give a folder that has some ({kinds})")
    labels, reason, parts = _classes_of_folders(root, paths)
    about = read_metadata(
        root,
        paths,
        labels or [""] * len(paths),
        file=metadata,
        path=named.get("path"),
        label=named.get("label"),
        splits=parts,
    )
    for table in about.tables:
        if table.name in reading.others and table.absolute().is_relative_to(root):
            reading.others.remove(table.name)
    remarks = describe_left_out(folder, others=reading.others, junk=reading.junk)
    remarks += about.remarks
    if labels is None:
        remarks.append(f"{printable(str(folder))}: embedded without classes, as {reason}")
    found = about.columns if about.columns.shape[1] else None
    return ImageList(folder, root, paths, labels, remarks=tuple(remarks), metadata=found)


def _classes_of_folders(root: Path, paths: list[str]) -> tuple[list[str] | None, str, list[str]]:
    """Return the class of each image by its folder; or None, and why there are no classes.

    Last come the folders of splits.
    """
    try:
        parts, _ = split_folders(root)
    except UserError:  # as a data set, the folder would be refused
        return None, "its folders are no classes", []
    labels: list[str] = []
    classes: dict[str, str] = {}  # one text per class, not per image
    for path in paths:
        part = next((f"{part}/" for part in parts if path.startswith(f"{part}/")), "")
        name, slash, _ = path.removeprefix(part).partition("/")
        if not slash:
            return None, f"{printable(path)} lies in no folder of a class", list(parts)
        labels.append(classes.setdefault(name, name))
    return labels, "", list(parts)


def _begins_absolute(source: Path, named: Mapping[str, str]) -> bool:
    """Tell whether the paths of a list are absolute, by its first image.

    Any cell may be the path in a list without a header; in another one, a column such as
    ``/shoes/boots`` is none.
    """
    if is_typed(source):
        frame = read_typed(source)[0].head(1)
        header, rows = [str(name) for name in frame], frame.astype(object).to_numpy().tolist()
    else:
        (_, header), *others = [*itertools.islice(read_lines(source), 2)] or [(0, [])]
        rows = [cells for _, cells in others]
    column = usual_column("path", header)
    if "path" in named:
        column = column_called(named["path"], header, "path", source)
    if column is not None:
        at = header.index(column)
        cells = [cells[at] for cells in rows if at < len(cells)]
    else:
        cells = [*header, *itertools.chain(*rows)]
    return any(isinstance(cell, str) and os.path.isabs(cell) for cell in cells)


def _in_list(
    source: Path, image_root: Path | str | None, strict: bool, named: Mapping[str, str]
) -> ImageList:
    is_absolute = image_root is None and _begins_absolute(source, named)
    root = Path(os.path.abspath(os.sep)) if is_absolute else Path(image_root or source.parent)
    remarks: list[str] = []
    fixes = ["give --image-root DIR"] if image_root is None else []
    if image_root is None and not is_absolute and source.parent != Path("."):
        fixes = ["paths begin at the list's folder, or at --image-root DIR (. is this one)"]
    fixes += [RESTORE] if strict else []
    listing = read_listing(
        source,
        root,
        remarks,
        needs_class=False,
        accepts_missing=not strict,
        missing_fix="; or ".join(fixes),
        named=named,
    )
    rows = listing.rows
    have_class = [bool(row.label) for row in rows]
    if any(have_class) and not all(have_class):
        row = rows[have_class.index(False)]
        raise UserError(f"{row.where}: has no class, but other rows have one")
    paths = pa.array([f"{os.sep}{row.path}" if is_absolute else row.path for row in rows])
    labels = pa.array([row.label for row in rows]).dictionary_encode() if all(have_class) else None
    roles = None if {row.role for row in rows} == {"both"} else [row.role for row in rows]
    metadata = listing.metadata
    if listing.is_text:
        remarks += text_remarks(metadata, [row.number for row in rows], source)
        metadata = typed_texts(metadata)
    # Millions of rows: their memory is given back only if no text that is kept lies among them.
    del rows, listing, have_class
    listed = paths.to_pylist()
    if (twice := Counter(listed).most_common(1)[0])[1] > 1:
        remarks.append(f"{source}: some images are listed more than once, e.g. {twice[0]}")
    return ImageList(
        source,
        root.resolve(),
        listed,
        None if labels is None else _shared_texts(labels),
        roles,
        tuple(remarks),
        metadata,
    )


def _shared_texts(values: pa.DictionaryArray) -> list[str]:
    """Return texts of which equal ones are one object."""
    texts = values.dictionary.to_pylist()
    return [texts[at] for at in values.indices.to_numpy()]

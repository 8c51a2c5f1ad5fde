"""What is searched: the items of a run, a file of vectors, or an index, with what is known of them.

Any of them may come from somebody else, and its pictures are shown to others. So only image files
in its image folder are opened: the folder that the user names, or the one that it records if that
can be one of images, see :func:`holds_more`.

Nothing here needs TensorFlow.
"""

import dataclasses
import os
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from retrieval.datasets.containment import contained_path
from retrieval.datasets.metadata import typed_texts
from retrieval.datasets.tables import plain_arrow
from retrieval.datasets.text_files import read_table
from retrieval.deployment.index_files import INDEX_COLUMNS, is_index, read_index
from retrieval.errors import UserError, counted
from retrieval.runs.dimensions import Undecided
from retrieval.runs.embedding_files import FORMATS, read_embeddings
from retrieval.runs.embedding_folder import (
    EmbeddingFolder,
    Vectors,
    is_embedding_folder,
    open_embedding_folder,
)
from retrieval.runs.embedding_output import VECTORS, items_path
from retrieval.runs.embedding_source import Source, read_source
from retrieval.runs.item_facts import Fact, Style, fact, is_missing, json_value, style_of
from retrieval.runs.records import metadata_columns
from retrieval.runs.run import Run
from retrieval.runs.store import is_run_folder, open_run
from retrieval.validation import DEFAULT_DISTANCE


@dataclass(frozen=True)
class Gallery:
    """Vectors and their items.

    Attributes:
        path: The run, file or index.
        items: One row per vector: ``path``, ``label`` if it is known (text), and all metadata.
        width: Dimension D of the vectors.
        distance: The distance that they are compared by, e.g. ``cosine``.
        vectors: float, (n, D), maybe a memory map or parts; None if only an index is there.
        index: A faiss index of the vectors; None if they are searched exactly.
        source: What the vectors were made with; None if that is not known.
        images: Folder that the paths are relative to; None if it is not known. No image outside of
            it is opened.
        linked_roots: Folders outside of it that belong to it. Defaults to none.
        note: What a user should know of it: what it leaves out of the images of a run and how to
            search all of them, or why it has no pictures. Defaults to nothing.
        measured: Kind of the index and what was measured on it, in words. Defaults to empty.
    """

    path: Path
    items: pd.DataFrame
    width: int
    distance: str
    vectors: Vectors | None
    index: Any | None
    source: Source | None
    images: Path | None
    linked_roots: tuple[str, ...] = ()
    note: str = ""
    measured: str = ""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def pictures(self) -> str:
        """Where pictures are read from, to end a line with, as a user should see it."""
        return ", without pictures" if self.images is None else f", pictures from {self.images}"

    @property
    def columns(self) -> list[str]:
        """Names of the columns to show, in their order."""
        known = [name for name in ("label", "path") if name in self.items]
        return known + metadata_columns(self.items)

    @cached_property
    def styles(self) -> dict[str, Style]:
        """How the values of every column are written."""
        return {name: style_of(self.items[name]) for name in self.columns}

    def values(self, row: int) -> dict[str, Any]:
        """Return what is known of an item, as JSON has it: the columns, None where it has none."""
        return {
            name: json_value(self.items[name].iloc[row], style)
            for name, style in self.styles.items()
        }

    def facts(self, row: int) -> list[Fact]:
        """Return what is known of an item, as people read it; without the columns it lacks."""
        return [
            fact(name, value, style)
            for name, style in self.styles.items()
            if not is_missing(value := self.items[name].iloc[row])
        ]

    def image(self, row: int) -> Path | None:
        """Return the image file of an item; None if it is not known, or not in the folder."""
        name = self.items["path"].iloc[row] if "path" in self.items else None
        if self.images is None or not isinstance(name, str) or not name:
            return None
        if os.path.isabs(name):
            try:
                name = os.path.relpath(name, self.images)
            except ValueError:  # on another drive of Windows
                return None
        return contained_path(self.images, name, self.linked_roots)


def holds_more(folder: Path | str) -> bool:
    """Tell whether a folder holds more than images: the root, the home folder, and what is above.

    A file may record any folder. From these, it would reach every picture of the user.
    """
    home = Path(os.path.expanduser("~")).resolve()
    return Path(folder).resolve() in (home, *home.parents)


def open_gallery(
    path: Path | str, source: Source | None = None, image_root: Path | str | None = None
) -> Gallery:
    """Open what is to be searched.

    Args:
        path: The folder of a run, also of an imported one; a file of vectors, see
            :func:`retrieval.runs.embedding_files.read_embeddings`, whose items a Parquet file holds
            itself and other files have beside them; a folder of vectors in parts; or the folder of
            an index that ``retrieval index`` has made.
        source: What the stored vectors of a run were made with. Defaults to None: it is not known.
        image_root: Folder that its pictures are in. Defaults to the folder that it records.

    Returns:
        The gallery.

    Raises:
        UserError: There is no such thing, or it is damaged.
    """
    if image_root is not None and not Path(image_root).is_dir():
        raise UserError(f"--image-root {image_root}: no such folder")
    gallery = _open(Path(path), source)
    if image_root is not None:
        return dataclasses.replace(gallery, images=Path(image_root).resolve(), linked_roots=())
    if gallery.images is None:
        return gallery
    broad = [each for each in (str(gallery.images), *gallery.linked_roots) if holds_more(each)]
    if broad:
        note = (
            f"shown without pictures, as {path} records {broad[0]} as a folder of images, which "
            "holds more than images: name their folder with --image-root"
        )
        note = f"{gallery.note}; {note}" if gallery.note else note
        return dataclasses.replace(gallery, images=None, linked_roots=(), note=note)
    return gallery


def _open(path: Path, source: Source | None) -> Gallery:
    if is_index(path):
        return _of_index(path)
    if path.is_dir() and (is_run_folder(path) or (path / "config.yaml").exists()):
        return gallery_of_run(open_run(path), source)
    if is_embedding_folder(path):
        return _of_folder(open_embedding_folder(path))
    if path.is_file():
        return _of_file(path)
    if path.exists():
        raise UserError(
            f"{path}: neither a run nor an index; of a folder of images, make vectors first: "
            f"{_embed(path)}"
        )
    raise UserError(f"{path}: not there; make vectors of images first: {_embed('DIR')}")


def _embed(images: Path | str) -> str:
    """Return the command that makes vectors of images, to say in messages."""
    return f"`retrieval embed RUN --images {images} --out vectors.parquet`"


def gallery_of_run(run: Run, source: Source | None = None) -> Gallery:
    """Return the items of a run, with the vectors that it stores.

    Args:
        run: The run.
        source: What they were made with. Defaults to None: it is not known.

    Raises:
        UserError: The run holds ranked lists and has no vectors.
    """
    vectors, items = run.embeddings, run.items.copy(deep=False)
    items["label"] = items["label_name"].astype(str)
    config = run.dataset_config
    return Gallery(
        path=run.path,
        items=items,
        width=vectors.shape[1],
        distance=run.result().protocol.distance,
        vectors=vectors,
        index=None,
        source=source,
        images=config.root,
        linked_roots=tuple(config.linked_roots),
        note=_note(run, len(items)),
    )


def _note(run: Run, n: int) -> str:
    """Say that only the test split of a run is searched, and how to search all of its images."""
    config = run.dataset_config
    if run.settings is None or not config.n_train or config.root is None:
        return ""
    given, options = run.settings.data, []
    listed = given is not None and os.path.isfile(given)
    if listed:
        named = {"--image-root": "image_root", "--label": "label", "--path": "path"}
        for flag, name in named.items():
            if (value := config.options.get(name)) is not None:
                options += [flag, str(value)]
    images = str(given) if listed else str(config.root)
    command = ["retrieval", "embed", str(run.path), "--images", images, *options]
    typed = shlex.join([*command, "--out", "all.parquet"])
    return (
        f"only the {counted(n, 'image')} of the test split are searched, and not the "
        f"{config.n_train:,} of the training split; to search all, `{typed}` and then --gallery "
        "all.parquet"
    )


def _of_file(path: Path) -> Gallery:
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path}: no file of vectors, which ends in {', '.join(FORMATS)}")
    source = read_source(path)
    if path.suffix.lower() == ".parquet" and VECTORS in pq.read_schema(path).names:
        vectors = read_embeddings(path, [VECTORS])
    elif path.suffix.lower() == ".npy":
        read_embeddings(path, items=0)  # checks every value
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    else:
        vectors = _vectors_of_table(path)
    return _of_vectors(path, vectors, _items_of_file(path, len(vectors)), source)


def _of_folder(folder: EmbeddingFolder) -> Gallery:
    items = pd.read_parquet(folder.items)
    return _of_vectors(folder.path, folder.open(), items, folder.source)


def _of_vectors(
    path: Path, vectors: Vectors, items: pd.DataFrame, source: Source | None
) -> Gallery:
    if len(items) != len(vectors):
        raise UserError(
            f"{items_path(path) or path}: {len(items):,} items for the {len(vectors):,} vectors of "
            f"{path.name}; make both again"
        )
    return Gallery(
        path=path,
        items=_with_labels(items),
        width=vectors.shape[1],
        distance=DEFAULT_DISTANCE if source is None else source.distance,
        vectors=vectors,
        index=None,
        source=source,
        images=Path(source.images) if source is not None and source.images else None,
        linked_roots=() if source is None else source.linked_roots,
    )


def _vectors_of_table(path: Path) -> np.ndarray:
    try:
        return read_embeddings(path)
    except Undecided as error:
        if error.has_none:
            fix = f"if it lists images, make their vectors first: {_embed(path)}"
        else:
            fix = "leave one embedding in it, or search the run that `retrieval import` makes of it"
        raise UserError(f"{error.problem}; {fix}") from None


def _items_of_file(path: Path, n: int) -> pd.DataFrame:
    if path.suffix.lower() == ".parquet":
        file = pq.ParquetFile(path)
        flat = [field.name for field in file.schema_arrow if not _is_list(field)]
        if not flat:
            return _unnamed(n)
        table = file.read(flat)
        return pd.DataFrame({name: plain_arrow(table.column(name)) for name in flat})
    beside = items_path(path)
    if beside is None or not beside.exists():
        return _unnamed(n)
    return typed_texts(read_table(beside, dtype=str, keep_default_na=False))


def _is_list(field: Any) -> bool:
    return str(field.type).startswith(("list", "fixed_size_list", "large_list"))


def _unnamed(n: int) -> pd.DataFrame:
    return pd.DataFrame({"path": [f"row {row}" for row in range(n)]})


def _with_labels(items: pd.DataFrame) -> pd.DataFrame:
    """Return items whose label is a text: its name, if it has one."""
    items = items.copy(deep=False)
    name = next((name for name in ("label_name", "label") if name in items), None)
    if name is not None:
        items["label"] = items[name].astype(str)
    return items


def _of_index(path: Path) -> Gallery:
    opened = read_index(path)
    manifest = opened.manifest
    return Gallery(
        path=path,
        items=_with_labels(opened.items.drop(columns=list(INDEX_COLUMNS), errors="ignore")),
        width=manifest.width,
        distance=manifest.distance,
        vectors=None,
        index=opened.index,
        source=manifest.made_with,
        images=Path(manifest.images) if manifest.images else None,
        linked_roots=tuple(manifest.linked_roots),
        measured=f"{manifest.words} of {manifest.n:,} vectors, {manifest.recall_words}",
    )


def check_comparable(query: Source, gallery: Gallery) -> list[str]:
    """Check that the vectors of a query and of a gallery are of one network.

    Args:
        query: What the queries are embedded with.
        gallery: The gallery.

    Returns:
        Warnings, one line each, where they may not be: it is not known, or the images are prepared
        in another way.

    Raises:
        UserError: The dimensions differ, or the vectors are of another network or checkpoint.
    """
    made = gallery.source
    if query.width != gallery.width:
        by = "" if made is None else f" by {made.words}"
        raise UserError(
            f"{gallery.path}: vectors of {gallery.width} dimensions{by}, and {query.words} gives "
            f"{query.width}: search with the run that made them"
        )
    if made is None:
        return [
            f"{gallery.path} does not say which network made its vectors: similarities mean "
            f"nothing unless it was {query.words}"
        ]
    if made.network != query.network:
        raise UserError(
            f"{gallery.path}: its vectors are by {made.words}, and the queries' by {query.words}: "
            "search with that run and --checkpoint, or embed the gallery again"
        )
    mine, other = query.how_embedded(), made.how_embedded()
    differing = [name for name in sorted({*mine, *other}) if mine.get(name) != other.get(name)]
    if differing:
        shown = ", ".join(f"{name} {other.get(name)} / {mine.get(name)}" for name in differing)
        return [f"{gallery.path}: embedded otherwise than the queries (gallery / query): {shown}"]
    return []

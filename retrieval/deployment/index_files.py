"""The folder of an index: ``index.faiss`` (or a LanceDB), ``ids.parquet`` and ``manifest.json``."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from retrieval.errors import UserError
from retrieval.files import digest, write_json
from retrieval.runs.embedding_source import Source, check_folders, source_from

INDEX, IDS, MANIFEST = "index.faiss", "ids.parquet", "manifest.json"
VERSION = 1
ID = "index_id"  # column of ids.parquet: the number that the index returns
INDEX_COLUMNS = (ID,)
AGAIN = "make it again with `retrieval index`"


@dataclass(frozen=True)
class Manifest:
    """What an index is, and what was measured on it.

    Attributes:
        type: Kind of index, e.g. ``hnsw``.
        parameters: Its parameters, by name.
        distance: Distance of the vectors, e.g. ``cosine``; those of cosine are stored normalized.
        metric: Name of the metric in the library, ``inner product`` or ``squared L2``.
        n: Number of vectors.
        width: Their dimension D.
        k: Number of neighbors that were measured.
        recall: Share of the exact k nearest vectors that the index found, from 0 to 1.
        n_checked: Number of queries that this was measured on, drawn from the vectors themselves.
        seed: Seed of the draw.
        queries_per_second: Of one call with all checked queries.
        threads: Number of threads of that call.
        bytes_per_vector: Size of the index on the disk over ``n``.
        seconds_to_build: Time to train and fill the index.
        checksum: CRC-32 of the index file; 0 of a folder.
        images: Folder that the paths are relative to; empty if it is not known.
        linked_roots: Folders outside of it that its own links lead to. Defaults to none.
        source: What the vectors were made with, as JSON has it; None if it is not known.
        version: Version of this file.
    """

    type: str
    parameters: dict[str, Any]
    distance: str
    metric: str
    n: int
    width: int
    k: int
    recall: float
    n_checked: int
    seed: int
    queries_per_second: float
    threads: int
    bytes_per_vector: float
    seconds_to_build: float
    checksum: int = 0
    images: str = ""
    linked_roots: Sequence[str] = ()
    source: Mapping[str, Any] | None = None
    version: int = VERSION

    @property
    def made_with(self) -> Source | None:
        """What the vectors were made with; None if it is not known."""
        return None if self.source is None else source_from(self.source)

    @property
    def words(self) -> str:
        """The kind of index and its parameters in words."""
        given = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        return self.type + (f" ({given})" if given else "")

    @property
    def recall_words(self) -> str:
        """What the index finds of the exact neighbors, in words."""
        return (
            f"recall@{self.k} {100 * self.recall:.2f}% against exact search, on "
            f"{self.n_checked:,} of its vectors as queries"
        )


@dataclass(frozen=True)
class OpenedIndex:
    """An index that was read.

    Attributes:
        manifest: What it is.
        index: The index of faiss.
        items: One row per vector, in the order of the ids.
    """

    manifest: Manifest
    index: Any
    items: pd.DataFrame


def is_index(path: Path) -> bool:
    """Tell whether a path is the folder of an index."""
    return (path / MANIFEST).is_file() and (path / IDS).is_file()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of an index, with the checksum of its file."""
    file = folder / INDEX
    checksum = digest(file) if file.exists() else 0
    write_json(
        folder / MANIFEST, dataclasses.asdict(dataclasses.replace(manifest, checksum=checksum))
    )


def read_manifest(folder: Path) -> Manifest:
    """Read what an index is.

    Raises:
        UserError: The manifest is missing, damaged, or of a newer version.
    """
    file = folder / MANIFEST
    try:
        manifest = Manifest(**json.loads(file.read_text(encoding="utf-8")))
        made_with = manifest.made_with
        check_folders(manifest.images, *manifest.linked_roots)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{file}: missing or damaged: {AGAIN}") from error
    if manifest.version > VERSION or (made_with is None) != (manifest.source is None):
        raise UserError(f"{file}: of a newer version: update the workbench")
    return manifest


def read_index(folder: Path) -> OpenedIndex:
    """Read an index and check that its files belong together.

    Args:
        folder: A folder that ``retrieval index`` has made.

    Returns:
        The index.

    Raises:
        UserError: A file is damaged or does not fit the others, or it is a LanceDB.
    """
    import faiss  # imported here because only indexes need it

    manifest, file = read_manifest(folder), folder / INDEX
    if not file.exists() and manifest.type == "lancedb":
        raise UserError(
            f"{folder}: a LanceDB, which its own library searches, with lancedb.connect(FOLDER)."
            "open_table('vectors').search(VECTOR): give the vectors themselves as --gallery"
        )
    if not file.exists() or digest(file) != manifest.checksum:
        raise UserError(f"{file}: missing or damaged: {AGAIN}")
    try:
        index = faiss.read_index(str(file))
        items = pd.read_parquet(folder / IDS)
    except Exception as error:  # a damaged file may raise anything
        raise UserError(f"{folder}: cannot be read: {AGAIN}") from error
    if not index.ntotal == len(items) == manifest.n or index.d != manifest.width:
        raise UserError(f"{folder}: its files do not belong together: {AGAIN}")
    return OpenedIndex(manifest, index, items)

"""Vectors that stay in parts: a folder instead of a file, for more than one file should hold.

``vectors/`` holds ``part-00000.npy``, ``part-00001.npy``, ... (float32, (n, D) each, readable as
memory maps), ``items.parquet`` with one row per vector, ``skipped.csv`` if images were left out,
and ``parts.json``, which lists the parts in order with their sizes and checksums and says what they
were made with. Nobody ever reads or writes all vectors at once to make it.
"""

import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import UserError
from retrieval.files import checksum
from retrieval.runs.embedding_source import Source, source_from

INDEX, ITEMS, SKIPPED = "parts.json", "items.parquet", "skipped.csv"
VERSION = 1
OPENED = 256  # parts whose memory maps are kept


class VectorParts:
    """Vectors in several files, one after the other, that are read as one matrix.

    It has what an array has as far as searching and indexing need it: ``shape``, ``dtype``,
    ``size`` and rows by number, slice or array of numbers. What is asked for is copied to memory,
    and no more; files are opened when they are needed.
    """

    def __init__(self, files: Sequence[Path], counts: Sequence[int], width: int) -> None:
        """Put files one after the other.

        Args:
            files: ``.npy`` files of float32, (n_i, D).
            counts: Number n_i of vectors of each.
            width: Their dimension D.
        """
        self.files = list(files)
        self.ends = np.cumsum([0, *counts])
        self.shape = (int(self.ends[-1]), width)
        self.dtype, self.ndim = np.dtype(np.float32), 2
        self.size = self.shape[0] * self.shape[1]
        # The system allows some ten thousand memory maps at a time, and there may be more parts.
        self._map = functools.lru_cache(OPENED)(self._opened)

    def _opened(self, number: int) -> np.ndarray:
        file, n = self.files[number], int(self.ends[number + 1] - self.ends[number])
        try:
            array: np.ndarray = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise damaged(file) from error
        if array.shape != (n, self.shape[1]) or array.dtype != self.dtype:
            raise damaged(file)
        return array

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return one row (D,), or the rows of a slice or of an array of numbers (n, D)."""
        if isinstance(rows, slice):
            first, stop, step = rows.indices(len(self))
            if step == 1:
                return self._between(first, max(first, stop))
            rows = np.arange(first, stop, step)
        if np.ndim(rows) == 0:
            found: np.ndarray = self[np.array([range(len(self))[int(rows)]])][0]
            return found
        wanted = np.asarray(rows)
        if wanted.dtype == bool:
            wanted = np.flatnonzero(wanted)
        wanted = np.where(wanted < 0, wanted + len(self), wanted).astype(np.int64)
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= len(self)):
            raise IndexError(f"a row is none of 0 to {len(self) - 1}")
        made = np.empty((len(wanted), self.shape[1]), np.float32)
        where = np.searchsorted(self.ends, wanted, side="right") - 1
        for number in np.unique(where):
            chosen = where == number
            made[chosen] = self._map(number)[wanted[chosen] - self.ends[number]]
        return made

    def _between(self, first: int, stop: int) -> np.ndarray:
        made = np.empty((stop - first, self.shape[1]), np.float32)
        at = first
        while at < stop:
            number = int(np.searchsorted(self.ends, at, side="right")) - 1
            start = int(self.ends[number])
            end = min(stop, int(self.ends[number + 1]))
            made[at - first : end - first] = self._map(number)[at - start : end - start]
            at = end
        return made

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return all vectors in memory."""
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)


Vectors = np.ndarray | VectorParts


@dataclass(frozen=True)
class PartFile:
    """A part of the vectors of a folder.

    Attributes:
        file: Name of its file in the folder.
        n: Number of vectors.
        checksum: CRC-32 of the file.
    """

    file: str
    n: int
    checksum: int


@dataclass(frozen=True)
class EmbeddingFolder:
    """A folder of vectors in parts.

    Attributes:
        path: The folder.
        n: Number N of vectors.
        width: Their dimension D.
        parts: The parts, in order.
        source: What the vectors were made with; None if that is not known.
    """

    path: Path
    n: int
    width: int
    parts: tuple[PartFile, ...]
    source: Source | None

    @property
    def items(self) -> Path:
        """The table of the items, one row per vector."""
        return self.path / ITEMS

    def open(self) -> VectorParts:
        """Return the vectors as memory maps; a damaged part is refused when it is reached."""
        files = [self.path / part.file for part in self.parts]
        return VectorParts(files, [part.n for part in self.parts], self.width)

    def read(self) -> np.ndarray:
        """Read all vectors into memory, float32 (N, D), and compare the checksums.

        Raises:
            UserError: A part is missing or damaged.
        """
        for part in self.parts:
            path = self.path / part.file
            if not path.is_file() or checksum([path]) != part.checksum:
                raise damaged(path)
        return self.open()[:]


def damaged(file: Path) -> UserError:
    """Return what to say about a part that is missing or damaged."""
    return UserError(
        f"{file}: missing or damaged: give the command that made {file.parent.name} again, with "
        "--overwrite"
    )


def is_embedding_folder(path: Path) -> bool:
    """Tell whether a path is a folder of vectors in parts."""
    return (path / INDEX).is_file()


def open_embedding_folder(path: Path) -> EmbeddingFolder:
    """Open a folder of vectors in parts.

    Raises:
        UserError: It is none, or its list of parts is damaged.
    """
    file = path / INDEX
    if not file.is_file():
        raise UserError(f"{path}: no folder of vectors, which has a {INDEX}")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        parts = tuple(PartFile(**each) for each in found["parts"])
        for part in parts:
            if Path(part.file).name != part.file:
                raise ValueError("a part outside of the folder")
        n, width = int(found["n"]), int(found["width"])
        if found["version"] != VERSION or n != sum(part.n for part in parts):
            raise ValueError("another version, or parts are missing")
        source = None if found["source"] is None else source_from(found["source"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file}: cannot be read: embed the images again") from error
    return EmbeddingFolder(path, n, width, parts, source)


def index_text(width: int, parts: Iterable[PartFile], source: Source | None) -> str:
    """Return the content of ``parts.json``.

    Args:
        width: Dimension D of the vectors.
        parts: The parts that hold vectors, in order.
        source: What the vectors were made with; None if that is not known.
    """
    listed = [vars(part) for part in parts]
    content = {
        "version": VERSION,
        "n": sum(part["n"] for part in listed),
        "width": width,
        "source": None if source is None else json.loads(source.to_json()),
        "parts": listed,
    }
    return json.dumps(content, indent=1) + "\n"


def row_blocks(rows: Iterable[np.ndarray], least: int) -> Iterator[np.ndarray]:
    """Join arrays of numbers until they are so many, or no more are there."""
    joined: list[np.ndarray] = []
    for each in rows:
        joined.append(each)
        if sum(map(len, joined)) >= least:
            yield np.concatenate(joined)
            joined = []
    if joined:
        yield np.concatenate(joined)

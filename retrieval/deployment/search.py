"""``retrieval search``: the nearest items of a gallery to new photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrieval.deployment.embedder import Embedder, source_of_run
from retrieval.deployment.gallery import Gallery, cells, check_comparable, open_gallery
from retrieval.deployment.index import build_index, measure_index
from retrieval.deployment.nearest import nearest, nearest_by_index
from retrieval.errors import UserError
from retrieval.runs.store import is_run_folder, open_run
from retrieval.validation import check_integer

DEFAULT_K = 10


@dataclass(frozen=True)
class Queries:
    """What is searched for.

    Attributes:
        names: The queries as the user gave them.
        vectors: float32, (m, D).
        images: The image file of each query; None for one that is no image.
    """

    names: list[str]
    vectors: np.ndarray
    images: list[Path | None]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Hits:
    """The nearest items of a gallery to each query.

    Attributes:
        queries: The queries.
        gallery: The gallery.
        rows: int64, (m, k), its rows, nearest first; -1 pads.
        similarities: float32, (m, k): cosine, or negative distance.
        how: How they were found, in words.
        warnings: What may make them meaningless, one line each.
    """

    queries: Queries
    gallery: Gallery
    rows: np.ndarray
    similarities: np.ndarray
    how: str
    warnings: tuple[str, ...] = ()

    def found(self, query: int) -> np.ndarray:
        """Return the rows of the gallery that one query found, nearest first."""
        rows = self.rows[query]
        return rows[rows >= 0]

    def table(self, query: int) -> pd.DataFrame:
        """Return the items that one query found.

        Args:
            query: Place of the query.

        Returns:
            Columns ``rank`` from 1, ``similarity``, and those of the gallery: ``label``, ``path``
            and all metadata.
        """
        rows = self.found(query)
        found = self.gallery.items[self.gallery.columns].iloc[rows].reset_index(drop=True)
        found.insert(0, "rank", np.arange(1, len(rows) + 1))
        found.insert(1, "similarity", self.similarities[query][: len(rows)])
        return found

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it, for scripts."""
        return {
            "gallery": str(self.gallery.path),
            "distance": self.gallery.distance,
            "how": self.how,
            "warnings": list(self.warnings),
            "queries": [
                {"query": name, "hits": self._hits(place)}
                for place, name in enumerate(self.queries.names)
            ],
        }

    def _hits(self, query: int) -> list[dict[str, Any]]:
        table, rows = self.table(query), self.found(query).tolist()
        lines = table.astype(object).itertuples(index=False)
        return [
            {"row": row} | dict(zip(table.columns, cells(line), strict=True))
            for row, line in zip(rows, lines, strict=True)
        ]


def read_queries(given: Sequence[str], embedder: Embedder) -> Queries:
    """Read and embed what is searched for: image files.

    Args:
        given: The queries as the user typed them.
        embedder: Embeds them.

    Returns:
        The queries and their vectors.

    Raises:
        UserError: There is no query, or one is no image that can be read.
    """
    if not given:
        raise UserError("give a photo to search by, e.g. `retrieval search RUN photo.jpg`")
    files = [Path(name) for name in given]
    for file in files:
        if file.is_dir():
            raise UserError(f"{file}: a folder; give image files, e.g. {file}/*.jpg")
        if not file.is_file():
            raise UserError(f"{file}: no such image to search by")
    return Queries(list(given), embedder.embed(files), list(files))


def gallery_for(embedder: Embedder, path: Path | str | None = None) -> Gallery:
    """Open what an embedder's run searches.

    Args:
        embedder: Embeds the queries.
        path: A run, vectors or an index; see :func:`retrieval.deployment.gallery.open_gallery`.
            Defaults to the items of the embedder's own run.

    Returns:
        The gallery, whose vectors may not fit: see :func:`search`.

    Raises:
        UserError: There is no such gallery.
    """
    path = embedder.path if path is None else Path(path)
    source = source_of_run(open_run(path)) if is_run_folder(path) else None
    return open_gallery(path, source)


def search(
    queries: Queries,
    gallery: Gallery,
    embedder: Embedder,
    k: int = DEFAULT_K,
    *,
    index: str | None = None,
    seed: int = 0,
) -> Hits:
    """Find the items of a gallery that are nearest to the queries.

    Args:
        queries: See :func:`read_queries`.
        gallery: See :func:`gallery_for`. If it is an index, the index is searched.
        embedder: What embedded the queries.
        k: Number of items per query, at least 1. Defaults to 10.
        index: Kind of index to search with, ``hnsw`` or ``ivfpq``, whose recall is measured first.
            Defaults to None: every vector is compared, exactly.
        seed: Seed of the vectors that the recall is measured on. Defaults to 0.

    Returns:
        The items.

    Raises:
        UserError: The vectors are of another network, or an option is invalid.
    """
    k = check_integer("k", k, least=1)
    warnings = check_comparable(embedder.source, gallery)
    distance = gallery.distance
    if gallery.index is not None:
        if index is not None:
            raise UserError(f"{gallery.path} is an index already: drop --index")
        rows, values = nearest_by_index(queries.vectors, gallery.index, distance, k)
        how = f"by the index {gallery.path}"
    elif index is not None:
        assert gallery.vectors is not None
        built = build_index(gallery.vectors, distance, index)
        measured = measure_index(gallery.vectors, distance, built.index, k=k, seed=seed)
        rows, values = nearest_by_index(queries.vectors, built.index, distance, k)
        how = f"APPROXIMATE, by {index}: {measured.words}"
    else:
        assert gallery.vectors is not None
        rows, values = nearest(queries.vectors, gallery.vectors, distance, k)
        how = f"exact, among {len(gallery):,}"
    return Hits(queries, gallery, rows, values, f"{how}, {distance}", tuple(warnings))

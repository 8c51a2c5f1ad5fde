"""``retrieval search``: the nearest items of a gallery to new photos, or to texts."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrieval.deployment.embedder import Embedder, source_of_run
from retrieval.deployment.gallery import Gallery, check_comparable, open_gallery
from retrieval.deployment.index import build_index, measure_index
from retrieval.deployment.nearest import nearest, nearest_by_index
from retrieval.deployment.text import (
    AS_GIVEN,
    check_text_distance,
    cut_texts,
    is_text,
    trained_further,
)
from retrieval.errors import UserError
from retrieval.runs.item_facts import is_missing, value_text
from retrieval.runs.store import is_run_folder, open_run
from retrieval.validation import check_integer

DEFAULT_K = 10


@dataclass(frozen=True)
class Queries:
    """What is searched for.

    Attributes:
        names: The queries as the user gave them.
        vectors: float32, (m, D).
        images: The image file of each query; None for a text.
        remarks: What was noticed about them, one line each. Defaults to nothing.
    """

    names: list[str]
    vectors: np.ndarray
    images: list[Path | None]
    remarks: tuple[str, ...] = ()

    @property
    def have_texts(self) -> bool:
        """Whether a query is a text."""
        return None in self.images

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

    def text_table(self, query: int) -> pd.DataFrame:
        """Return :meth:`table` as people read it: texts, empty where an item has no value."""
        table, styles = self.table(query), self.gallery.styles
        texts = {
            name: [
                "" if is_missing(value) else value_text(value, styles[name])
                for value in table[name]
            ]
            for name in self.gallery.columns
        }
        similarity = [f"{value:.4f}" for value in table["similarity"]]
        return pd.DataFrame({"rank": table["rank"], "similarity": similarity, **texts})

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it, for scripts."""
        return {
            "gallery": str(self.gallery.path),
            "distance": self.gallery.distance,
            "how": self.how,
            "note": self.gallery.note,
            "warnings": list(self.warnings),
            "queries": [
                {"query": name, "hits": self._hits(place)}
                for place, name in enumerate(self.queries.names)
            ],
        }

    def _hits(self, query: int) -> list[dict[str, Any]]:
        found = zip(self.found(query).tolist(), self.similarities[query].tolist(), strict=False)
        return [
            {"row": row, "rank": rank, "similarity": similarity} | self.gallery.values(row)
            for rank, (row, similarity) in enumerate(found, 1)
        ]


def read_queries(
    given: Sequence[str],
    embedder: Embedder,
    *,
    texts: Sequence[str] = (),
    prompt: str = AS_GIVEN,
) -> Queries:
    """Read and embed what is searched for: image files, and texts.

    Args:
        given: The queries as the user typed them: paths of images, or texts; see
            :func:`retrieval.deployment.text.is_text`.
        embedder: Embeds them.
        texts: More queries, which are texts whatever they look like. Defaults to none.
        prompt: Template that each text is put into, such as ``"a photo of {}"``. Defaults to the
            text alone.

    Returns:
        The queries and their vectors: images and texts as they were given, then ``texts``.

    Raises:
        UserError: There is no query, one is no image that can be read, or a text is given and the
            run's images are not in the space of texts.
    """
    if not given and not texts:
        raise UserError(
            "give a photo to search by, e.g. `retrieval search RUN photo.jpg`, or a text"
        )
    names = [*given, *texts]
    as_text = [*(is_text(name) for name in given), *(True for _ in texts)]
    files = [Path(name) for name, text in zip(names, as_text, strict=True) if not text]
    for file in files:
        if file.is_dir():
            raise UserError(f"{file}: a folder; give image files, e.g. {file}/*.jpg")
        if not file.is_file():
            raise UserError(f"{file}: no such image to search by; a text is given with --text")
    words = [name for name, text in zip(names, as_text, strict=True) if text]
    if prompt != AS_GIVEN and not words:
        raise UserError("--prompt is for texts, and no query is one: drop it")
    remarks: list[str] = []
    vectors = np.empty((len(names), embedder.width), np.float32)
    of_text = np.array(as_text)
    vectors[~of_text] = embedder.embed(files)
    if words:
        vectors[of_text] = embedder.embed_texts(words, prompt)
        remarks += cut_texts(embedder.text_tower, words, [prompt])
        remarks += filter(None, [trained_further(embedder.settings)])
    images = [None if text else Path(name) for name, text in zip(names, as_text, strict=True)]
    return Queries(names, vectors, images, tuple(remarks))


def gallery_for(
    embedder: Embedder, path: Path | str | None = None, image_root: Path | str | None = None
) -> Gallery:
    """Open what an embedder's run searches.

    Args:
        embedder: Embeds the queries.
        path: A run, vectors or an index; see :func:`retrieval.deployment.gallery.open_gallery`.
            Defaults to the items of the embedder's own run.
        image_root: Folder that its pictures are in. Defaults to the folder that it records.

    Returns:
        The gallery, whose vectors may not fit: see :func:`search`.

    Raises:
        UserError: There is no such gallery.
    """
    path = embedder.path if path is None else Path(path)
    source = source_of_run(open_run(path)) if is_run_folder(path) else None
    return open_gallery(path, source, image_root)


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
    source = embedder.source
    if gallery.source is not None and all(image is None for image in queries.images):
        # How images are prepared tells nothing of a text.
        source = dataclasses.replace(source, **gallery.source.how_embedded())
    warnings = [*queries.remarks, *check_comparable(source, gallery)]
    distance = gallery.distance
    if queries.have_texts:
        check_text_distance(distance, gallery.path)
    if gallery.index is not None:
        if index is not None:
            raise UserError(f"{gallery.path} is an index already: drop --index")
        rows, values = nearest_by_index(queries.vectors, gallery.index, distance, k)
        how = f"by an index, {gallery.measured}"
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

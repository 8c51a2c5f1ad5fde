"""``retrieval index``: an index of vectors for other programs, with its loss against exact search.

The kinds are those of faiss (Douze et al. 2024, "The Faiss library"): ``flat`` compares with every
vector, ``hnsw`` walks a graph of neighbors (Malkov and Yashunin 2018), and ``ivfpq`` visits some
lists of vectors that are compressed by product quantization (Jegou, Douze and Schmid 2011).
``lancedb`` writes a table of LanceDB with the vectors and all columns.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from retrieval.deployment.gallery import Gallery
from retrieval.deployment.index_files import (
    ID,
    IDS,
    INDEX,
    MANIFEST,
    Manifest,
    is_index,
    write_manifest,
)
from retrieval.deployment.nearest import nearest, nearest_by_index
from retrieval.errors import UserError, how_to_install
from retrieval.evaluation.approximate import CHUNK, EF_CONSTRUCTION, LINKS
from retrieval.evaluation.search.distances import CITYBLOCK, kind_of, normalize
from retrieval.files import (
    atomic_folder,
    check_space,
    file_lock,
    recover_folder,
    remove,
    replace_folder,
)
from retrieval.runs.embedding_folder import Vectors
from retrieval.validation import check_choice, check_integer, check_seed

N_CHECKED, CHECKED_K = 1000, 10  # queries and neighbors that an index is measured on
VISITED = 64  # candidates of HNSW per query
CENTERS = 256  # of each part of a compressed vector, one byte
DIMENSIONS_PER_BYTE = 4  # of a compressed vector
TRAINED_PER_LIST = 64  # vectors that the centers of the lists are trained on, per center
TABLE = "vectors"  # of LanceDB


@dataclass(frozen=True)
class BuiltIndex:
    """An index in memory.

    Attributes:
        index: The index of faiss.
        parameters: Its parameters, by name.
        seconds: Time to build it.
    """

    index: Any
    parameters: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class Measured:
    """How well and how fast an index finds neighbors.

    Attributes:
        recall: Share of the exact k nearest vectors found, from 0 to 1.
        k: Number of neighbors.
        n_checked: Number of queries, drawn from the vectors; each without itself.
        queries_per_second: Of one call with all of them.
        threads: Number of threads of that call.
    """

    recall: float
    k: int
    n_checked: int
    queries_per_second: float
    threads: int

    @property
    def words(self) -> str:
        """The figures in one line."""
        return (
            f"recall@{self.k} {100 * self.recall:.2f}% against exact search, on "
            f"{self.n_checked:,} of its vectors as queries; {self.queries_per_second:,.0f} queries "
            f"per second in one call, {self.threads} threads"
        )


def build_index(vectors: Vectors, distance: str, kind: str) -> BuiltIndex:
    """Build an index of faiss.

    Args:
        vectors: float, (n, D); a memory map, or vectors in parts, are read in parts.
        distance: ``cosine``, ``euclidean`` or ``squared_euclidean``.
        kind: One of :data:`INDEXES`.

    Returns:
        The index, which holds the rows in their order.

    Raises:
        UserError: An unknown kind, a distance without an index, or too few vectors.
    """
    import faiss  # imported here because only indexes need it

    check_choice("index", kind, INDEXES)
    if kind_of(distance) == CITYBLOCK:
        raise UserError(f"distance {distance!r} has no index: search exactly")
    metric = faiss.METRIC_INNER_PRODUCT if distance == "cosine" else faiss.METRIC_L2
    began = time.perf_counter()
    index, parameters = INDEXES[kind](vectors, distance, metric)
    for start in range(0, len(vectors), CHUNK):
        index.add(_rows(vectors[start : start + CHUNK], distance))
    return BuiltIndex(index, parameters, time.perf_counter() - began)


def _flat(vectors: Vectors, distance: str, metric: int) -> tuple[Any, dict[str, Any]]:
    import faiss

    return faiss.IndexFlat(vectors.shape[1], metric), {}


def _hnsw(vectors: Vectors, distance: str, metric: int) -> tuple[Any, dict[str, Any]]:
    import faiss

    index: Any = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, metric)
    index.hnsw.efConstruction, index.hnsw.efSearch = EF_CONSTRUCTION, VISITED
    return index, {"links": LINKS, "efConstruction": EF_CONSTRUCTION, "efSearch": VISITED}


def _ivfpq(vectors: Vectors, distance: str, metric: int) -> tuple[Any, dict[str, Any]]:
    import faiss

    n, width = vectors.shape
    if n < CENTERS:
        raise UserError(
            f"ivfpq needs at least {CENTERS} vectors to learn its code, and there are {n}: use "
            "flat or hnsw"
        )
    lists = max(1, min(int(4 * np.sqrt(n)), n // 39))
    wanted = max(1, width // DIMENSIONS_PER_BYTE)
    parts = next(each for each in range(wanted, 0, -1) if width % each == 0)
    coarse = faiss.IndexFlatIP(width) if distance == "cosine" else faiss.IndexFlatL2(width)
    index: Any = faiss.IndexIVFPQ(coarse, width, lists, parts, 8, metric)
    index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1
    step = max(1, n // max(TRAINED_PER_LIST * lists, TRAINED_PER_LIST * CENTERS))
    index.train(_rows(vectors[::step], distance))
    index.nprobe = max(1, lists // 8)
    return index, {"lists": lists, "nprobe": index.nprobe, "bytes per code": parts}


INDEXES: dict[str, Callable[[Vectors, str, int], tuple[Any, dict[str, Any]]]] = {
    "flat": _flat,
    "hnsw": _hnsw,
    "ivfpq": _ivfpq,
}
TYPES = (*INDEXES, "lancedb")


def _rows(vectors: np.ndarray, distance: str) -> np.ndarray:
    part = normalize(vectors) if distance == "cosine" else vectors
    return np.ascontiguousarray(part, np.float32)


Finder = Callable[[np.ndarray, int], np.ndarray]  # queries (m, D) and k to rows (m, k), -1 pads


def measure(
    vectors: Vectors,
    distance: str,
    find: Finder,
    *,
    k: int = CHECKED_K,
    n_checked: int = N_CHECKED,
    seed: int = 0,
    threads: int = 1,
) -> Measured:
    """Measure which share of the exact neighbors an index finds, and how fast.

    Args:
        vectors: float, (n, D), which the index holds.
        distance: Their distance.
        find: The search of the index.
        k: Number of neighbors, without the query itself. Defaults to 10.
        n_checked: Number of vectors drawn as queries. Defaults to 1000.
        seed: Seed of the draw. Defaults to 0.
        threads: Number of threads that the search uses, for the record. Defaults to 1.

    Returns:
        The figures; a recall of 1 if there are no neighbors at all.

    Raises:
        UserError: A number is out of its range.
    """
    k = min(check_integer("k", k, least=1), max(1, len(vectors) - 1))
    n = min(check_integer("n_checked", n_checked, least=1), len(vectors))
    drawn = np.random.default_rng(check_seed("seed", seed)).choice(len(vectors), n, replace=False)
    own = np.sort(drawn)
    queries = np.asarray(vectors[own], np.float32)
    began = time.perf_counter()
    found = find(queries, k + 1)
    seconds = max(time.perf_counter() - began, 1e-9)
    exact = nearest(queries, vectors, distance, k + 1)[0]
    hits = of = 0
    for row, mine, true in zip(own, found, exact, strict=True):
        wanted = [each for each in true if each != row][:k]
        shown = [each for each in mine if each not in (row, -1)][:k]
        hits, of = hits + len(set(wanted) & set(shown)), of + len(wanted)
    return Measured(hits / of if of else 1.0, k, n, n / seconds, threads)


def measure_index(gallery: Vectors, distance: str, index: Any, **options: int) -> Measured:
    """Measure an index of faiss; see :func:`measure`, which takes the options."""
    import faiss

    return measure(
        gallery,
        distance,
        lambda queries, k: nearest_by_index(queries, index, distance, k)[0],
        threads=faiss.omp_get_max_threads(),
        **options,
    )


def write_index(
    gallery: Gallery,
    out: Path | str,
    kind: str = "flat",
    *,
    k: int = CHECKED_K,
    n_checked: int = N_CHECKED,
    seed: int = 0,
    overwrite: bool = False,
) -> Manifest:
    """Build an index of a gallery, measure it, and write its folder as a whole.

    Args:
        gallery: A gallery with its vectors.
        out: The folder to make.
        kind: One of :data:`TYPES`. Defaults to ``flat``.
        k: Number of neighbors that are measured. Defaults to 10.
        n_checked: Number of queries that are measured. Defaults to 1000.
        seed: Seed of their draw. Defaults to 0.
        overwrite: Whether to replace an index that is there. Defaults to False.

    Returns:
        What was made.

    Raises:
        UserError: An unknown kind, a gallery that is an index itself, a folder that is in the way,
            or LanceDB is not installed.
    """
    out = Path(out)
    check_choice("type", kind, TYPES)
    if gallery.vectors is None:
        raise UserError(f"{gallery.path} is an index: give the run or the vectors it was made of")
    _check_free(out, overwrite=overwrite)
    check_space(out.parent, 4 * gallery.vectors.size)
    options = {"k": k, "n_checked": n_checked, "seed": seed}
    with file_lock(out.with_name(f".{out.name}.lock")):
        old = out.with_name(f".{out.name}.old")
        if is_index(old):
            recover_folder(out, old)
        _check_free(out, overwrite=overwrite)  # another process may have made it
        new = out.with_name(f".{out.name}.new") if is_index(out) else out
        if new != out:
            remove(new)  # of a killed process
        with atomic_folder(new) as folder:
            if kind == "lancedb":
                made, measured = _write_lancedb(gallery, folder, options)
            else:
                made, measured = _write_faiss(gallery, folder, kind, options)
            numbered = gallery.items.copy(deep=False)
            numbered.insert(0, ID, np.arange(len(gallery), dtype=np.int64))
            numbered.to_parquet(folder / IDS, index=False)
            size = sum(
                p.stat().st_size
                for p in folder.rglob("*")
                if p.is_file() and p.name not in (IDS, MANIFEST)
            )
            manifest = Manifest(
                type=kind,
                parameters=made.parameters,
                distance=gallery.distance,
                metric="inner product" if gallery.distance == "cosine" else "squared L2",
                n=len(gallery),
                width=gallery.width,
                k=measured.k,
                recall=measured.recall,
                n_checked=measured.n_checked,
                seed=seed,
                queries_per_second=measured.queries_per_second,
                threads=measured.threads,
                bytes_per_vector=size / len(gallery),
                seconds_to_build=made.seconds,
                images="" if gallery.images is None else str(gallery.images.resolve()),
                linked_roots=gallery.linked_roots,
                source=None if gallery.source is None else dataclasses.asdict(gallery.source),
            )
            write_manifest(folder, manifest)
        if new != out:
            replace_folder(new, out, old)
    return manifest


def _check_free(out: Path, *, overwrite: bool) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        if not is_index(out):
            raise UserError(f"{out} exists and is no index: choose another --out")
        if not overwrite:
            raise UserError(f"{out} exists; choose another --out or pass --overwrite")


def _write_faiss(
    gallery: Gallery, folder: Path, kind: str, options: dict[str, int]
) -> tuple[BuiltIndex, Measured]:
    import faiss

    assert gallery.vectors is not None
    built = build_index(gallery.vectors, gallery.distance, kind)
    try:
        faiss.write_index(built.index, str(folder / INDEX))
    except RuntimeError as error:  # faiss names the file and the cause, over several lines
        reason = str(error).rsplit(":", 1)[-1].strip()
        raise UserError(f"{folder / INDEX}: cannot be written ({reason}): make room") from error
    return built, measure_index(gallery.vectors, gallery.distance, built.index, **options)


def _write_lancedb(
    gallery: Gallery, folder: Path, options: dict[str, int]
) -> tuple[BuiltIndex, Measured]:
    try:
        import lancedb
    except ImportError as error:
        raise UserError(f"--type lancedb needs LanceDB: {how_to_install('lancedb')}") from error
    assert gallery.vectors is not None
    vectors, items = gallery.vectors, gallery.items
    metric = {"cosine": "cosine"}.get(gallery.distance, "l2")
    if kind_of(gallery.distance) == CITYBLOCK:
        raise UserError(f"distance {gallery.distance!r} has no index: search exactly")
    began = time.perf_counter()
    whole = pa.Table.from_pandas(items, preserve_index=False)
    kind = pa.list_(pa.float32(), gallery.width)
    schema = whole.schema.remove_metadata().append(pa.field("vector", kind))
    schema = schema.insert(0, pa.field(ID, pa.int64()))

    def batches() -> Any:
        for start in range(0, len(vectors), CHUNK):
            part = np.ascontiguousarray(vectors[start : start + CHUNK], np.float32)
            flat = pa.array(part.ravel(), pa.float32())
            rows = whole.slice(start, len(part)).combine_chunks()
            numbers = pa.array(np.arange(start, start + len(part)))
            arrays = [pa.FixedSizeListArray.from_arrays(flat, gallery.width)]
            columns = [column.combine_chunks() for column in rows.columns]
            yield pa.RecordBatch.from_arrays([numbers, *columns, *arrays], schema=schema)

    table: Any = lancedb.connect(str(folder)).create_table(TABLE, data=batches(), schema=schema)
    seconds = time.perf_counter() - began

    def find(queries: np.ndarray, k: int) -> np.ndarray:
        found = np.full((len(queries), k), -1, np.int64)
        for line, query in zip(found, queries, strict=True):
            search = table.search(query).distance_type(metric).limit(k).select([ID, "_distance"])
            ids = search.to_arrow()[ID].to_numpy()
            line[: len(ids)] = ids
        return found

    built = BuiltIndex(table, {"search": "exact, no index built", "metric": metric}, seconds)
    return built, measure(vectors, gallery.distance, find, **options)

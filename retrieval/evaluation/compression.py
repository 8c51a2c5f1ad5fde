"""Smaller forms of an embedding, and how well each still ranks: what a byte per vector buys.

A form is what a search engine stores in place of the float32 vectors of its gallery:

===============  ==============  ================================================================
form             bytes           stored
===============  ==============  ================================================================
``float32``      4 d             the vectors as they are
``truncate-m``   4 m             the first m dimensions, scaled to unit length if the distance is
                                 cosine (what Matryoshka training is for)
``pca-m``        4 m             the m principal components of the gallery (Euclidean distance)
``float16``      2 d             every number in half precision
``int8``         d               every number as one of 256 levels between the least and the
                                 greatest of its dimension in the gallery
``binary``       d / 8           the sign of every number minus its mean over the gallery; Hamming
                                 distance
``pq-b``         b               product quantization: b parts of d / b dimensions, each by the
                                 nearest of 256 centers (Jégou, Douze, Schmid 2011)
===============  ==============  ================================================================

What a form needs to know (components, ranges, means, centers) is fitted on the gallery alone, which
is what a search engine has: never on the queries of a query -> gallery protocol, and never with
labels. Under leave-one-out, the gallery is all items.

Queries stay float32 where the stored form can be decoded (``float16``, ``int8``, ``pq-b``), as in
faiss: an asymmetric distance, Euclidean, between a query and the decoded vectors. If embeddings are
compared by cosine, both are scaled to unit length first.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import UserError, unknown_option
from retrieval.evaluation.checks import check_shapes, class_codes
from retrieval.evaluation.protocol import Sides
from retrieval.evaluation.relevance import RowLists, rules_of
from retrieval.evaluation.search.distances import normalize
from retrieval.evaluation.search.plan import take
from retrieval.evaluation.search.search import search
from retrieval.evaluation.search.threads import worker_pool
from retrieval.validation import DEFAULT_DISTANCE, check_integer

FLOAT32 = "float32"  # the form that every other one is compared with
TRUNCATE, PCA, FLOAT16, INT8, BINARY, PQ = "truncate", "pca", "float16", "int8", "binary", "pq"
TITLES = {
    FLOAT32: "float32 (full)",
    TRUNCATE: "truncated",
    PCA: "PCA",
    FLOAT16: "float16",
    INT8: "int8",
    BINARY: "binary",
    PQ: "product quantization",
}
NARROWEST = 8  # width that an embedding is reduced to, at the least, unless asked for
PQ_BYTES = (8, 16, 32)
CENTERS = 256  # of every part of product quantization: one byte
FULL_CENTERS = 39  # vectors that faiss asks for per center, below which it fits them too closely
LARGEST_HALF = 65_504.0  # of float16


@dataclass(frozen=True, order=True)
class Form:
    """A form in which an embedding is stored.

    Attributes:
        kind: A key of :data:`TITLES`.
        size: Width of ``truncate`` and ``pca``, bytes of ``pq``; 0 for the others.
    """

    kind: str
    size: int = 0

    @property
    def name(self) -> str:
        """Name in files and URLs, such as ``pca-64``."""
        return f"{self.kind}-{self.size}" if self.size else self.kind

    @property
    def title(self) -> str:
        """Name for people, such as ``PCA, 64 dimensions``."""
        if not self.size:
            return TITLES[self.kind]
        unit = "bytes" if self.kind == PQ else "dimensions"
        return f"{TITLES[self.kind]}, {self.size} {unit}"

    def n_bytes(self, width: int) -> int:
        """Return the bytes of one stored vector.

        Args:
            width: Dimension of the embedding.
        """
        return {
            FLOAT32: 4 * width,
            TRUNCATE: 4 * self.size,
            PCA: 4 * self.size,
            FLOAT16: 2 * width,
            INT8: width,
            BINARY: -(-width // 8),
            PQ: self.size,
        }[self.kind]

    def shared_bytes(self, width: int) -> int:
        """Return the bytes that are stored once for the whole gallery, to encode and decode it.

        Args:
            width: Dimension of the embedding.
        """
        return {
            PCA: 4 * width * (self.size + 1),
            INT8: 4 * 2 * width,
            BINARY: 4 * width,
            PQ: 4 * CENTERS * width,
        }.get(self.kind, 0)


FULL = Form(FLOAT32)


def form_of(name: str) -> Form:
    """Return the form of a name.

    >>> form_of("pca-64")
    Form(kind='pca', size=64)

    Raises:
        UserError: There is no such form.
    """
    found = re.fullmatch(r"(truncate|pca|pq)-([1-9][0-9]*)|(float32|float16|int8|binary)", name)
    if found is None:
        known = [*(f"{kind}-N" for kind in (TRUNCATE, PCA, PQ)), FLOAT32, FLOAT16, INT8, BINARY]
        raise unknown_option("form of an embedding", name, known)
    return Form(found[3]) if found[3] else Form(found[1], int(found[2]))


def default_widths(width: int) -> tuple[int, ...]:
    """Return the widths that an embedding is reduced to: powers of two, the largest first.

    >>> default_widths(128)
    (64, 32, 16, 8)

    Args:
        width: Dimension of the embedding.
    """
    powers = (2**power for power in range(width.bit_length(), 0, -1))
    return tuple(power for power in powers if NARROWEST <= power < width)


def forms_for(width: int, widths: Sequence[int] = ()) -> tuple[Form, ...]:
    """Return the forms that an embedding is evaluated in, the full one first.

    Args:
        width: Dimension of the embedding.
        widths: Widths besides :func:`default_widths`, below that of the embedding. Defaults to
            none.

    Raises:
        UserError: A width is not below that of the embedding.
    """
    for each in widths:
        if check_integer("widths", each, least=1) >= width:
            raise UserError(f"widths: {each} is no reduction of an embedding of width {width}")
    reduced = sorted({*default_widths(width), *widths}, reverse=True)
    return (
        FULL,
        Form(FLOAT16),
        Form(INT8),
        Form(BINARY),
        *(Form(PQ, size) for size in PQ_BYTES if size < width and width % size == 0),
        *(Form(TRUNCATE, size) for size in reduced),
        *(Form(PCA, size) for size in reduced),
    )


@dataclass(frozen=True)
class Stored:
    """Queries and a gallery in a form, as they are compared.

    Attributes:
        queries: float32, (q, m).
        gallery: float32, (g, m), decoded; of ``binary``, 0 and 1.
        distance: Distance to compare them by; of ``binary``, the squared Euclidean distance of the
            bits, which is the Hamming distance.
    """

    queries: NDArray[np.float32]
    gallery: NDArray[np.float32]
    distance: str


def store(
    form: Form,
    queries: np.ndarray,
    gallery: np.ndarray,
    distance: str = DEFAULT_DISTANCE,
    *,
    seed: int = 0,
) -> Stored:
    """Store a gallery in a form that is fitted on it, and make queries comparable with it.

    Args:
        form: The form.
        queries: float, (q, d).
        gallery: float, (g, d).
        distance: Distance of the embedding. Defaults to ``cosine``.
        seed: Seed of the centers of product quantization. Defaults to 0.

    Returns:
        See :class:`Stored`.

    Raises:
        UserError: The form does not fit the embedding, see :func:`why_not`.
    """
    if reason := why_not(form, gallery, distance):
        raise UserError(f"{form.name}: {reason}")
    if form.kind == FLOAT32:
        return Stored(_single(queries), _single(gallery), distance)
    if form.kind == TRUNCATE:
        return Stored(_single(queries[:, : form.size]), _single(gallery[:, : form.size]), distance)
    unit = normalize if distance == "cosine" else _single
    queries, gallery = unit(queries), unit(gallery)
    compared = "euclidean" if distance == "cosine" else distance
    if form.kind == PCA:
        components, mean = principal_components(gallery, form.size)
        return Stored(
            _single((queries - mean) @ components.T),
            _single((gallery - mean) @ components.T),
            compared,
        )
    if form.kind == BINARY:
        mean = gallery.mean(axis=0, dtype=np.float64)
        return Stored(_single(queries > mean), _single(gallery > mean), "squared_euclidean")
    decoded: dict[str, Callable[[], np.ndarray]] = {
        FLOAT16: lambda: gallery.astype(np.float16),
        INT8: lambda: scalar_quantized(gallery),
        PQ: lambda: product_quantized(gallery, form.size, seed),
    }
    return Stored(queries, _single(decoded[form.kind]()), compared)


def why_not(form: Form, gallery: np.ndarray, distance: str = DEFAULT_DISTANCE) -> str:
    """Say why an embedding has no such form, without a full stop; empty if it has.

    Args:
        form: The form.
        gallery: float, (g, d).
        distance: Distance of the embedding. Defaults to ``cosine``.
    """
    n, width = gallery.shape
    if form.kind in (TRUNCATE, PCA) and form.size > width:
        return f"the embedding has {width} dimensions"
    if form.kind == PCA and form.size > n:
        return f"the gallery has {n} vectors, so it has no {form.size} components"
    if form.kind == PQ and width % form.size:
        return f"{width} dimensions are not divisible into {form.size} equal parts"
    if form.kind == PQ and n < CENTERS:
        return f"the gallery has {n} vectors, and {CENTERS} centers need as many"
    if form.kind in (PCA, PQ) and distance == "cityblock":
        return "it is made for Euclidean distances, and the embedding is compared by cityblock"
    if form.kind == FLOAT16 and distance != "cosine" and np.abs(gallery).max() > LARGEST_HALF:
        return f"a number exceeds {LARGEST_HALF:g}, the largest of float16"
    return ""


def principal_components(
    rows: np.ndarray, size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the principal components of rows and their mean.

    Args:
        rows: float, (n, d).
        size: Number of components m, at most n and d.

    Returns:
        Components, float32 (m, d), of the greatest variance first, and mean, float32 (d,).
    """
    from sklearn.decomposition import PCA as Components  # half a second

    found = Components(size, svd_solver="covariance_eigh").fit(rows.astype(np.float64))
    return found.components_.astype(np.float32), found.mean_.astype(np.float32)


def scalar_quantized(rows: np.ndarray) -> NDArray[np.float32]:
    """Encode every dimension by 256 levels between its least and greatest value, and decode it.

    Args:
        rows: float, (n, d).

    Returns:
        float32, (n, d): the middle of the level of every number.
    """
    import faiss

    quantizer: Any = faiss.ScalarQuantizer(rows.shape[1], faiss.ScalarQuantizer.QT_8bit)
    return _decoded(quantizer, rows)


def product_quantized(rows: np.ndarray, size: int, seed: int = 0) -> NDArray[np.float32]:
    """Encode each of some equal parts of rows by the nearest of 256 centers, and decode it.

    Args:
        rows: float, (n, d), at least 256 rows.
        size: Number of parts, which divides d.
        seed: Seed of k-means. Defaults to 0.

    Returns:
        float32, (n, d): the centers in place of the parts.
    """
    import faiss

    quantizer: Any = faiss.ProductQuantizer(rows.shape[1], size, 8)
    quantizer.cp.seed = seed % 2**31
    quantizer.cp.min_points_per_centroid = 1  # fewer than 39 are said by us, see `fit_line`
    return _decoded(quantizer, rows)


def _decoded(quantizer: Any, rows: np.ndarray) -> NDArray[np.float32]:
    rows = _single(rows)
    quantizer.train(rows)
    decoded: NDArray[np.float32] = quantizer.decode(quantizer.compute_codes(rows))
    return decoded


def _single(rows: np.ndarray) -> NDArray[np.float32]:
    return np.require(rows, np.float32, ["C"])


def fit_line(n_gallery: int) -> str:
    """Say that product quantization is fitted to few vectors; empty if they are enough.

    Args:
        n_gallery: Number of vectors of the gallery.
    """
    each = n_gallery / CENTERS
    if each >= FULL_CENTERS:
        return ""
    return (
        f"the {CENTERS} centers of product quantization were fitted on {n_gallery:,} vectors, "
        f"{each:.0f} each where faiss asks for {FULL_CENTERS}: a larger gallery loses more by it"
    )


@dataclass(frozen=True)
class Ranks:
    """How well every query is answered.

    Attributes:
        first_relevant_rank: int32, (q,), 1-based rank of the first relevant item; 0 if there is
            none.
        scores: Metric -> float64 (q,), for metrics that do not follow from that rank; NaN for a
            query without a relevant item.
    """

    first_relevant_rank: NDArray[np.int32]
    scores: dict[str, NDArray[np.float64]]


def ranks_in_form(
    form: Form,
    embeddings: np.ndarray,
    labels: np.ndarray,
    parts: Sides,
    distance: str = DEFAULT_DISTANCE,
    *,
    seed: int = 0,
    threads: int | None = None,
    exclude_same: dict[str, np.ndarray] | None = None,
    junk_same: dict[str, np.ndarray] | None = None,
    ignore: RowLists | None = None,
    relevance: RowLists | None = None,
    metrics: Sequence[str] = (),
) -> Ranks:
    """Score every query with the gallery stored in a form, by an exact search of it.

    Args:
        form: The form.
        embeddings: float, (n, d).
        labels: (n,), class of each item.
        parts: The queries and the gallery.
        distance: Distance of the embedding. Defaults to ``cosine``.
        seed: Seed of the centers of product quantization. Defaults to 0.
        threads: Number of worker threads. Defaults to one per available core.
        exclude_same: Columns, name -> (n,), as of :func:`retrieval.evaluation.evaluate`. Defaults
            to None.
        junk_same: Columns likewise. Defaults to None.
        ignore: Rows left out for each query. Defaults to None.
        relevance: Rows relevant to each query. Defaults to None, those of its class.
        metrics: Metrics to compute besides the usual ones. Defaults to none.

    Returns:
        The ranks and scores.

    Raises:
        UserError: The form does not fit the embedding, or a value is not finite.
    """
    embeddings, labels = check_shapes(embeddings, labels)
    codes = class_codes(labels)
    q, rows = len(parts.queries), np.concatenate([parts.queries, parts.gallery])
    # A query and the gallery item of the same image are two rows here: only the latter is stored.
    stored = store(
        form,
        take(embeddings, parts.queries),
        take(embeddings, parts.gallery),
        distance,
        seed=seed,
    )
    apart = Sides(parts.name, parts.rule, np.arange(q), np.arange(q, len(rows)), parts.own)
    rules = rules_of(
        codes[rows],
        apart,
        exclude_same=_taken(exclude_same, rows),
        junk_same=_taken(junk_same, rows),
        ignore=_moved(ignore, parts),
        relevance=_moved(relevance, parts),
        metrics=tuple(metrics),
    )
    with worker_pool(threads) as pool:
        ranking = search(
            np.concatenate([stored.queries, stored.gallery]),
            codes[rows],
            apart,
            stored.distance,
            0,
            pool=pool,
            judgments=rules.judgments,
        )
    return Ranks(ranking.first_relevant_rank, ranking.scores)


def _taken(columns: dict[str, np.ndarray] | None, rows: np.ndarray) -> dict[str, np.ndarray] | None:
    """Return the values of columns at some rows."""
    return columns and {name: np.asarray(values)[rows] for name, values in columns.items()}


def _moved(lists: RowLists | None, parts: Sides) -> RowLists | None:
    """Return lists of item rows as rows of the queries followed by the gallery."""
    if lists is None:
        return None
    places = len(parts.queries) + np.searchsorted(parts.gallery, lists.rows)
    return RowLists(lists.starts, places, lists.grades)

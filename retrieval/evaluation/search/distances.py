"""The four distances: how rows are prepared, and the error bound of a float32 product.

Neighbors are ranked by similarities in double precision. A float32 matrix product comes with a
proven bound on its error (Higham, *Accuracy and Stability of Numerical Algorithms*, section 3.1:
``|fl(a.b) - a.b| <= d u |a|.|b|`` for any order of summation, ``u = 2**-24``). It only decides
pairs that lie outside of the bound; all others are compared again in double precision. So results
do not depend on the BLAS, on block sizes or on threads, and equal rows tie exactly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.validation import check_choice

DOT, SQUARED, CITYBLOCK = 0, 1, 2
KINDS = {"cosine": DOT, "euclidean": SQUARED, "squared_euclidean": SQUARED, "cityblock": CITYBLOCK}
UNIT = 2.0**-24  # unit roundoff of float32
BLOCK = 512  # rows that are handled together: in float64 they stay in a core's cache


def kind_of(distance: str) -> int:
    """Return the kernel's code of a distance.

    Raises:
        UserError: The distance is not one of the four.
    """
    return KINDS[check_choice("distance", distance, KINDS)]


@dataclass(frozen=True)
class Rows:
    """Rows ready for comparison.

    Attributes:
        exact: float32, (n, d), C order, for the comparison in double precision.
        fast: float32, (n, d or d + 1), C order, for the float32 product.
        size: float64, (n,), the norm for the error bound (L1 for cityblock, else L2).
    """

    exact: NDArray[np.float32]
    fast: NDArray[np.float32]
    size: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.exact)


def normalize(rows: np.ndarray) -> np.ndarray:
    """Scale rows to unit L2 norm; a zero row stays zero.

    Args:
        rows: (n, d), any float type. Norms are computed in float64, so nothing overflows.

    Returns:
        float32, (n, d), C order.
    """
    out = np.empty(rows.shape, np.float32)
    for start in range(0, len(rows), BLOCK):
        part = np.array(rows[start : start + BLOCK], np.float64)
        norm = np.sqrt(np.einsum("ij,ij->i", part, part))[:, None]
        out[start : start + BLOCK] = np.divide(part, np.where(norm > 0, norm, 1.0), out=part)
    return out


def prepare(rows: np.ndarray, kind: int, center: np.ndarray, *, as_query: bool) -> Rows:
    """Prepare rows for comparison.

    Squared distances use ``|a - b|**2 = |a|**2 - (2 a.b - |b|**2)``: queries become ``(2a, -1)``,
    gallery rows ``(b, |b|**2)``. Both are centered first, which changes no distance and keeps the
    error bound small where embeddings share a large mean.

    Args:
        rows: (n, d), the embeddings to prepare.
        kind: ``DOT``, ``SQUARED`` or ``CITYBLOCK``.
        center: float64, (d,); subtracted for ``SQUARED``.
        as_query: Whether the rows are queries; else they are gallery rows.

    Returns:
        The prepared rows.
    """
    if kind == DOT:
        unit = normalize(rows)
        return Rows(unit, unit, np.ones(len(unit)))
    exact = np.require(rows, np.float32, ["C", "W", "E"])  # one type for the compiled loops
    if kind == CITYBLOCK:
        return Rows(exact, exact, np.abs(exact).sum(axis=1, dtype=np.float64))
    fast = np.empty((len(exact), exact.shape[1] + 1), np.float32)
    fast[:, :-1] = exact - center
    squared = np.einsum("ij,ij->i", fast[:, :-1], fast[:, :-1], dtype=np.float64)
    if as_query:
        fast[:, :-1] *= 2
        fast[:, -1] = -1
    else:
        fast[:, -1] = squared
    return Rows(exact, fast, np.sqrt(squared))


def shift_of(queries: Rows, kind: int) -> NDArray[np.float64]:
    """Return the constant that the fast product adds to each query's similarities, float64 (m,)."""
    return queries.size**2 if kind == SQUARED else np.zeros(len(queries))


def slack(queries: Rows, largest: float, kind: int) -> NDArray[np.float64]:
    """Bound the error of the fast product for each query.

    Args:
        queries: The m prepared queries.
        largest: Largest ``size`` of the gallery rows they are compared with.
        kind: ``DOT``, ``SQUARED`` or ``CITYBLOCK``.

    Returns:
        float64, (m,), the most that a fast value can differ from the exact one, including the
        rounding of the threshold it will be compared with.
    """
    a, b, terms = queries.size, largest, queries.fast.shape[1] + 4
    if kind == DOT:
        bound = terms * a * b * 1.001
    elif kind == SQUARED:
        # the product's own error, then that of centering and of storing |b|^2 in float32
        bound = terms * (2 * a * b + b * b) + 6 * (a + b) ** 2
    else:
        bound = terms * (a + b)
    bound = UNIT * 1.001 * bound + 1e-11 * (1 if kind == DOT else 0) + 1e-37
    return np.asarray(bound, np.float64)


def reported(exact: NDArray[np.float64], distance: str) -> NDArray[np.float64]:
    """Convert exact similarities to reported ones: cosine, or the negative distance."""
    if distance == "euclidean":
        with np.errstate(invalid="ignore"):
            distances: NDArray[np.float64] = np.sqrt(-exact)
            return -distances
    return exact


def prepare_symmetric(
    rows: np.ndarray, order: np.ndarray, kind: int, center: np.ndarray
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Prepare rows that are both queries and gallery, in another order.

    Squared distances use ``-|a - b|**2 = 2 a.b - |b|**2 - |a|**2``, which is the same from either
    side: rows become ``(b, |b|**2, 1)``, to be multiplied with ``(2a, -1, -|a|**2)``.

    Args:
        rows: (n, d), the embeddings.
        order: int64, (n,), the order of the prepared rows.
        kind: ``DOT``, ``SQUARED`` or ``CITYBLOCK``.
        center: float64, (d,); subtracted for ``SQUARED``.

    Returns:
        The rows for the float32 product, (n, d or d + 2), in that order; the rows for the
        comparison in double precision, (n, d), for ``SQUARED`` in the given order, or else the same
        array; and the norm for the error bound, (n,), in that order.
    """
    n, d = rows.shape
    exact = np.require(rows, np.float32, ["C", "W", "E"]) if kind == SQUARED else None
    fast = np.empty((n, d + 2 if kind == SQUARED else d), np.float32)
    size = np.ones(n)
    for start in range(0, n, 8192):
        part = slice(start, start + 8192)
        if kind == DOT:
            fast[part] = normalize(rows[order[part]])
        elif exact is None:
            fast[part] = rows[order[part]]
            size[part] = np.abs(fast[part]).sum(axis=1, dtype=np.float64)
        else:
            fast[part, :-2] = exact[order[part]] - center
            body = fast[part, :-2]
            squared = np.einsum("ij,ij->i", body, body, dtype=np.float64)
            fast[part, -2], fast[part, -1] = squared, 1
            size[part] = np.sqrt(squared)
    return fast, fast if exact is None else exact, size


def symmetric_slack(
    size: NDArray[np.float64], largest: float, kind: int, d: int
) -> NDArray[np.float64]:
    """Bound the error of the fast product of rows from :func:`prepare_symmetric`.

    Args:
        size: float64, (m,), ``size`` of the rows.
        largest: Largest ``size`` of the rows they are compared with.
        kind: ``DOT``, ``SQUARED`` or ``CITYBLOCK``.
        d: Number of dimensions.

    Returns:
        float64, (m,), the most that a fast value can differ from the exact one, including the
        rounding of the value and of the threshold it will be compared with.
    """
    a, b, terms = size, largest, d + 8
    if kind == DOT:
        bound = terms * a * b * 1.001
    elif kind == SQUARED:
        # the product's own error, then that of centering and of storing |a|^2 and |b|^2 in float32
        bound = (terms + 2 + 8) * (a + b) ** 2
    else:
        bound = terms * (a + b)
    bound = UNIT * 1.001 * bound + 1e-11 * (1 if kind == DOT else 0) + 1e-37
    return np.asarray(bound, np.float64)

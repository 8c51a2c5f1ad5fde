"""The four distances: how rows are prepared, and how far a float32 product can be off.

Neighbors are ranked by similarities in double precision. A float32 matrix product only decides
the pairs that it can decide: it comes with a proven bound on its error (Higham, *Accuracy and
Stability of Numerical Algorithms*, section 3.1: ``|fl(a.b) - a.b| <= d u |a|.|b|`` for any order of
summation, ``u = 2**-24``), and every pair within the bound is compared again in double precision.
So results do not depend on the BLAS, on block sizes or on threads, and equal rows tie exactly.
"""

from dataclasses import dataclass

import numpy as np

from retrieval.errors import unknown_option

DOT, SQUARED, CITYBLOCK = 0, 1, 2
KINDS = {"cosine": DOT, "euclidean": SQUARED, "squared_euclidean": SQUARED, "cityblock": CITYBLOCK}
DISTANCES = tuple(KINDS)
UNIT = 2.0**-24  # unit roundoff of float32


def kind_of(distance: str) -> int:
    """Return the kernel's code of a distance.

    Raises:
        UserError: The distance is not one of the four.
    """
    if distance not in KINDS:
        raise unknown_option("distance", distance, DISTANCES)
    return KINDS[distance]


@dataclass(frozen=True)
class Rows:
    """Rows ready for comparison.

    Attributes:
        exact: float32, (n, d), C order; the rows that double precision compares.
        fast: float32, (n, d or d + 1), C order; the rows that the float32 product takes.
        size: float64, (n,); the norm that the error bound needs (L1 for cityblock, else L2).
    """

    exact: np.ndarray
    fast: np.ndarray
    size: np.ndarray

    def __len__(self) -> int:
        return len(self.exact)


def normalize(rows: np.ndarray) -> np.ndarray:
    """Return rows of unit L2 norm, float32; a zero row stays zero.

    Args:
        rows: (n, d), any float type. Norms are taken in float64, so nothing overflows.

    Returns:
        float32, (n, d), C order.
    """
    out = np.empty(rows.shape, np.float32)
    for start in range(0, len(rows), 8192):
        part = np.asarray(rows[start : start + 8192], np.float64)
        norm = np.sqrt(np.einsum("ij,ij->i", part, part))[:, None]
        out[start : start + 8192] = part / np.where(norm > 0, norm, 1.0)
    return out


def prepare(rows: np.ndarray, kind: int, center: np.ndarray, *, as_query: bool) -> Rows:
    """Make rows ready for comparison.

    Squared distances use ``|a - b|**2 = |a|**2 - (2 a.b - |b|**2)``: queries become ``(2a, -1)``,
    gallery rows ``(b, |b|**2)``. Both are centered first, which changes no distance and keeps the
    error bound small where embeddings share a large mean.

    Args:
        rows: (n, d).
        kind: ``DOT``, ``SQUARED`` or ``CITYBLOCK``.
        center: float64, (d,); subtracted for ``SQUARED``.
        as_query: Which side the rows are on.

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


def shift_of(queries: Rows, kind: int) -> np.ndarray:
    """Return what the fast product adds to the exact similarity of each query, float64 (m,)."""
    return queries.size**2 if kind == SQUARED else np.zeros(len(queries))


def slack(queries: Rows, largest: float, kind: int) -> np.ndarray:
    """Bound the error of the fast product for each query.

    Args:
        queries: The prepared queries, m of them.
        largest: Largest ``size`` among the gallery rows compared with.
        kind: ``DOT``, ``SQUARED`` or ``CITYBLOCK``.

    Returns:
        float64, (m,): no fast value is further than this from the exact one. Includes the rounding
        of the threshold it will be compared with.
    """
    a, b, terms = queries.size, largest, queries.fast.shape[1] + 4
    if kind == DOT:
        bound = terms * a * b * 1.001
    elif kind == SQUARED:
        # the product's own error, then that of centering and of storing |b|^2 in float32
        bound = terms * (2 * a * b + b * b) + 6 * (a + b) ** 2
    else:
        bound = terms * (a + b)
    return UNIT * 1.001 * bound + 1e-11 * (1 if kind == DOT else 0) + 1e-37


def reported(exact: np.ndarray, distance: str) -> np.ndarray:
    """Turn exact similarities into the ones reported: cosine, or the negative distance."""
    if distance == "euclidean":
        with np.errstate(invalid="ignore"):
            return -np.sqrt(-exact)
    return exact

"""The geometry card: properties of the embedding space that retrieval metrics do not show.

All of them use L2-normalized rows, so that they compare across losses, except hubness and
near-duplicates, which follow from the neighbors found. :func:`relative_spread` detects collapse,
where (nearly) all embeddings are equal: the retrieval metrics of a collapsed run look like those of
any other.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from retrieval.evaluation.search.distances import BLOCK, normalize
from retrieval.evaluation.search.plan import Ranking

MOST = 131_072  # items; of more, a seeded sample is used for all but hubness and near-duplicates
SAMPLE = 4096  # items whose pairs are used for the uniformity
HUB_K = 10  # length of the neighbor lists that hubness counts
COVARIANCE_ROWS = 4096  # rows whose products are summed together
TILE = 512  # rows and columns of a tile of distances: 1 MB stays in a core's cache
NEAR_DUPLICATE = 0.999  # cosine similarity
EXACT_COPY = 1e-4  # distance relative to the length: what one image differs by between two batches


def geometry(
    embeddings: np.ndarray,
    codes: np.ndarray,
    ranking: Ranking,
    n_gallery: int,
    *,
    seed: int = 0,
    pool: ThreadPoolExecutor,
) -> dict[str, float]:
    """Compute the geometry card.

    * ``intra_distance``: mean Euclidean distance of a row to its class mean, over classes of two
      items or more; ``inter_distance``: mean distance between class means; ``density``: their ratio
      (Roth et al. 2020, section 5, with distances to the mean in place of all pairs).
    * ``spectral_decay``: Kullback-Leibler divergence of the uniform distribution from the
      normalized singular values of the centered rows (Roth et al. 2020, eq. 3); 0 if all directions
      are used equally, larger if few are. ``effective_rank``: exp of their entropy (Roy 2007).
    * ``alignment``: mean squared distance of positive pairs; ``uniformity``: log mean of
      exp(-2 squared distance) over all pairs of at most 4,096 items drawn with the seed (Wang and
      Isola 2020, section 4).
    * ``hubness``: skewness of the number of queries that have a gallery item among their 10 nearest
      (Radovanovic 2010); near 0 without hubs. ``share_never_retrieved``: share of anti-hubs,
      gallery items that are in no such list.
    * ``near_duplicates``: share of queries whose nearest neighbor has a cosine of 0.999 or more;
      ``exact_copies``: of those with (nearly) the same embedding.

    Args:
        embeddings: float, (n, d), the items.
        codes: int64, (n,), class of each item, 0-based.
        ranking: The neighbors of every query.
        n_gallery: Number of gallery items.
        seed: Seed of the samples. Defaults to 0.
        pool: Worker threads that share the rows.

    Returns:
        Name -> value; NaN where it is not defined (a single class, classes of one item).
    """
    card = duplicates(embeddings, ranking, pool)
    card |= hubness(ranking.ids, n_gallery)
    if len(embeddings) > MOST:
        rows = np.random.default_rng(seed).choice(len(embeddings), MOST, replace=False)
        embeddings, codes = embeddings[np.sort(rows)], codes[np.sort(rows)]
    unit = normalize(np.asarray(embeddings))
    return {
        **class_density(unit, codes, pool),
        **spectrum(unit, pool),
        "uniformity": uniformity(unit, seed, pool=pool),
        **card,
    }


def duplicates(
    embeddings: np.ndarray, ranking: Ranking, pool: ThreadPoolExecutor
) -> dict[str, float]:
    """Return the shares of queries whose nearest neighbor is a near-duplicate, or an exact copy."""
    if not ranking.ids.shape[1]:
        return {"near_duplicates": np.nan, "exact_copies": np.nan}
    found = ranking.ids[:, 0] >= 0
    queries, nearest = ranking.queries[found], ranking.ids[found, 0]

    def run(start: int) -> tuple[int, int]:
        a = np.asarray(embeddings[queries[start : start + BLOCK]], np.float64)
        b = np.asarray(embeddings[nearest[start : start + BLOCK]], np.float64)
        cosines = np.einsum("ij,ij->i", normalize(a), normalize(b))
        copied = np.linalg.norm(a - b, axis=1) <= EXACT_COPY * np.linalg.norm(a, axis=1)
        return int((cosines >= NEAR_DUPLICATE).sum()), int(copied.sum())

    counts = list(pool.map(run, range(0, len(queries), BLOCK)))
    near, exact = (sum(each[i] for each in counts) for i in range(2))
    n = max(1, len(ranking.queries))
    return {"near_duplicates": near / n, "exact_copies": exact / n}


def class_density(
    unit: np.ndarray, codes: np.ndarray, pool: ThreadPoolExecutor
) -> dict[str, float]:
    """Return the distances within and between classes, and the alignment of positive pairs."""
    size = np.bincount(codes).astype(np.float64)
    used = size > 0
    sums = _sum_by(unit, codes, len(size))
    means = (sums / np.maximum(size, 1)[:, None]).astype(np.float32)
    squared, to_mean = np.empty(len(unit)), np.empty(len(unit))
    for start in range(0, len(unit), BLOCK):
        rows = slice(start, start + BLOCK)
        apart = unit[rows] - means[codes[rows]]
        np.einsum("ij,ij->i", unit[rows], unit[rows], dtype=np.float64, out=squared[rows])
        np.einsum("ij,ij->i", apart, apart, dtype=np.float64, out=to_mean[rows])
    squares, to_mean = np.bincount(codes, squared, len(size)), np.sqrt(to_mean)
    several = size[codes] > 1
    # sum over ordered pairs of |x - y|^2 = 2 n sum |x|^2 - 2 |sum x|^2
    pairs = 2 * (size * squares - np.einsum("ij,ij->i", sums, sums))
    n_pairs = (size * (size - 1)).sum()
    intra = to_mean[several].mean() if several.any() else np.nan
    inter = _mean_over_pairs(means[used], lambda tile: np.sqrt(tile, out=tile), pool)
    return {
        "intra_distance": intra,
        "inter_distance": inter,
        "density": intra / inter if inter > 0 else np.nan,
        "alignment": max(0.0, pairs.sum()) / n_pairs if n_pairs else np.nan,
    }


def _sum_by(rows: np.ndarray, codes: np.ndarray, n: int) -> np.ndarray:
    out = np.zeros((n, rows.shape[1]))
    order = np.argsort(codes, kind="stable")
    for start in range(0, len(rows), BLOCK):  # the copies in float64 stay small
        part = order[start : start + BLOCK]
        found, firsts = np.unique(codes[part], return_index=True)
        out[found] += np.add.reduceat(rows[part].astype(np.float64), firsts, axis=0)
    return out


def _mean_over_pairs(
    points: np.ndarray, change: Callable[[np.ndarray], object], pool: ThreadPoolExecutor
) -> float:
    """Return the mean of a function of the squared Euclidean distance over all pairs of points.

    Args:
        points: float32, (n, d).
        change: Computes the function of a tile of squared distances, float32, in place.
        pool: Worker threads that share the tiles.

    Returns:
        The mean; NaN of fewer than two points.
    """
    n = len(points)
    if n < 2:
        return np.nan
    squared = np.einsum("ij,ij->i", points, points)

    def run(start: int) -> float:
        rows, total = slice(start, start + TILE), 0.0
        for begin in range(start, n, TILE):
            columns = slice(begin, begin + TILE)
            tile = points[rows] @ points[columns].T
            tile *= -2
            tile += squared[columns] + squared[rows, None]
            change(np.maximum(tile, 0, out=tile))
            total += float((np.triu(tile, 1) if begin == start else tile).sum(dtype=np.float64))
        return total

    return float(sum(pool.map(run, range(0, n, TILE))) / (n * (n - 1) / 2))


def spectrum(unit: np.ndarray, pool: ThreadPoolExecutor) -> dict[str, float]:
    """Return the spectral decay and the effective rank of the centered rows."""
    if len(unit) < 2:
        return {"spectral_decay": np.nan, "effective_rank": np.nan}
    mean = unit.mean(axis=0, dtype=np.float64)

    def run(start: int) -> np.ndarray:
        part = unit[start : start + COVARIANCE_ROWS] - mean
        return np.asarray(part.T @ part)

    covariance = sum(pool.map(run, range(0, len(unit), COVARIANCE_ROWS))) / len(unit)
    values = np.sqrt(np.clip(np.linalg.eigvalsh(covariance), 0, None))
    if values.sum() <= 0:
        return {"spectral_decay": np.nan, "effective_rank": np.nan}
    share = values / values.sum()
    floor = np.maximum(share, 1e-12)
    return {
        "spectral_decay": float(-np.mean(np.log(floor * len(share)))),
        "effective_rank": float(np.exp(-(share * np.log(floor)).sum())),
    }


def uniformity(unit: np.ndarray, seed: int = 0, *, pool: ThreadPoolExecutor) -> float:
    """Return the log mean Gaussian potential of pairs (temperature 2) of at most 4,096 items."""
    if len(unit) > SAMPLE:
        unit = unit[np.sort(np.random.default_rng(seed).choice(len(unit), SAMPLE, replace=False))]

    def potential(tile: np.ndarray) -> None:
        tile *= -2
        np.exp(tile, out=tile)

    return float(np.log(_mean_over_pairs(unit, potential, pool)))


def hubness(ids: np.ndarray, n_gallery: int) -> dict[str, float]:
    """Return the skewness of the 10-occurrence, and the share of items that no query retrieves."""
    near = ids[:, :HUB_K]
    near = near[near >= 0]
    counts = np.bincount(near)
    counts = counts[counts > 0].astype(np.float64)
    never = n_gallery - len(counts)
    mean = counts.sum() / n_gallery
    variance = (((counts - mean) ** 2).sum() + never * mean**2) / n_gallery
    third = (((counts - mean) ** 3).sum() - never * mean**3) / n_gallery
    return {
        "hubness": float(third / variance**1.5) if variance > 1e-12 else 0.0,
        "share_never_retrieved": float(never / n_gallery),
    }


COLLAPSED = 1e-3  # relative spread below which a run is collapsed


def relative_spread(embeddings: np.ndarray, distance: str) -> float:
    """Return the distance of embeddings from their mean, relative to their length (both RMS).

    :func:`retrieval.training.model.relative_spread` is the same for a training batch.

    Args:
        embeddings: float, (n, d), the embeddings of all items.
        distance: Distance of the evaluation; for ``cosine`` only directions count.

    Returns:
        0 if all embeddings are equal (collapse); about 1 is usual.
    """
    n, total = len(embeddings), 0.0
    mean = np.zeros(embeddings.shape[1])
    for rows in _blocks(embeddings, distance):
        mean += rows.sum(axis=0) / n
        total += np.square(rows).sum()
    within = sum(float(np.square(rows - mean).sum()) for rows in _blocks(embeddings, distance))
    return float(np.sqrt(within / total)) if total > 0 else 0.0


def _blocks(embeddings: np.ndarray, distance: str) -> Iterator[np.ndarray]:
    """Yield the rows that a distance compares, float64, a block at a time."""
    for start in range(0, len(embeddings), BLOCK):
        rows = embeddings[start : start + BLOCK]
        yield np.asarray(normalize(rows) if distance == "cosine" else rows, np.float64)


def is_collapsed(card: Mapping[str, float]) -> bool:
    """Return whether a geometry card is of a collapsed run; False if the spread is unknown."""
    return card.get("relative_spread", np.inf) < COLLAPSED


def collapse_line(spread: float) -> str:
    """Return the warning about a collapsed run, with what to try."""
    return (
        f"collapsed: all test embeddings are nearly equal (relative spread {spread:.1e}), so its "
        "metrics mean little; try pretrained weights, more steps (from random weights, batch "
        "normalization settles late), a lower learning rate or a smaller margin"
    )

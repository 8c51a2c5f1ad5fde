"""Figures of slices of the queries, and what slices say of one run or of two.

A slice is a group of queries that share a value of some column: a store, a size of the class, a
range of image widths. Three questions are asked of every slice, each with its own intervals:

* the figure of a run in the slice, with the interval that a run on these queries alone would have;
* of two runs, their **difference** in the slice;
* the **gap** between the slice and all other queries: of the figure of one run, or of the
  difference of two. "The runs differ most in store A" is a claim about a gap: that one is ahead in
  the slice does not show that it is further ahead there than elsewhere.

Among many slices some differ by chance. So the intervals of all differences hold at once in 95 of
100 cases, and so do those of all gaps: their common critical value is the 95% quantile, over
resamples, of the largest |t*| among the slices, as in :mod:`retrieval.evaluation.families`. A
verdict is read off its interval.

Classes are resampled, with their queries in every slice. If each class lies in one slice, as with
class size, every slice is resampled on its own (strata), so that no slice loses its classes.
Figures are ratios, sum of scores over number of queries, so a gap has the linearized error

    u_c = (S_cg - n_cg m_g) / N_g - (S_cr - n_cr m_r) / N_r

of class c, with sums S and sizes n in slice g and in the rest r, which may share classes. Slices
that count as too few classes get no claim and do not belong to the families.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from retrieval.errors import UserError
from retrieval.evaluation.binning import Groups
from retrieval.evaluation.bootstrap import (
    ZERO,
    ClassScores,
    class_weights,
    level_intervals,
)
from retrieval.evaluation.families import Maxima, rare_interval
from retrieval.evaluation.metrics import HEADLINE, bounds_of
from retrieval.evaluation.statistics import (
    ALPHA,
    LEAST_CLASSES,
    LEAST_DIFFERING,
    effective_classes,
    share_bounds,
    too_few_classes,
)
from retrieval.validation import check_integer, check_seed

N_SAMPLES = 4000
SMALL = 1e-9  # a score nearer to another is the same


@dataclass(frozen=True)
class Sliced:
    """Figures of slices, for one run or two.

    Attributes:
        metric: Name of the metric.
        column: Name of the column.
        how: How its values were cut, in words.
        names: Names of the runs, one or two. The differences are those of the first minus the
            second.
        table: One row per slice, in the order of the values. ``slice``, ``queries``, ``classes``,
            ``effective`` (number of classes, see
            :func:`retrieval.evaluation.statistics.effective_classes`); for the first run ``a``,
            ``a_low`` and ``a_high``, the figure with its own 95% interval, and for the second
            ``b``, ``b_low``, ``b_high``; of two runs ``difference``, ``difference_low``,
            ``difference_high``, ``difference_p`` (adjusted over the slices) and
            ``difference_significant``; ``gap`` to all other queries, of the figure of one run or of
            the difference of two, with ``gap_low``, ``gap_high``, ``gap_p`` and
            ``gap_significant``. NaN where there is no claim; a p-value is also NaN where an
            interval is that of coins, see :func:`slice_scores`.
        n_queries: Number of queries that count.
        n_classes: Number of their classes.
        n_differences: Number of differences that are judged together; 0 for one run.
        n_gaps: Number of gaps that are judged together.
    """

    metric: str
    column: str
    how: str
    names: tuple[str, ...]
    table: pd.DataFrame
    n_queries: int
    n_classes: int
    n_differences: int
    n_gaps: int

    @property
    def is_pair(self) -> bool:
        """Whether two runs are compared."""
        return len(self.names) == 2

    def by_difference(self) -> pd.DataFrame:
        """Return the table with the slices first in which two runs differ most, or one stands out.

        Slices without a claim come last.
        """
        size = self.table["difference" if self.is_pair else "gap"].abs()
        claimed = self.table["difference_low" if self.is_pair else "gap_low"].notna()
        order = np.lexsort((-size.fillna(-1).to_numpy(), ~claimed.to_numpy()))
        return self.table.iloc[order].reset_index(drop=True)


def slice_scores(
    scores: Mapping[str, np.ndarray],
    classes: np.ndarray,
    groups: Groups,
    metric: str = HEADLINE,
    *,
    n_samples: int = N_SAMPLES,
    seed: int = 0,
) -> Sliced:
    """Judge one run, or two, on slices of the queries.

    Where fewer than 6 classes of a slice differ between the runs (or, for one run, are neither
    right nor wrong throughout), resamples show too little of the spread. Its share of wins and of
    losses is then bounded as those of coins (Clopper-Pearson, Bonferroni over the slices), the
    difference is not significant, and the gap's interval is put together from those of both sides
    (Zou and Donner 2008).

    Args:
        scores: Name of a run or loss -> scores under the metric, float (q,) or (seeds, q), NaN
            where a query does not count; one or two entries.
        classes: (q,), class of each query.
        groups: The slices of these queries, see :func:`retrieval.evaluation.binning.group_values`.
        metric: Name of the metric. Defaults to ``recall@1``.
        n_samples: Number of bootstrap resamples. Defaults to 4,000.
        seed: Seed of the resamples. Defaults to 0.

    Returns:
        The figures of every slice that has a query that counts for every run.

    Raises:
        UserError: There are not one or two runs, their queries differ in number from the slices',
            or no query counts for every run.
    """
    n_samples, seed = check_integer("n_samples", n_samples, least=1), check_seed("seed", seed)
    given = [np.atleast_2d(np.asarray(value, np.float64)) for value in scores.values()]
    if len(given) not in (1, 2):
        raise UserError(f"slices are of one run or of two, not of {len(given)}")
    for name, value in zip(scores, given, strict=True):
        if value.shape[1] != len(groups.codes) or len(classes) != len(groups.codes):
            raise UserError(
                f"{name}: scores of {value.shape[1]} queries, but slices of {len(groups.codes)}"
            )
    keep = np.all([np.isfinite(value).all(axis=0) for value in given], axis=0)
    if not keep.any():
        raise UserError("no query counts for every run: nothing to slice")
    given = [value[:, keep] for value in given]
    _, labels = np.unique(np.asarray(classes)[keep], return_inverse=True)
    present, codes = np.unique(groups.codes[keep], return_inverse=True)
    tables = _Tables(given, labels, codes, bounds_of(metric))
    table = pd.DataFrame(
        {
            "slice": [groups.names[code] for code in present],
            "queries": tables.size.sum(axis=0).astype(int),
            "classes": (tables.size > 0).sum(axis=0),
            "effective": tables.effective,
        }
    )
    for letter, value in zip("ab", given, strict=False):
        table = table.assign(**_levels(letter, value, labels, codes, bounds_of(metric), seed))
    claimed = ~np.array([too_few_classes(value) for value in tables.effective])
    n_differences = 0
    if len(given) == 2:
        found = _judge(tables, claimed, n_samples, seed, rest=False)
        table = table.assign(**{f"difference{end}": column for end, column in found.items()})
        n_differences = int(claimed.sum())
    enough = np.array([not too_few_classes(value) for value in tables.rest_effective])
    found = _judge(tables, claimed & enough, n_samples, seed, rest=True)
    table = table.assign(**{f"gap{end}": column for end, column in found.items()})
    return Sliced(
        metric,
        groups.column,
        groups.how,
        tuple(scores),
        table,
        int(keep.sum()),
        len(tables.size),
        n_differences,
        int((claimed & enough).sum()),
    )


def too_few_note(table: pd.DataFrame) -> str:
    """Say which slices get no claim, without a full stop; empty if all get one.

    Args:
        table: See :class:`Sliced`.
    """
    few = table[[too_few_classes(value) for value in table["effective"]]]
    if few.empty:
        return ""
    which = "no slice" if len(few) == len(table) else f"{len(few)} of {len(table)} slices"
    if len(few) == len(table):
        return f"{which} counts as {LEAST_CLASSES} classes of equal size, so nothing is claimed"
    return (
        f"no interval and no verdict for {which}, which count as fewer than {LEAST_CLASSES} "
        "classes of equal size"
    )


def _levels(
    letter: str,
    scores: np.ndarray,
    labels: np.ndarray,
    codes: np.ndarray,
    bounds: tuple[float, float],
    seed: int,
) -> dict[str, np.ndarray]:
    """Return the figure of a run in every slice, with the interval of these queries alone."""
    rows = []
    for code in range(codes.max() + 1):
        inside = codes == code
        part = ClassScores.of([scores[:, inside]], labels[inside])
        low, high = level_intervals(part, bounds, seed=seed)
        rows.append((part.means[0], low[0], high[0]))
    value, low, high = np.array(rows).T
    return {letter: value, f"{letter}_low": low, f"{letter}_high": high}


class _Tables:
    """Sums over the classes (c) in every slice (g), of the scores or of their difference.

    Attributes:
        size: float64, (c, g), number of queries.
        sums: float64, (c, g), sum of the scores, mean over seeds; of two runs, of a - b.
        single: Whether there is one run.
        effective: float64, (g,), effective number of classes of each slice.
        rest_effective: float64, (g,), the same of all other queries.
    """

    def __init__(
        self,
        scores: list[np.ndarray],
        labels: np.ndarray,
        codes: np.ndarray,
        bounds: tuple[float, float],
    ) -> None:
        """Sum scores.

        Args:
            scores: Per run, float (seeds, q).
            labels: int, (q,), class of each query, 0-based.
            codes: int, (q,), slice of each query, 0-based.
            bounds: Least and greatest possible score.
        """
        self._shape = int(labels.max()) + 1, int(codes.max()) + 1
        self._place = np.ravel_multi_index((labels, codes), self._shape)
        self.size = self._sum(np.ones(len(labels)))
        self._seeds = [np.stack([self._sum(row) for row in value]) for value in scores]
        means = [each.mean(axis=0) for each in self._seeds]
        self.single, self.bounds = len(means) == 1, bounds
        self.sums = means[0] if self.single else means[0] - means[1]
        self.effective = np.array([effective_classes(column) for column in self.size.T])
        self.rest_effective = np.array([effective_classes(column) for column in self.rest.T])

    def _sum(self, values: np.ndarray) -> NDArray[np.float64]:
        found = np.bincount(self._place, values, minlength=self._shape[0] * self._shape[1])
        return found.reshape(self._shape).astype(np.float64)

    @property
    def rest(self) -> NDArray[np.float64]:
        """Number of queries outside of each slice, float64 (c, g)."""
        rest: NDArray[np.float64] = self.size.sum(axis=1, keepdims=True) - self.size
        return rest

    @property
    def strata(self) -> NDArray[np.int64]:
        """Stratum of each class: its slice if every class lies in one, else all in one stratum."""
        if ((self.size > 0).sum(axis=1) <= 1).all():
            nested: NDArray[np.int64] = self.size.argmax(axis=1).astype(np.int64)
            return nested
        return np.zeros(len(self.size), np.int64)

    def sides(
        self, columns: np.ndarray, *, rest: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return sums and sizes of slices, and of their rest: (1 or 2, c, p) each."""
        outside = self.sums.sum(axis=1, keepdims=True) - self.sums
        sums, size = [self.sums], [self.size]
        if rest:
            sums, size = [*sums, outside], [*size, self.rest]
        return np.stack(sums)[..., columns], np.stack(size)[..., columns]

    def supported(self, columns: np.ndarray, *, rest: bool) -> NDArray[np.bool_]:
        """Return whether enough classes carry the spread of each side, (1 or 2, p)."""
        sums, size = self.sides(columns, rest=rest)
        slack = SMALL * size
        if self.single:
            least, most = self.bounds
            above = ((sums > least * size + slack) & (size > 0)).sum(axis=1)
            below = ((sums < most * size - slack) & (size > 0)).sum(axis=1)
            carrying = np.minimum(above, below)
        else:
            carrying = (np.abs(sums) > slack).sum(axis=1)
        enough: NDArray[np.bool_] = carrying >= LEAST_DIFFERING
        return enough

    def seed_errors(self, columns: np.ndarray, *, rest: bool) -> NDArray[np.float64]:
        """Return variances over seeds that the spread over classes does not hold, (runs, p).

        See :attr:`retrieval.evaluation.bootstrap.ClassScores.seed_errors`, here of differences of
        two sides.
        """
        c, found = len(self.size), []
        size = np.stack([self.size, self.rest])[: 1 + rest][..., columns]
        total = size.sum(axis=1)  # (sides, p)
        for each in self._seeds:
            seeds = len(each)
            if seeds < 2:
                found.append(np.zeros(len(columns)))
                continue
            outside = each.sum(axis=2, keepdims=True) - each
            sums = np.stack([each, outside], axis=1)[:, : 1 + rest][..., columns]
            means = sums.sum(axis=2) / total  # (seeds, sides, p)
            moved = means - means.mean(axis=0)
            apart = (sums - sums.mean(axis=0) - size * moved[:, :, None]) / total[:, None]
            apart = apart[:, 0] - (apart[:, 1] if rest else 0)  # (seeds, c, p)
            noise = np.square(apart).sum(axis=(0, 1)) / (seeds - 1) * c / max(1, c - 1)
            value = means[:, 0] - (means[:, 1] if rest else 0)
            found.append(np.maximum(value.var(axis=0, ddof=1) - noise, 0) / seeds)
        return np.stack(found)

    @property
    def n_seeds(self) -> list[int]:
        """Number of training seeds of each run."""
        return [len(each) for each in self._seeds]


def _judge(
    tables: _Tables, claimed: np.ndarray, n_samples: int, seed: int, *, rest: bool
) -> dict[str, np.ndarray]:
    """Judge what is in each slice, or its gap to the rest, as one family.

    Args:
        tables: The sums.
        claimed: bool, (g,), slices that belong to the family.
        n_samples: Number of resamples.
        seed: Seed of the resamples.
        rest: Whether to judge gaps.

    Returns:
        Ending of a column -> values, (g,); NaN and False outside of the family.
    """
    g = len(claimed)
    every = np.arange(g)
    sums, size = tables.sides(every, rest=rest)
    with np.errstate(invalid="ignore"):
        means = sums.sum(axis=1) / size.sum(axis=1)
    value = means[0] - means[1] if rest else means[0]
    nothing = np.full(g, np.nan)
    low, high, p = nothing.copy(), nothing.copy(), nothing.copy()
    members = np.flatnonzero(claimed)
    enough = tables.supported(members, rest=rest)
    usual, rare = members[enough.all(axis=0)], members[~enough.all(axis=0)]
    if len(usual):
        estimate, error, t = _studentize(tables, usual, n_samples, seed, rest=rest)
        errors = tables.seed_errors(usual, rest=rest)
        seed_error = np.sqrt(errors.sum(axis=0))
        maxima = Maxima(t.max(axis=1), _seed_maxima(errors, tables.n_seeds, n_samples, seed))
        half = maxima.half_widths(error, seed_error)
        low[usual], high[usual] = estimate - half, estimate + half
        p[usual] = maxima.p_values(estimate, error, seed_error)
    if len(rare):
        low[rare], high[rare] = _bounded(tables, rare, len(members), rest=rest)
        if not rest:
            p[rare] = 1
    least, most = tables.bounds
    reach = (most - least) * (2 if rest and not tables.single else 1)
    low, high = np.clip(low, -reach, reach), np.clip(high, -reach, reach)
    significant = (low > 0) | (high < 0)
    return {"": value, "_low": low, "_high": high, "_p": p, "_significant": significant}


def _seed_maxima(errors: np.ndarray, n_seeds: list[int], n_samples: int, seed: int) -> np.ndarray:
    """Draw the largest deviation over seeds among slices, in units of their standard errors.

    Each is Student's t of samples with their own variances (Welch 1947). How seeds go together over
    slices cannot be told from a few of them, so the slices are drawn independently, of which no
    other dependence has larger maxima (Sidak 1967).

    Args:
        errors: float, (runs, p), variances of the means over seeds.
        n_seeds: Number of seeds of each run.
        n_samples: Number of draws.
        seed: Seed of the draws.

    Returns:
        float, (n_samples,); 0 if no run has a spread over seeds.
    """
    if not (errors > 0).any():
        return np.zeros(n_samples)
    rng = np.random.default_rng([seed, 1])
    freedom = np.maximum(np.array(n_seeds) - 1, 1)[:, None]
    moved = rng.standard_normal((n_samples, errors.shape[1])) * np.sqrt(errors.sum(axis=0))
    drawn = (errors * rng.chisquare(freedom, (n_samples, *errors.shape)) / freedom).sum(axis=1)
    t = np.where(drawn > 0, np.abs(moved) / np.sqrt(np.where(drawn > 0, drawn, 1)), 0)
    largest: np.ndarray = t.max(axis=1)
    return largest


def _studentize(
    tables: _Tables, columns: np.ndarray, n_samples: int, seed: int, *, rest: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return estimates and errors, (p,), and |t*| of resamples, float32 (n_samples, p)."""
    sums, size = tables.sides(columns, rest=rest)
    sides, c, p = sums.shape
    sign = np.array([1.0, -1.0])[:sides]
    # What a resample needs are sums over its classes: of the sums and sizes of every side, of their
    # products, and of the classes that are there.
    basis = np.stack([sums, size], axis=1).reshape(2 * sides, c, p)
    products = np.einsum("icp,jcp->cpij", basis, basis).reshape(c, -1)
    plain = np.moveaxis(np.concatenate([basis, size > 0]), 1, 0).reshape(c, -1)

    def value_of(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return value, squared error, and the size of the terms of the value, (rows, p) each."""
        rows = len(weights)
        totals = (weights @ plain).reshape(rows, 3 * sides, p)
        square = (weights @ products).reshape(rows, p, 2 * sides, 2 * sides)
        total, n = totals[:, : 2 * sides : 2], totals[:, 1 : 2 * sides : 2]  # (rows, sides, p)
        there = totals[:, 2 * sides :]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = total / n
            factor = np.sqrt(there / (there - 1)) / n * sign[:, None]
            factor[there < 2] = np.nan
        terms = np.stack([factor, -factor * mean], axis=2).reshape(rows, 2 * sides, p)
        terms = np.moveaxis(terms, 1, 2)  # (rows, p, 2 sides)
        error = np.einsum("rpi,rpij,rpj->rp", terms, square, terms)
        scale = np.einsum("rpi,rpij,rpj->rp", np.abs(terms), np.abs(square), np.abs(terms))
        error[error <= ZERO * scale] = 0
        return (sign[:, None] * mean).sum(axis=1), error, np.abs(mean).sum(axis=1)

    estimate, squared, _ = (each[0] for each in value_of(np.ones((1, c))))
    parts = []
    for weights in _weights(tables.strata, n_samples, seed):
        mean, error, scale = value_of(weights)
        moved = mean - estimate
        moved[np.abs(moved) <= ZERO * (scale + np.abs(estimate))] = 0
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(moved) / np.sqrt(error)
        t[(moved == 0) & (error == 0)] = 0
        t[np.isnan(t)] = np.inf  # a slice that lost its classes tells nothing
        parts.append(t.astype(np.float32))
    return estimate, np.sqrt(squared), np.concatenate(parts)


def _weights(strata: np.ndarray, n_samples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Draw as many classes from every stratum as it has, and yield how often each is drawn."""
    places = [np.flatnonzero(strata == number) for number in np.unique(strata)]
    if len(places) == 1:
        yield from class_weights(len(strata), n_samples, seed)
        return
    seeds = np.random.SeedSequence(seed).generate_state(len(places)).tolist()
    draws = [
        class_weights(len(place), n_samples, own) for place, own in zip(places, seeds, strict=True)
    ]
    for parts in zip(*draws, strict=True):
        weights = np.empty((len(parts[0]), len(strata)))
        for place, part in zip(places, parts, strict=True):
            weights[:, place] = part
        yield weights


def _bounded(
    tables: _Tables, columns: np.ndarray, n_members: int, *, rest: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the intervals of slices in which too few classes carry a spread."""
    sums, size = tables.sides(columns, rest=rest)
    enough = tables.supported(columns, rest=rest)
    total = size.sum(axis=1)
    effective = np.stack([tables.effective[columns], tables.rest_effective[columns]])
    means = sums.sum(axis=1) / total
    down, up = np.zeros_like(means), np.zeros_like(means)
    for side in range(len(means)):
        if not rest:
            gains, losses = _gains_and_losses(sums[side], total[side])
            return rare_interval(gains, losses, effective[side], n_members)
        low, high = _coins(tables, sums[side], total[side], effective[side], n_members)
        apart = sums[side] - size[side] * means[side]
        c = (size[side] > 0).sum(axis=0)
        error = np.sqrt(np.square(apart).sum(axis=0) * c / np.maximum(1, c - 1)) / total[side]
        freedom = np.maximum(effective[side] - 1, 1)
        half = special.stdtrit(freedom, 1 - ALPHA / 2 / n_members) * error
        down[side] = np.where(enough[side], half, means[side] - low)
        up[side] = np.where(enough[side], half, high - means[side])
    errors = tables.seed_errors(columns, rest=rest).sum(axis=0)
    freedom = max(1, min([n - 1 for n in tables.n_seeds if n > 1], default=1))
    over_seeds = special.stdtrit(freedom, 1 - ALPHA / 2 / n_members) * np.sqrt(errors)
    value = means[0] - means[1]
    low = value - np.sqrt(down[0] ** 2 + up[1] ** 2 + over_seeds**2)
    high = value + np.sqrt(up[0] ** 2 + down[1] ** 2 + over_seeds**2)
    return low, high


def _coins(
    tables: _Tables, sums: np.ndarray, total: np.ndarray, effective: np.ndarray, n_members: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds of the mean of slices as if the classes were coins, (p,) each."""
    if tables.single:
        least, most = tables.bounds
        share = (sums.sum(axis=0) / total - least) / (most - least)
        low, high = share_bounds(share, effective, ALPHA / 2 / n_members)
        return least + low * (most - least), least + high * (most - least)
    gains, losses = _gains_and_losses(sums, total)
    gain_low, gain_high = share_bounds(gains, effective, ALPHA / 4 / n_members)
    loss_low, loss_high = share_bounds(losses, effective, ALPHA / 4 / n_members)
    return gain_low - loss_high, gain_high - loss_low


def _gains_and_losses(sums: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what the first run is ahead and behind, summed over classes, per query, (p,) each."""
    return sums.clip(0).sum(axis=0) / total, (-sums).clip(0).sum(axis=0) / total

"""Is this the same class? Error rates of a threshold, its calibration, and open-set search.

A threshold accepts a pair of a query and a gallery item if their similarity reaches it.

* **FMR**, false match rate: share of the pairs of two classes that are accepted.
* **FNMR**, false non-match rate: share of the pairs of one class that are not.
* **EER**, equal error rate: where the two are equal, on the straight line between the two
  neighboring thresholds. FNMR at FMR is the least FNMR of a threshold with at most that FMR.
* **FPIR** and **FNIR** (ISO/IEC 19795-1): a query is accepted if its best similarity reaches the
  threshold. FPIR is the share of accepted queries without a positive in the gallery, FNIR that of
  rejected queries with one.

Pairs are not independent: those of one class share its items, and a pair of two classes belongs to
both. Resampling pairs, or queries, would give intervals that are far too narrow. Classes are
resampled, as everywhere (:mod:`retrieval.evaluation.bootstrap`). A rate over pairs of two classes
is a U-statistic of order 2 over classes: to first order its error is twice the mean of what every
class contributes (Hoeffding 1948; for dyads Aronow, Samii and Assenova 2015, "Cluster-robust
variance estimation for dyadic data"). Where the threshold is estimated as well, its error is
carried over by the slope of the curve. So every figure has one contribution per class, and these
are what the studentized bootstrap resamples. How often the intervals hold the truth was counted:
``benchmarks/results/thresholds.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retrieval.errors import UserError
from retrieval.evaluation.bootstrap import LEVEL_SAMPLES, ClassScores, level_intervals
from retrieval.evaluation.checks import check_shapes, class_codes
from retrieval.evaluation.pairs import LISTED, Histogram, PairCounts, PairSearch
from retrieval.evaluation.protocol import Sides, sides
from retrieval.evaluation.relevance import rules_of
from retrieval.evaluation.search.distances import reported
from retrieval.evaluation.search.plan import Judgments
from retrieval.evaluation.search.search import search as nearest
from retrieval.evaluation.search.threads import worker_pool
from retrieval.evaluation.statistics import effective_classes, share_bounds, too_few_classes
from retrieval.progress import stage
from retrieval.validation import DEFAULT_DISTANCE, Distance, check_choice, check_seed, choices_of

LEVELS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
FPIR_LEVELS = (1e-1, 1e-2)
EER = "EER"
LEAST_ERRORS = 30  # false matches below which a rate has no interval (Doddington's rule of 30)
# Groups of the reliability plot, by calibrated probability: most pairs are of two classes.
GROUPS = (0.0, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Thresholds:
    """Error rates of all thresholds of a run under one protocol.

    Similarities and thresholds are as reported: cosine, or the negative distance. Rates are shares.
    An interval that cannot be given is NaN.

    Attributes:
        n_positive: Number of pairs of one class.
        n_negative: Number of pairs of two classes.
        effective_classes: How many classes of equal size the pairs of one class count as.
        finest: Smallest FMR with an interval: at least 30 false matches, which count as at least
            10 classes; NaN if there is none.
        points: One row for the EER and per level of FMR that the pairs allow: ``point`` (``EER`` or
            the level), ``threshold``, ``fmr``, ``fnmr``, ``low`` and ``high`` (of the EER, or of
            FNMR at that FMR), ``false_matches``, and ``exact``: False where so many pairs tie that
            the threshold was taken at the upper end of their bin.
        curve: One row per threshold, ascending: ``threshold``, ``fmr``, ``fmr_low``, ``fmr_high``,
            ``fnmr``, ``fnmr_low``, ``fnmr_high`` (both of this very threshold), ``band_low`` and
            ``band_high`` (of FNMR at this FMR), ``false_matches``, ``false_non_matches``.
        transfer: Thresholds chosen on one half of the classes and tested on the other: ``point``,
            ``threshold``, ``fmr``, ``fmr_low``, ``fmr_high``, ``fnmr``, ``fnmr_low``,
            ``fnmr_high``.
        calibration: Knots of P(same class | similarity), fitted on one half of the classes:
            ``similarity``, ``probability``; linear in between.
        reliability: The calibrated probabilities tested on the other half: one row per group of
            pairs with ``least`` and ``most`` probability, ``pairs``, ``predicted`` (mean),
            ``observed``, ``low`` and ``high``.
        brier: Mean squared error of the calibrated probability over the pairs of that half.
        brier_of_share: The same for a constant, the share of pairs of one class in that half.
        calibration_error: Mean distance of predicted and observed over groups, weighted by pairs.
        open_set: One row per level of FPIR: ``fpir_level``, ``threshold``, ``fpir``, ``fnir``,
            ``low``, ``high``; empty if every query, or no query, has a positive.
        n_mated: Number of queries with a positive.
        n_unmated: Number of queries without one.
        examples: Pairs to look at: ``cell`` (the place of the next threshold above in ``curve``,
            -1 for the extremes of all), ``same``, ``query``, ``item`` (rows), ``similarity``.
    """

    n_positive: int
    n_negative: int
    effective_classes: float
    finest: float
    points: pd.DataFrame
    curve: pd.DataFrame
    transfer: pd.DataFrame
    calibration: pd.DataFrame
    reliability: pd.DataFrame
    brier: float
    brier_of_share: float
    calibration_error: float
    open_set: pd.DataFrame
    n_mated: int
    n_unmated: int
    examples: pd.DataFrame

    def probability(self, similarity: np.ndarray) -> NDArray[np.float64]:
        """Return the calibrated probability that pairs of these similarities are of one class."""
        knots = self.calibration
        if knots.empty:
            return np.full(np.shape(similarity), np.nan)
        probability: NDArray[np.float64] = np.interp(
            similarity, knots["similarity"], knots["probability"]
        )
        return probability

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, tables as lists by column, ready for JSON; NaN becomes None."""
        found: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, pd.DataFrame):
                found[each.name] = {
                    name: [_json(x) for x in value[name].tolist()] for name in value
                }
            else:
                found[each.name] = _json(value)
        return found

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read what :meth:`to_dict` returns.

        Raises:
            KeyError: A field is missing.
            ValueError: A table has columns of different lengths.
        """
        found: dict[str, Any] = {}
        for each in fields(cls):
            value = content[each.name]
            if isinstance(value, dict):
                table = pd.DataFrame(value)
                for name in table.columns.difference(["point"]):
                    table[name] = table[name].map(lambda x: np.nan if x is None else x)
                found[each.name] = table
            else:
                found[each.name] = np.nan if value is None else value
        return cls(**found)


def thresholds(
    embeddings: np.ndarray,
    labels: np.ndarray,
    roles: np.ndarray | None = None,
    distance: str = DEFAULT_DISTANCE,
    *,
    exclude_same: object = None,
    junk_same: object = None,
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
    n_bootstrap: int = LEVEL_SAMPLES,
    threads: int | None = None,
    progress: bool = False,
) -> Thresholds:
    """Compare all pairs of a query and a gallery item, and return the error rates of thresholds.

    Args:
        embeddings: float, (n, d); compared as float32. A memory map is read in chunks.
        labels: (n,), class of each item, integers or strings.
        roles: (n,), ``query``, ``gallery`` or ``both`` for each item. Defaults to None,
            leave-one-out: every pair of two items, once.
        distance: ``cosine``, ``euclidean``, ``squared_euclidean`` or ``cityblock``. Defaults to
            ``cosine``.
        exclude_same: Columns, name -> (n,) values: pairs that share all of them are left out, see
            :mod:`retrieval.evaluation.relevance`. Defaults to None, none.
        junk_same: The same, of pairs of one class. Defaults to None, none.
        levels: FMRs at which FNMR is wanted; those below one pair are left out. Defaults to 1e-1 to
            1e-5.
        seed: Seed of the bootstrap and of the two halves of the classes. Defaults to 0.
        n_bootstrap: Number of resamples for the 95% intervals. Defaults to 1000.
        threads: Number of worker threads. Defaults to one per available core.
        progress: Whether to show the stage at work when it takes long. Defaults to False.

    Returns:
        The rates.

    Raises:
        UserError: Shapes do not fit, a value is not finite, a label is missing, an option or role
            is unknown, a column does not fit the items, or all pairs, or none, are of one class.
    """
    embeddings, labels = check_shapes(embeddings, labels)
    codes = class_codes(labels)
    check_choice("distance", distance, choices_of(Distance))
    seed = check_seed("seed", seed)
    if not all(0 < level < 1 for level in levels):
        raise UserError(f"levels: {list(levels)}: give false match rates between 0 and 1")
    split = sides(len(codes), None if roles is None else np.asarray(roles))
    n_classes = int(codes.max()) + 1
    half = halves(codes, split, n_classes, seed)
    rules = rules_of(codes, split, exclude_same=exclude_same, junk_same=junk_same)
    left_out = rules.judgments.excluded
    with worker_pool(threads) as pool:
        search = PairSearch(embeddings, codes, split, distance, half, pool, excluded=left_out)
        with stage(f"similarities of {search.n_pairs:,} pairs", show=progress):
            guide = search.guide()
        n_positive, n_negative = int(guide.positive.sum()), int(guide.negative.sum())
        if not n_positive or not n_negative:
            which = "one class" if not n_positive else "two classes"
            raise UserError(f"no pair of a query and a gallery item is of {which}: no threshold")
        plan = Plan.of(guide, sorted(levels, reverse=True))
        with stage(f"counting {search.n_pairs:,} pairs by class", show=progress):
            counts = search.count(guide, guide.edge(plan.bins), plan.wanted)
        best = _best(search, progress=progress)
    with stage("intervals of thresholds", show=progress):
        open_set_table = open_set(*best, n_samples=n_bootstrap, seed=seed)
        figures = _Figures(guide, plan, counts, half, distance, n_bootstrap, seed)
        mated = best[1]
        return figures.all(open_set_table, int(mated.sum()), int((~mated).sum()))


def halves(codes: np.ndarray, split: Sides, n_classes: int, seed: int) -> NDArray[np.int64]:
    """Divide the classes into two halves at random, those with pairs of one class evenly.

    Args:
        codes: int64, (n,), class of each item.
        split: The queries and the gallery.
        n_classes: Number of classes.
        seed: Seed of the division.

    Returns:
        int64, (c,), 0 or 1.
    """
    asked = np.bincount(codes[split.queries], minlength=n_classes)
    there = np.bincount(codes[split.gallery], minlength=n_classes)
    own = np.bincount(codes[split.queries[split.own >= 0]], minlength=n_classes)
    paired = asked * there > own
    order = np.random.default_rng([seed, 2]).permutation(n_classes)
    order = order[np.argsort(~paired[order], kind="stable")]
    half = np.empty(n_classes, np.int64)
    half[order] = np.arange(n_classes) % 2
    return half


@dataclass(frozen=True)
class Bracket:
    """Where a threshold lies.

    Attributes:
        point: ``EER`` or the level of FMR.
        low: Bin at whose lower end the bracket begins.
        high: Bin at whose lower end it ends.
        listed: Whether its pairs are few enough to be listed.
    """

    point: str | float
    low: int
    high: int
    listed: bool


@dataclass(frozen=True)
class Plan:
    """Which bins of the histogram are edges, and what for.

    Attributes:
        bins: int64, (e,), bins at whose lower ends there are edges, ascending.
        wanted: bool, (e + 1,), cells whose pairs are listed.
        brackets: Where the thresholds lie.
        shown: Bins of the curve.
        chosen: Point -> bin of the threshold that half 0 chooses.
        knots: Similarities and probabilities of the calibration, float64 (m, 2).
        groups: Bins at which the groups of the reliability plot begin, and the number of bins.
    """

    bins: NDArray[np.int64]
    wanted: NDArray[np.bool_]
    brackets: list[Bracket]
    shown: NDArray[np.int64]
    chosen: dict[str | float, int]
    knots: NDArray[np.float64]
    groups: NDArray[np.int64]

    @classmethod
    def of(cls, guide: Histogram, levels: Sequence[float]) -> Self:
        """Choose the edges from the histogram."""
        positive, negative = guide.positive, guide.negative
        top = len(positive)
        above, below = _above(negative), _below(positive)
        reach = int(np.ceil(guide.error / guide.width)) + 1
        centers: list[tuple[str | float, int, int]] = []
        at = _crossing(above, below)
        centers.append((EER, at - 1, at))
        for level in levels:
            allowed = _allowed(level, int(above[0]))
            if allowed:
                inside = int(np.searchsorted(-above, -allowed, side="left")) - 1
                centers.append((level, inside, inside + 1))
        brackets, total = [], positive + negative
        used = 0
        for point, low, high in centers:
            low, high = max(0, low - reach), min(top, high + reach)
            n = int(total[low:high].sum())
            brackets.append(Bracket(point, low, high, used + n <= LISTED))
            used += n if used + n <= LISTED else 0
        chosen = _choose(guide, levels)
        knots, groups = _calibrate(guide)
        # The curve has the thresholds of the points too, to within a few bins.
        shown = np.union1d(_curve_bins(guide), [each.high for each in brackets])
        ends = [end for each in brackets for end in (each.low, each.high)]
        bins = np.unique([*ends, *chosen.values(), *groups, *shown])
        wanted = np.zeros(len(bins) + 1, bool)
        for each in brackets:
            if each.listed:
                wanted[
                    np.searchsorted(bins, each.low) + 1 : np.searchsorted(bins, each.high) + 1
                ] = True
        return cls(bins, wanted, brackets, shown, chosen, knots, groups)


def _above(counts: np.ndarray) -> NDArray[np.int64]:
    """Return the pairs at or above the lower end of every bin, (bins + 1,)."""
    return np.append(np.cumsum(counts[::-1])[::-1], 0)


def _below(counts: np.ndarray) -> NDArray[np.int64]:
    """Return the pairs below the lower end of every bin, (bins + 1,)."""
    return np.insert(np.cumsum(counts), 0, 0)


def _allowed(level: float, n: int) -> int:
    """Return how many false matches a level of FMR allows; whole numbers despite rounding."""
    return int(np.floor(level * n * (1 + 1e-12)))


def _crossing(above: np.ndarray, below: np.ndarray) -> int:
    """Return the first bin at whose lower end FMR is at most FNMR."""
    return int(np.argmax(above / max(1, above[0]) <= below / max(1, below[-1])))


def _choose(guide: Histogram, levels: Sequence[float]) -> dict[str | float, int]:
    """Return the thresholds that the classes of half 0 choose, as bins."""
    above, below = _above(guide.counts[2]), _below(guide.counts[0])
    if not above[0] or not below[-1]:
        return {}
    chosen: dict[str | float, int] = {EER: _crossing(above, below)}
    for level in levels:
        if allowed := _allowed(level, int(above[0])):
            chosen[level] = int(np.argmax(above <= allowed))
    return chosen


def _calibrate(guide: Histogram) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Fit P(same class | similarity) to half 0, by isotonic regression, and group the bins."""
    from sklearn.isotonic import IsotonicRegression  # most of a second

    positive, negative = guide.counts[0], guide.counts[2]
    weight = positive + negative
    at = np.flatnonzero(weight)
    if not positive.any() or not negative.any():
        return np.empty((0, 2)), np.empty(0, np.int64)
    center = guide.edge(at + 0.5)
    fit = IsotonicRegression(out_of_bounds="clip").fit(
        center, positive[at] / weight[at], sample_weight=weight[at]
    )
    knots = np.stack([fit.X_thresholds_, fit.y_thresholds_], axis=1)
    predicted = fit.predict(guide.edge(np.arange(len(weight)) + 0.5))
    groups = np.searchsorted(predicted, GROUPS[1:-1], side="left")
    return knots, np.unique([0, *groups, len(weight)]).astype(np.int64)


def _curve_bins(guide: Histogram) -> NDArray[np.int64]:
    """Choose the thresholds of the curve: even in FMR and FNMR, and some even in similarity."""
    above, below = _above(guide.negative), _below(guide.positive)
    n, p = int(above[0]), int(below[-1])
    fmr = np.unique(np.floor(n * np.logspace(-np.log10(n), 0, 56, endpoint=False)))
    fnmr = np.unique(np.floor(p * np.r_[np.linspace(0, 1, 25), np.logspace(-3, -1.3, 8)]))
    there = np.flatnonzero(guide.positive + guide.negative)
    found = [
        np.searchsorted(-above, -fmr, side="left"),
        np.searchsorted(below, fnmr, side="right") - 1,
        np.linspace(there[0], there[-1] + 1, 24).astype(np.int64),
    ]
    bins = np.concatenate(found)
    return np.unique(bins[(bins > 0) & (bins < len(above) - 1)])


def _best(search: PairSearch, *, progress: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return every query's best similarity, whether it has a positive, and its class."""
    split, codes = search.sides, search.query_codes
    there = np.bincount(search.gallery_codes, minlength=len(search.half))[codes]
    mated = there > (split.own >= 0)
    best = np.full(len(codes), np.nan)
    if (mated.any() and not mated.all()) or search.excluded:
        title = f"nearest items of {len(codes):,} queries"
        with stage(title, show=progress):
            found = nearest(
                search.embeddings,
                search.codes,
                split,
                search.distance,
                1,
                pool=search.pool,
                judgments=Judgments(search.excluded),
            )
        best, mated = found.similarities[:, 0].astype(np.float64), found.n_positive > 0
    return best, mated, codes


def open_set(
    best: np.ndarray,
    mated: np.ndarray,
    classes: np.ndarray,
    levels: Sequence[float] = FPIR_LEVELS,
    n_samples: int = LEVEL_SAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how many queries that are in the gallery a threshold rejects, at levels of FPIR.

    Args:
        best: float, (q,), best similarity of each query.
        mated: bool, (q,), whether it has a positive in the gallery.
        classes: int, (q,), class of each query.
        levels: FPIRs at which FNIR is wanted; those below one query are left out. Defaults to 0.1
            and 0.01.
        n_samples: Number of resamples for the intervals. Defaults to 1000.
        seed: Seed of the draws. Defaults to 0.

    Returns:
        See :attr:`Thresholds.open_set`.
    """
    columns = ["fpir_level", "threshold", "fpir", "fnir", "low", "high"]
    if mated.all() or not mated.any():
        return pd.DataFrame(columns=columns)
    codes = np.unique(classes, return_inverse=True)[1]
    strangers = np.sort(best[~mated])[::-1]
    size = np.bincount(codes[mated], minlength=codes.max() + 1).astype(np.float64)
    other = np.bincount(codes[~mated], minlength=codes.max() + 1).astype(np.float64)

    def limit_of(level: float) -> float:
        return float(strangers[min(_allowed(level, len(strangers)), len(strangers) - 1)])

    def fnir_of(level: float) -> float:
        return float((best[mated] <= limit_of(level)).mean())

    rows = []
    for level in levels:
        if not _allowed(level, len(strangers)):
            continue
        limit = limit_of(level)
        missed = np.bincount(codes[mated & (best <= limit)], minlength=len(size))
        let_in = np.bincount(codes[~mated & (best > limit)], minlength=len(size))
        fnir, fpir = missed.sum() / size.sum(), let_in.sum() / other.sum()
        ends = level / 2, min(2 * level, 1.0)
        slope = max(0.0, fnir_of(ends[0]) - fnir_of(ends[1])) / (ends[1] - ends[0])
        part = (missed - fnir * size) / size.sum() + slope * (let_in - fpir * other) / other.sum()
        known = let_in.sum() >= LEAST_ERRORS and not too_few_classes(effective_classes(let_in))
        low, high = contribution_intervals(np.array([fnir]), part[:, None], size, n_samples, seed)
        ends = (low[0], high[0]) if known else (np.nan, np.nan)
        rows.append([level, float(np.nextafter(limit, np.inf)), fpir, fnir, *ends])
    return pd.DataFrame(rows, columns=columns)


def contribution_intervals(
    value: np.ndarray,
    contribution: np.ndarray,
    size: np.ndarray,
    n_samples: int = LEVEL_SAMPLES,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the 95% intervals of rates from what every class contributes to their errors.

    Args:
        value: float, (k,), the rates.
        contribution: float, (c, k), first-order change of the rate if a class is drawn once more.
        size: float, (c,), pairs of each class: how much it counts.
        n_samples: Number of resamples. Defaults to 1000.
        seed: Seed of the draws. Defaults to 0.

    Returns:
        Low and high, float64 (k,) each, within 0 and 1; NaN if the classes are too few for a claim.
    """
    size = np.asarray(size, np.float64)
    there = (size > 0) | (contribution != 0).any(axis=1)
    size, contribution = size[there], contribution[there]
    k = len(value)
    if too_few_classes(effective_classes(size)) or not n_samples:
        return np.full(k, np.nan), np.full(k, np.nan)
    scores = ClassScores(
        sums=value * size[:, None] + contribution * size.sum(),
        size=size,
        n_seeds=np.ones(k, np.int64),
        seed_variance=np.zeros(k),
        class_noise=np.zeros(k),
    )
    low, high = level_intervals(scores, (-np.inf, np.inf), n_samples, seed)
    # Where no class differs from another there is no spread to resample, as at a rate of 0 or 1.
    flat = ~np.isfinite(low) | ~np.isfinite(high)
    least, most = share_bounds(value, effective_classes(size))
    low, high = np.where(flat, least, low), np.where(flat, most, high)
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


class _Figures:
    """The figures from the counts."""

    def __init__(
        self,
        guide: Histogram,
        plan: Plan,
        counts: PairCounts,
        half: np.ndarray,
        distance: str,
        n_samples: int,
        seed: int,
    ):
        self.guide, self.plan, self.counts, self.half = guide, plan, counts, half
        self.distance, self.n_samples, self.seed = distance, n_samples, seed
        self.size = counts.positive.sum(axis=1).astype(np.float64)  # pairs of one class
        self.touch = counts.negative.sum(axis=1).astype(np.float64)  # of two classes, in both
        self.n_positive, self.n_negative = self.size.sum(), self.touch.sum() / 2
        # At every edge: positives below it and negatives at or above it, of every class.
        self.missed = np.cumsum(counts.positive, axis=1)[:, :-1]
        self.matched = _from_above(counts.negative)
        self.fnmr = self.missed.sum(axis=0) / self.n_positive
        self.fmr = self.matched.sum(axis=0) / 2 / self.n_negative

    def slope(self, fmr: np.ndarray) -> NDArray[np.float64]:
        """Return by how much FNMR falls per FMR, from half to twice this FMR."""
        order = np.argsort(self.fmr, kind="stable")
        some = order[self.fmr[order] > 0]
        if not len(some):
            return np.zeros(np.shape(fmr))
        x, y = np.log(self.fmr[some]), self.fnmr[some]
        low, high = np.maximum(fmr, 1e-300) / 2, np.minimum(np.asarray(fmr) * 2, 1)
        drop = np.interp(np.log(low), x, y) - np.interp(np.log(np.maximum(high, 1e-300)), x, y)
        slope: NDArray[np.float64] = np.maximum(drop, 0) / np.maximum(high - low, 1e-300)
        return slope

    def miss_part(self, missed: np.ndarray, fnmr: np.ndarray) -> NDArray[np.float64]:
        """Return what classes contribute to the error of FNMR, (c, k)."""
        part: NDArray[np.float64] = (missed - fnmr * self.size[:, None]) / self.n_positive
        return part

    def match_part(self, matched: np.ndarray, fmr: np.ndarray) -> NDArray[np.float64]:
        """Return what classes contribute to the error of FMR, (c, k)."""
        part: NDArray[np.float64] = (matched - fmr * self.touch[:, None]) / self.n_negative
        return part

    def resolved(self, matched: np.ndarray) -> NDArray[np.bool_]:
        """Return where false matches (c, k) are enough for an interval."""
        total = matched.sum(axis=0) / 2
        carried = np.array([effective_classes(column) for column in matched.T])
        enough: NDArray[np.bool_] = (total >= LEAST_ERRORS) & ~np.array(
            [too_few_classes(n) for n in carried], bool
        )
        return enough

    def at_fmr(
        self, missed: np.ndarray, matched: np.ndarray
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the intervals of FNMR at FMR; NaN where false matches are too few."""
        fnmr = missed.sum(axis=0) / self.n_positive
        fmr = matched.sum(axis=0) / 2 / self.n_negative
        part = self.miss_part(missed, fnmr) + self.slope(fmr) * self.match_part(matched, fmr)
        low, high = self.intervals(fnmr, part, self.size)
        known = self.resolved(matched)
        return np.where(known, low, np.nan), np.where(known, high, np.nan)

    def intervals(
        self, value: np.ndarray, part: np.ndarray, size: np.ndarray
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the intervals of rates, see :func:`contribution_intervals`."""
        return contribution_intervals(value, part, size, self.n_samples, self.seed)

    def shown(self, threshold: np.ndarray | float) -> NDArray[np.float64]:
        """Return thresholds as they are reported."""
        return reported(np.asarray(threshold, np.float64), self.distance)

    def all(self, open_set_table: pd.DataFrame, n_mated: int, n_unmated: int) -> Thresholds:
        """Return all figures."""
        points = self.points()
        curve, finest = self.curve()
        reliability, brier, constant, error = self.reliability()
        knots = self.plan.knots
        return Thresholds(
            n_positive=int(self.n_positive),
            n_negative=int(self.n_negative),
            effective_classes=effective_classes(self.size),
            finest=finest,
            points=points,
            curve=curve,
            transfer=self.transfer(),
            calibration=pd.DataFrame(
                {"similarity": self.shown(knots[:, 0]), "probability": knots[:, 1]}
            ),
            reliability=reliability,
            brier=brier,
            brier_of_share=constant,
            calibration_error=error,
            open_set=open_set_table,
            n_mated=n_mated,
            n_unmated=n_unmated,
            examples=self.examples(),
        )

    def points(self) -> pd.DataFrame:
        """Return the EER and FNMR at every level of FMR."""
        rows = []
        for bracket in self.plan.brackets:
            found = _Inside(self, bracket)
            rows.append(found.eer() if bracket.point == EER else found.at_level())
        return pd.DataFrame(rows)

    def curve(self) -> tuple[pd.DataFrame, float]:
        """Return the rates of the thresholds of the curve, and the finest FMR with an interval."""
        at = np.searchsorted(self.plan.bins, self.plan.shown)
        missed, matched = self.missed[:, at], self.matched[:, at]
        fnmr, fmr = self.fnmr[at], self.fmr[at]
        known = self.resolved(matched) & (fmr < 1)
        fnmr_low, fnmr_high = self.intervals(fnmr, self.miss_part(missed, fnmr), self.size)
        fmr_low, fmr_high = self.intervals(fmr, self.match_part(matched, fmr), self.touch)
        band_low, band_high = self.at_fmr(missed, matched)
        table = pd.DataFrame(
            {
                "threshold": self.shown(self.counts.edges[at]),
                "fmr": fmr,
                "fmr_low": np.where(known, fmr_low, np.nan),
                "fmr_high": np.where(known, fmr_high, np.nan),
                "fnmr": fnmr,
                "fnmr_low": fnmr_low,
                "fnmr_high": fnmr_high,
                "band_low": band_low,
                "band_high": band_high,
                "false_matches": matched.sum(axis=0) // 2,
                "false_non_matches": missed.sum(axis=0),
            }
        )
        resolved = fmr[known & np.isfinite(band_low)]
        return table, float(resolved.min()) if len(resolved) else np.nan

    def transfer(self) -> pd.DataFrame:
        """Test on half 1 the thresholds that half 0 has chosen."""
        columns = ["point", "threshold", "fmr", "fmr_low", "fmr_high"]
        columns += ["fnmr", "fnmr_low", "fnmr_high"]
        chosen, other = self.plan.chosen, self.half == 1
        negative = self.counts.negative_half[other]
        size, touch = self.size[other], negative.sum(axis=1).astype(np.float64)
        if not chosen or not size.any() or not touch.any():
            return pd.DataFrame(columns=columns)
        at = np.searchsorted(self.plan.bins, list(chosen.values()))
        missed, matched = self.missed[other][:, at], _from_above(negative)[:, at]
        fnmr, fmr = missed.sum(axis=0) / size.sum(), matched.sum(axis=0) / touch.sum()
        known = self.resolved(matched)
        miss = (missed - fnmr * size[:, None]) / size.sum()
        match = (matched - fmr * touch[:, None]) / (touch.sum() / 2)
        fnmr_low, fnmr_high = self.intervals(fnmr, miss, size)
        fmr_low, fmr_high = self.intervals(fmr, match, touch)
        values = [
            list(chosen),
            self.shown(self.counts.edges[at]),
            fmr,
            np.where(known, fmr_low, np.nan),
            np.where(known, fmr_high, np.nan),
            fnmr,
            fnmr_low,
            fnmr_high,
        ]
        return pd.DataFrame(dict(zip(columns, values, strict=True)))

    def reliability(self) -> tuple[pd.DataFrame, float, float, float]:
        """Test the calibrated probabilities on half 1: table, Brier scores, calibration error."""
        columns = ["least", "most", "pairs", "predicted", "observed", "low", "high"]
        groups, other = self.plan.groups, self.half == 1
        positive, negative = self.guide.counts[1], self.guide.counts[3]
        if not len(groups) or not positive.any() or not negative.any():
            return pd.DataFrame(columns=columns), np.nan, np.nan, np.nan
        bins = len(positive)
        knots = self.plan.knots
        predicted = np.interp(self.guide.edge(np.arange(bins) + 0.5), knots[:, 0], knots[:, 1])
        total = positive + negative
        edges = np.searchsorted(self.plan.bins, groups)
        of_one = np.pad(np.cumsum(self.counts.positive[other], axis=1), ((0, 0), (0, 1)))
        of_two = np.pad(np.cumsum(self.counts.negative_half[other], axis=1), ((0, 0), (0, 1)))
        rows = []
        for begin, stop, low, high in zip(
            groups[:-1], groups[1:], edges[:-1], edges[1:], strict=True
        ):
            # The first group begins below all similarities, and the last one ends above them.
            same = _between(of_one, low, high, first=begin == 0, last=stop == bins)
            touch = _between(of_two, low, high, first=begin == 0, last=stop == bins)
            pairs = same.sum() + touch.sum() / 2
            if not pairs:
                continue
            share = same.sum() / pairs
            part = (same - share * (same + touch)) / pairs
            part = (part - part.mean())[:, None]
            ends = self.intervals(np.array([share]), part, same + touch)
            inside = slice(begin, stop)
            weight = total[inside].sum()
            mean = float(predicted[inside] @ total[inside] / weight) if weight else np.nan
            least, most = float(predicted[begin]), float(predicted[stop - 1])
            rows.append([least, most, pairs, mean, share, ends[0][0], ends[1][0]])
        table = pd.DataFrame(rows, columns=columns).astype({"pairs": np.int64})
        n = total.sum()
        brier = float((positive @ (1 - predicted) ** 2 + negative @ predicted**2) / n)
        prior = positive.sum() / n
        apart = np.abs(table["predicted"] - table["observed"])
        error = float(np.average(apart, weights=table["pairs"]))
        return table, brier, float(prior * (1 - prior)), error

    def examples(self) -> pd.DataFrame:
        """Return the pairs kept to look at, by the place of their cell in the curve."""
        found = self.counts.examples
        at = np.searchsorted(self.plan.bins, self.plan.shown)  # edges of the curve
        cell = np.searchsorted(at, found.cell, side="left")  # curve edges below the cell
        return pd.DataFrame(
            {
                "cell": np.where(found.cell < 0, -1, cell),
                "same": found.same,
                "query": found.rows[:, 0],
                "item": found.rows[:, 1],
                "similarity": self.shown(found.similarity),
            }
        )


class _Inside:
    """The pairs of one bracket, and those below and above it."""

    def __init__(self, figures: _Figures, bracket: Bracket):
        self.figures, self.bracket = figures, bracket
        counts, bins = figures.counts, figures.plan.bins
        low, high = np.searchsorted(bins, [bracket.low, bracket.high])
        self.high_edge = counts.edges[high]
        inside = slice(
            int(np.searchsorted(-counts.listed, -self.high_edge, "right")),
            int(np.searchsorted(-counts.listed, -counts.edges[low], "right")),
        )
        self.values = counts.listed[inside] if bracket.listed else np.empty(0)
        self.classes = counts.listed_classes[inside] if bracket.listed else np.empty((0, 2), int)
        self.same = self.classes[:, 0] == self.classes[:, 1]
        self.missed_high = figures.missed[:, high]
        self.matched_high = figures.matched[:, high]

    def counts_at(self, accepted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what is missed and matched of every class, (c, 1), if these pairs are accepted."""
        c = len(self.missed_high)
        one = np.bincount(self.classes[accepted & self.same, 0], minlength=c)
        two = np.bincount(self.classes[accepted & ~self.same].ravel(), minlength=c)
        return (self.missed_high - one)[:, None], (self.matched_high + two)[:, None]

    def row(self, threshold: float, accepted: np.ndarray) -> dict[str, Any]:
        """Return a row of the table of points, with the interval of FNMR at FMR."""
        of, (missed, matched) = self.figures, self.counts_at(accepted)
        low, high = of.at_fmr(missed, matched)
        return {
            "point": self.bracket.point,
            "threshold": float(of.shown(threshold)),
            "fmr": float(matched.sum() / 2 / of.n_negative),
            "fnmr": float(missed.sum() / of.n_positive),
            "low": float(low[0]),
            "high": float(high[0]),
            "false_matches": int(matched.sum() // 2),
            "exact": self.bracket.listed,
        }

    def at_level(self) -> dict[str, Any]:
        """Return the threshold just above the first negative that is one too many."""
        allowed = _allowed(float(self.bracket.point), int(self.figures.n_negative))
        negatives = self.values[~self.same]
        place = allowed - int(self.matched_high.sum() // 2)
        if not self.bracket.listed or not 0 <= place < len(negatives):
            return self.row(self.high_edge, np.zeros(len(self.values), bool))
        limit = negatives[place]
        return self.row(float(np.nextafter(limit, np.inf)), self.values > limit)

    def eer(self) -> dict[str, Any]:
        """Return the crossing of both rates, on the line between the neighboring thresholds."""
        of = self.figures
        last = np.flatnonzero(np.append(np.diff(self.values) != 0, True)[: len(self.values)])
        matched = np.cumsum(~self.same)[last] + self.matched_high.sum() // 2
        missed = self.missed_high.sum() - np.cumsum(self.same)[last]
        fmr = np.r_[self.matched_high.sum() // 2, matched] / of.n_negative
        fnmr = np.r_[self.missed_high.sum(), missed] / of.n_positive
        candidates = np.r_[self.high_edge, self.values[last]]
        crossed = fmr >= fnmr
        b = int(np.argmax(crossed)) if crossed.any() else len(fmr) - 1
        a = max(0, b - 1)
        apart = fnmr[a] - fmr[a]
        back = fmr[b] - fnmr[b]
        part = apart / (apart + back) if b > a and apart + back > 0 else 1.0
        eer = fmr[a] + part * (fmr[b] - fmr[a]) if b > a else max(fmr[b], fnmr[b])
        at = b if part >= 0.5 else a
        accepted = self.values >= candidates[at]
        row = self.row(float(candidates[at]), accepted)
        missed, matched = self.counts_at(accepted)
        slope = of.slope(np.array([row["fmr"]]))
        weight = 1 / (1 + slope)
        rates = np.array([row["fnmr"]]), np.array([row["fmr"]])
        part_of = weight * of.miss_part(missed, rates[0])
        part_of = part_of + (1 - weight) * of.match_part(matched, rates[1])
        low, high = of.intervals(np.array([eer]), part_of, of.size)
        return row | {"fmr": float(eer), "fnmr": float(eer), "low": low[0], "high": high[0]}


def _from_above(counts: np.ndarray) -> NDArray[np.int64]:
    """Return the pairs at or above every edge, (c, e), from those of the cells, (c, e + 1)."""
    pairs: NDArray[np.int64] = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1][:, 1:]
    return pairs


def _between(
    below: np.ndarray, low: int, high: int, *, first: bool, last: bool
) -> NDArray[np.int64]:
    """Return the pairs between two edges, (c,); ``below`` holds those below every edge, and all."""
    total = below[:, -2]
    pairs: NDArray[np.int64] = (total if last else below[:, high]) - (0 if first else below[:, low])
    return pairs


def _json(value: Any) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value.item() if isinstance(value, np.generic) else value

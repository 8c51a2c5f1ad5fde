"""Evaluate ranked lists: what another program retrieved for each query, without embeddings.

A list may end before it has ranked the whole gallery. What follows is not known, so a figure is
given only if no order of the items that follow could change it. To find out, every query is scored
twice: with the relevant items that its list lacks right behind it, and with them never found. Where
the two differ, the figure is left out, and the protocol names it with the two means. So lists cut
at depth k have Recall@K for K up to k, and MAP@R if they reach to R.

``unlisted="never"`` counts relevant items that are not listed as never found, as trec_eval does,
and gives every figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import UserError
from retrieval.evaluation.bootstrap import LEVEL_SAMPLES
from retrieval.evaluation.checks import class_codes
from retrieval.evaluation.engine import Options, describe, summarize
from retrieval.evaluation.metrics import check_on_request, in_order, metric, score_ranks
from retrieval.evaluation.protocol import ORDER, SCORES, Sides, sides
from retrieval.evaluation.ranking import BEYOND, check_ks, recall_at
from retrieval.evaluation.relevance import Rules, rules_of
from retrieval.evaluation.results import Result
from retrieval.evaluation.search.lists import Lists, of_same
from retrieval.evaluation.search.plan import Ranking
from retrieval.validation import (
    DEFAULT_KS,
    DEFAULT_NO_POSITIVE,
    DEFAULT_TIES,
    DEFAULT_UNLISTED,
    NoPositive,
    Unlisted,
    check_choice,
    check_integer,
    check_seed,
    choices_of,
)

TIES = {
    "descending": "by id, the greater first, of scores in single precision (trec_eval)",
    "ascending": "by id, the smaller first",
    "listed": "as listed",
}


@dataclass(frozen=True)
class RankedLists:
    """What was retrieved for each query, as flat arrays, in the order of the file.

    >>> RankedLists(np.array([0, 2]), np.array([4, 7]), np.array([0.9, 0.5]))  # two for query 0
    RankedLists(queries=array([0, 2]), items=array([4, 7]), scores=array([0.9, 0.5]))

    Attributes:
        queries: int64, (p,), item row of the query of each entry.
        items: int64, (p,), item row of what was retrieved for it.
        scores: float64, (p,), the higher the nearer; None if the order of the entries is that of
            the ranking.
    """

    queries: np.ndarray
    items: np.ndarray
    scores: np.ndarray | None = None


def evaluate_ranked(
    lists: RankedLists,
    labels: np.ndarray,
    roles: np.ndarray | None = None,
    ks: Sequence[int] = DEFAULT_KS,
    *,
    names: Sequence[str] | np.ndarray | None = None,
    ties: str = DEFAULT_TIES,
    unlisted: str = DEFAULT_UNLISTED,
    no_positive: str = DEFAULT_NO_POSITIVE,
    unit: str = "class",
    k_neighbors: int = 64,
    seed: int = 0,
    n_bootstrap: int = LEVEL_SAMPLES,
    exclude_same: object = None,
    junk_same: object = None,
    ignore: object = None,
    relevance: object = None,
    metrics: Sequence[str] = (),
) -> Result:
    """Evaluate ranked lists as :func:`retrieval.evaluation.evaluate` evaluates embeddings.

    Args:
        lists: What was retrieved for each query. A query's own entry is left out, by its row. A
            query without an entry has found nothing.
        labels: (n,), class of each item.
        roles: (n,), ``query``, ``gallery`` or ``both``. Defaults to None, leave-one-out.
        ks: Values of K for Recall@K. Defaults to (1, 2, 4, 8, 16).
        names: (n,), id of each item, by which equal scores are ordered. Defaults to None: they are
            ordered by row.
        ties: Order of equal scores: ``descending`` by id, after rounding scores to single
            precision, as trec_eval; ``ascending`` by id; or as ``listed``. Defaults to
            ``descending``.
        unlisted: ``unknown`` leaves out every figure that a relevant item below the lists could
            change; ``never`` counts such items as never found. Defaults to ``unknown``.
        no_positive: See :func:`retrieval.evaluation.evaluate`. Defaults to ``exclude``.
        unit: What the labels of queries are, in words, for the protocol: ``class``, or ``query`` if
            every query is a class of its own. Intervals resample it. Defaults to ``class``.
        k_neighbors: Number of neighbors returned per query. Defaults to 64.
        seed: Seed of the bootstrap. Defaults to 0.
        n_bootstrap: Number of resamples for the intervals; 0 computes none. Defaults to 1000.
        exclude_same: See :func:`retrieval.evaluation.evaluate`. Defaults to None.
        junk_same: The same. Defaults to None.
        ignore: The same. Defaults to None.
        relevance: The same; without it, the items of a query's class are relevant.
        metrics: Names of metrics to compute besides the usual ones.

    Returns:
        The result; without clusters and geometry, which need embeddings.

    Raises:
        UserError: An entry is no query or not in the gallery, an item is listed twice for a query,
            a score is not a number, or an option is unknown.
    """
    labels = np.asarray(labels)
    codes = class_codes(labels)
    parts = sides(len(labels), roles)
    check_choice("ties", ties, TIES)
    check_choice("unlisted", unlisted, choices_of(Unlisted))
    ks, further = check_ks(ks), check_on_request(metrics)
    rules = rules_of(
        codes,
        parts,
        exclude_same=exclude_same,
        junk_same=junk_same,
        ignore=ignore,
        relevance=relevance,
        metrics=further,
    )
    options = Options(
        ks=ks,
        distance=ORDER if lists.scores is None else SCORES,
        k_neighbors=check_integer("k_neighbors", k_neighbors, least=1),
        no_positive=check_choice("no_positive", no_positive, choices_of(NoPositive)),
        kmeans="none",
        n_init=1,
        seed=check_seed("seed", seed),
        n_bootstrap=check_integer("n_bootstrap", n_bootstrap, least=0),
    )
    order = _sorted(lists, parts, names, ties)
    relevant = rules.judgments.relevant or of_same(codes, parts)
    judged = [_judge(order, at, parts, rules, relevant) for at in range(len(parts.queries))]
    ranking, depths = _ranking(judged, parts, options)
    never, next_ = (_scores(judged, ks, further, lacking) for lacking in ("never", "next"))
    counted = ranking.n_positive > 0
    # Where a query has no list at all, nothing was found: that is no list that was cut.
    cut = counted & (depths > 0)
    kept, unknown = dict(never), {}
    if unlisted == "unknown":
        for name, low in never.items():
            if not np.array_equal(low[cut], next_[name][cut]):
                high = np.where(depths > 0, next_[name], low)
                unknown[name] = _between(name, low[counted], high[counted])
                del kept[name]
    fill = np.nan if no_positive == "exclude" else 0.0
    per_query = {name: np.where(counted, values, fill) for name, values in kept.items()}
    means = counted if no_positive == "exclude" else np.ones(len(counted), bool)
    figures: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    if counted.any() and per_query:
        figures, intervals = summarize(per_query, means, codes[parts.queries], options)
        median = float(np.median(ranking.first_relevant_rank[counted]))
        if median < BEYOND // 2:
            figures["median_first_hit"] = median
    listed = depths[depths > 0]
    protocol = replace(
        describe(parts, rules, ranking, codes, 0, options),
        ties=TIES[ties] if lists.scores is not None else TIES["listed"],
        unit=unit,
        unlisted=unlisted,
        least_depth=int(listed.min(initial=len(parts.gallery))),
        greatest_depth=int(listed.max(initial=0)),
        n_without_list=int((depths == 0).sum()),
        unknown=_all_unknown(unknown),
    )
    if unit != "class":
        protocol = replace(protocol, interval=protocol.interval.replace("classes", "queries"))
    return Result(
        protocol=protocol,
        metrics=figures,
        intervals=intervals,
        geometry={},
        queries=ranking.queries,
        labels=labels[parts.queries],
        counted=means,
        neighbors=ranking.ids,
        similarities=ranking.similarities,
        first_relevant_rank=ranking.first_relevant_rank,
        first_relevant_item=ranking.first_relevant_item,
        n_positive=ranking.n_positive,
        n_excluded=ranking.n_excluded,
        per_query=per_query,
        relevant=_relevant(judged, ranking.ids.shape[1]),
    )


@dataclass(frozen=True)
class _Order:
    """The entries by query and nearness; those of query i are ``starts[i]:starts[i + 1]``."""

    starts: NDArray[np.int64]
    items: NDArray[np.int64]  # gallery positions
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class _Judged:
    """One query's list, judged: without itself and what is left out.

    Attributes:
        items: int64, (d,), gallery positions, nearest first.
        scores: float64, (d,).
        hits: bool, (d,), whether each is relevant.
        grades: float64, (h,), the grades of those that are, nearest first.
        lacking: float64, (m,), the grades of the relevant items that are not listed, best first.
        n_excluded: Number of gallery items left out.
        n_excluded_positive: How many of those are relevant.
    """

    items: np.ndarray
    scores: np.ndarray
    hits: np.ndarray
    grades: np.ndarray
    lacking: np.ndarray
    n_excluded: int
    n_excluded_positive: int

    @property
    def found(self) -> np.ndarray:
        """Ranks of the relevant items that are listed, 1-based."""
        return np.flatnonzero(self.hits) + 1


def _sorted(
    lists: RankedLists, parts: Sides, names: Sequence[str] | np.ndarray | None, ties: str
) -> _Order:
    n = 1 + max(int(parts.queries.max()), int(parts.gallery.max()))
    query, item = np.full(n, -1), np.full(n, -1)
    query[parts.queries] = np.arange(len(parts.queries))
    item[parts.gallery] = np.arange(len(parts.gallery))
    at, target = query[lists.queries], item[lists.items]
    own = lists.queries == lists.items
    for bad, what in ((at < 0, "is no query"), ((target < 0) & ~own, "is not in the gallery")):
        if bad.any():
            row = int(np.argmax(bad))
            which = lists.queries[row] if what == "is no query" else lists.items[row]
            raise UserError(f"ranked lists: entry {row}: {_named(which, names)} {what}")
    at, target = at[~own], target[~own]
    scores = -np.arange(len(own), dtype=float) if lists.scores is None else lists.scores
    if np.isnan(scores).any():
        raise UserError(f"ranked lists: entry {int(np.argmax(np.isnan(scores)))} has no score")
    scores = scores[~own]
    compared = scores
    if lists.scores is not None and ties == "descending":
        with np.errstate(over="ignore"):
            compared = scores.astype(np.float32)
    place = np.arange(len(at))
    if lists.scores is not None and ties != "listed":
        ids = (
            np.arange(n)
            if names is None
            else np.unique(np.asarray(names, str), return_inverse=True)[1]
        )
        place = ids[parts.gallery[target]] * (1 if ties == "ascending" else -1)
    order = np.lexsort((place, -compared, at))
    at, target, scores = at[order], target[order], scores[order]
    pairs = np.sort(at * len(parts.gallery) + target)
    twice = pairs[1:][pairs[1:] == pairs[:-1]]
    if len(twice):
        first, second = divmod(int(twice[0]), len(parts.gallery))
        raise UserError(
            f"ranked lists: query {_named(parts.queries[first], names)} lists "
            f"{_named(parts.gallery[second], names)} twice"
        )
    starts = np.searchsorted(at, np.arange(len(parts.queries) + 1))
    return _Order(starts, target, scores)


def _named(row: int, names: Sequence[str] | np.ndarray | None) -> str:
    return f"item {row}" if names is None else repr(str(names[row]))


def _judge(order: _Order, at: int, parts: Sides, rules: Rules, relevant: Lists) -> _Judged:
    """Judge the list of one query."""
    entries = slice(order.starts[at], order.starts[at + 1])
    items, scores = order.items[entries], order.scores[entries]
    span = slice(relevant.begin[at], relevant.stop[at])
    positive = relevant.pool[span]
    of_all = rules.judgments.grades
    grades = np.ones(len(positive)) if of_all is None else of_all[span]
    own = int(parts.own[at])
    others = positive != own
    positive, grades = positive[others], grades[others]
    series = [each.pool[each.begin[at] : each.stop[at]] for each in rules.judgments.excluded]
    out = np.setdiff1d(np.concatenate(series), [own]) if series else np.empty(0, np.int64)
    if len(out):
        left_out, keep = np.isin(positive, out), ~np.isin(items, out)
        items, scores = items[keep], scores[keep]
        positive, grades = positive[~left_out], grades[~left_out]
    hits = np.isin(items, positive)
    of_hits = grades[np.searchsorted(positive, items[hits])]
    lacking = np.sort(grades[~np.isin(positive, items[hits])])[::-1]
    lost = len(others) - int((~others).sum()) - len(positive)
    return _Judged(items, scores, hits, of_hits, lacking, len(out), lost)


def _ranks(judged: Sequence[_Judged], lacking: str) -> NDArray[np.float64]:
    """Return the ranks of all positives: those that a list lacks come next, or never."""
    parts = []
    for one in judged:
        m, depth = len(one.lacking), len(one.items)
        rest = np.full(m, np.inf) if lacking == "never" else depth + 1.0 + np.arange(m)
        parts += [one.found, rest]
    return np.concatenate([np.empty(0), *parts])


def _scores(
    judged: Sequence[_Judged], ks: Sequence[int], further: tuple[str, ...], lacking: str
) -> dict[str, np.ndarray]:
    """Score every query by every metric, NaN without positives."""
    ranks = _ranks(judged, lacking)
    counts = np.array([len(one.grades) + len(one.lacking) for one in judged], np.int64)
    grades = np.concatenate(
        [np.empty(0), *(g for one in judged for g in (one.grades, one.lacking))]
    )
    first = np.zeros(len(counts))
    first[counts > 0] = ranks[(np.cumsum(counts) - counts)[counts > 0]]
    scores = {f"recall@{k}": recall_at(first, k) for k in ks}
    return scores | score_ranks(ranks, counts, grades, further)


def _between(name: str, low: np.ndarray, high: np.ndarray) -> str:
    """Name a figure that is not known, with the values that it lies between."""
    one = metric(name)
    ends = one.scale * float(low.mean()), one.scale * float(high.mean())
    for digits in range(one.digits, one.digits + 5):  # as many as tell them apart
        texts = [f"{end:.{digits}f}" for end in ends]
        if texts[0] != texts[1]:
            break
    return f"{one.title} ({texts[0]} to {texts[1]})"


def _all_unknown(unknown: dict[str, str]) -> str:
    """List the figures that are not known; if Recall@K is not, it is for no greater K either."""
    recalls = [name for name in in_order(unknown) if name.startswith("recall@")]
    texts = [f"{metric(recalls[0]).title} and above"] if recalls else []
    texts += [text for name, text in unknown.items() if name not in recalls]
    return "; ".join(texts)


def _ranking(
    judged: Sequence[_Judged], parts: Sides, options: Options
) -> tuple[Ranking, NDArray[np.int64]]:
    """Return the neighbors and first relevant items, and the length of every list, int64 (q,)."""
    depths = np.array([len(one.items) for one in judged], np.int64)
    width = max(1, min(options.k_neighbors, int(depths.max(initial=0))))
    ids = np.full((len(judged), width), -1, np.int32)
    similarities = np.full((len(judged), width), -np.inf, np.float32)
    first_rank = np.zeros(len(judged), np.int32)
    first_item = np.full(len(judged), -1, np.int32)
    for at, one in enumerate(judged):
        near = slice(min(width, len(one.items)))
        ids[at, near] = parts.gallery[one.items[near]]
        similarities[at, near] = one.scores[near]
        if len(one.found):
            first_rank[at] = one.found[0]
            first_item[at] = parts.gallery[one.items[one.found[0] - 1]]
        elif len(one.lacking):
            first_rank[at] = BEYOND
    found = Ranking(
        queries=parts.queries.astype(np.int32),
        ids=ids,
        similarities=similarities,
        n_positive=np.array([len(one.grades) + len(one.lacking) for one in judged], np.int64),
        n_excluded=np.array([one.n_excluded for one in judged], np.int64),
        n_excluded_positive=np.array([one.n_excluded_positive for one in judged], np.int64),
        first_relevant_rank=first_rank,
        first_relevant_item=first_item,
        scores={},
    )
    return found, depths


def _relevant(judged: Sequence[_Judged], width: int) -> NDArray[np.bool_]:
    """Return which of the stored neighbors are relevant, bool (q, width)."""
    relevant = np.zeros((len(judged), width), bool)
    for at, one in enumerate(judged):
        hits = one.hits[:width]
        relevant[at, : len(hits)] = hits
    return relevant

"""The one registry of metrics: what each is, how it is computed and how it is printed.

Every table of the project (Markdown, LaTeX, CSV, HTML, terminal, app, notebooks) takes a metric's
title, scale and digits from here, so that one metric is printed in one way everywhere.

To add a ranking metric, write a function of the ranks of a query's positives in
:mod:`retrieval.evaluation.ranking` and one entry in :data:`METRICS`. It is then computed by
:func:`retrieval.evaluation.evaluate`, saved with every run, and a column of the reports; with
``on_request``, where it is asked for by name. A name that ends in ``@K`` stands for every K.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retrieval.errors import unknown_option
from retrieval.evaluation import ranking
from retrieval.evaluation.ranking import PositiveRanks
from retrieval.validation import DEFAULT_KS, refused

DASH = "–"  # printed where there is no value
HEADLINE = "recall@1"  # what runs are ranked and compared by, unless another metric is chosen
SUMMARY_KS = (1, 4)
AT_K = re.compile(r"(.+)@([1-9][0-9]*)")
RECALL = re.compile(r"recall@([1-9][0-9]*)")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric: its definition, and how its values are printed.

    Attributes:
        name: Key in ``metrics.json``, for example ``map@r``.
        title: Heading of its column in a table.
        long_title: Name in the list of definitions.
        definition: Definition in Markdown; formulas are TeX between dollar signs.
        function: Per-query score from the ranks of the positives; None for metrics that are
            computed otherwise (Recall@K from the first rank, clustering metrics from clusters).
        function_at: The same for a metric of every K, from the ranks and K. Defaults to None.
        scale: Factor between the stored and the printed value: 100 prints a share in percent.
            Defaults to 100.
        digits: Decimals printed. Defaults to 1.
        bounds: Least and greatest possible value, as stored. Defaults to (0, 1).
        higher_is_better: Whether a greater value is better. Defaults to True.
        in_report: Whether it is a column of reports and of the app's tables. Defaults to True.
        in_summary: Whether it is a column of short tables (terminal, notebooks). Defaults to False.
        in_training: Whether it is computed by evaluations during training. Defaults to False.
        on_request: Whether it is computed only where it is asked for by name. Defaults to False.
        ranks_runs: Whether runs may be ranked and compared by it. Defaults to False.
        of_first_rank: Whether a query's score follows from the rank of its first relevant item, so
            that it need not be stored. Defaults to False.
    """

    name: str
    title: str
    long_title: str
    definition: str
    function: Callable[[PositiveRanks], np.ndarray] | None = None
    function_at: Callable[[PositiveRanks, int], np.ndarray] | None = None
    scale: float = 100.0
    digits: int = 1
    bounds: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True
    in_report: bool = True
    in_summary: bool = False
    in_training: bool = False
    on_request: bool = False
    ranks_runs: bool = False
    of_first_rank: bool = False

    @property
    def is_percent(self) -> bool:
        """Whether values are printed in percent."""
        return self.scale == 100

    @property
    def unit(self) -> str:
        """The sign that follows a printed value: ``%``, or nothing."""
        return "%" if self.is_percent else ""

    @property
    def column(self) -> str:
        """Name of its column in files for machines, with the unit: ``map@r (%)`` or ``nmi``."""
        return f"{self.name} (%)" if self.is_percent else self.name

    def format(
        self, value: float | None, low: float | None = None, high: float | None = None
    ) -> str:
        """Print a value, with its interval if there is one.

        >>> metric("recall@1").format(0.4652, 0.4521, 0.4779)
        '46.5 [45.2, 47.8]'
        >>> metric("nmi").format(0.587), metric("nmi").format(None)
        ('0.587', '–')

        Args:
            value: The value as stored; None or NaN prints a dash.
            low: Lower end of its interval. Defaults to none.
            high: Upper end of its interval. Defaults to none.

        Returns:
            The text, without a unit.
        """
        if value is None or np.isnan(value):
            return DASH
        if low is None or high is None or np.isnan(low) or np.isnan(high):
            return self._number(value)
        return f"{self._number(value)} [{self._number(low)}, {self._number(high)}]"

    def format_with_unit(self, value: float | None) -> str:
        """Print a value for a sentence, in which no heading names the unit.

        >>> metric("recall@1").format_with_unit(0.4652), metric("nmi").format_with_unit(0.587)
        ('46.5%', '0.587')

        Args:
            value: The value as stored; None or NaN prints a dash.
        """
        text = self.format(value)
        return text if text == DASH else text + self.unit

    def format_difference(
        self, value: float, low: float | None = None, high: float | None = None
    ) -> str:
        """Print the difference of two values with its sign, and its interval if there is one.

        >>> metric("recall@1").format_difference(0.0123, -0.004, 0.0286)
        '+1.2 [-0.4, +2.9]'

        Args:
            value: The difference of the values as stored; NaN prints a dash.
            low: Lower end of its interval. Defaults to none.
            high: Upper end of its interval. Defaults to none.
        """
        if np.isnan(value):
            return DASH
        if low is None or high is None or np.isnan(low) or np.isnan(high):
            return self._number(value, "+")
        return f"{self._number(value, '+')} [{self._number(low, '+')}, {self._number(high, '+')}]"

    def quote(self, value: float | None) -> str:
        """Print a published value, with one more digit where the source gives it.

        >>> metric("recall@1").quote(0.4652), metric("recall@1").quote(0.78)
        ('46.52', '78.0')
        """
        if value is None or np.isnan(value):
            return DASH
        text = f"{self.scale * value:.{self.digits + 1}f}"
        return text.removesuffix("0")

    def _number(self, value: float, sign: str = "") -> str:
        return f"{self.scale * value:{sign}.{self.digits}f}"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="recall@K",
            title="R@K",
            long_title="Recall@K",
            definition="Share of queries with at least one item of their class among the K nearest "
            "gallery items. The query itself is excluded by its index, so a duplicate image still "
            "counts.",
            in_summary=True,
            in_training=True,
            ranks_runs=True,
            of_first_rank=True,
        ),
        Metric(
            name="precision@1",
            title="P@1",
            long_title="Precision@1",
            definition="Share of queries whose nearest gallery item is of their class; equal to "
            "Recall@1.",
            function=ranking.precision_at_1,
            in_report=False,
            of_first_rank=True,
        ),
        Metric(
            name="r_precision",
            title="R-Precision",
            long_title="R-Precision",
            definition="For a query with R items of its class in the gallery, the share of the R "
            "nearest items that are of its class; then the mean over queries.",
            function=ranking.r_precision,
            ranks_runs=True,
        ),
        Metric(
            name="map@r",
            title="MAP@R",
            long_title="MAP@R",
            definition=r"$\frac{1}{R}\sum_{i=1}^{R} P(i)\,\mathrm{rel}(i)$, where $P(i)$ is the "
            r"precision among the first $i$ and $\mathrm{rel}(i)$ is 1 if the $i$-th item is of "
            "the query's class, else 0; then the mean over queries (Musgrave 2020).",
            function=ranking.map_at_r,
            in_summary=True,
            in_training=True,
            ranks_runs=True,
        ),
        Metric(
            name="map",
            title="mAP",
            long_title="Mean average precision",
            definition=r"$\frac{1}{R}\sum_{i} P(i)\,\mathrm{rel}(i)$ over the whole gallery; then "
            "the mean over queries.",
            function=ranking.average_precision,
            in_report=False,
            ranks_runs=True,
        ),
        Metric(
            name="mrr",
            title="MRR",
            long_title="Mean reciprocal rank",
            definition="One over the rank of the first relevant item; then the mean over queries.",
            function=ranking.reciprocal_rank,
            in_report=False,
            ranks_runs=True,
            of_first_rank=True,
        ),
        Metric(
            name="map@K",
            title="mAP@K",
            long_title="Mean average precision at K",
            definition=r"$\frac{1}{\min(R, K)}\sum_{i=1}^{K} P(i)\,\mathrm{rel}(i)$; then the mean "
            "over queries (Weyand 2020, Google Landmarks).",
            function_at=ranking.average_precision_at,
            in_report=False,
            on_request=True,
            ranks_runs=True,
        ),
        Metric(
            name="map_trapezoid",
            title="mAP (trapezoids)",
            long_title="Mean average precision by trapezoids",
            definition=r"$\frac{1}{R}\sum_{i=1}^{R} \frac{1}{2}\left(\frac{i}{r_i} + "
            r"\frac{i-1}{r_i-1}\right)$, where $r_i$ is the rank of the $i$-th relevant item and "
            "the second term is 1 for $r_i = 1$; then the mean over queries. It is the mAP of the "
            "official code of Market-1501, VeRi-776, ROxford and RParis.",
            function=ranking.average_precision_trapezoid,
            in_report=False,
            on_request=True,
            ranks_runs=True,
        ),
        Metric(
            name="mp@K",
            title="mP@K",
            long_title="Mean precision at K of ROxford and RParis",
            definition=r"Share of relevant items among the first $\min(r_R, K)$, where $r_R$ is "
            "the rank of the last relevant item; then the mean over queries (Radenovic 2018).",
            function_at=ranking.precision_at,
            in_report=False,
            on_request=True,
            ranks_runs=True,
        ),
        Metric(
            name="minp",
            title="mINP",
            long_title="Mean inverse negative penalty",
            definition=r"$R / r_R$, where $r_R$ is the rank of the last of the $R$ relevant items; "
            "then the mean over queries (Ye 2021).",
            function=ranking.inverse_negative_penalty,
            in_report=False,
            on_request=True,
            ranks_runs=True,
        ),
        Metric(
            name="ndcg@K",
            title="nDCG@K",
            long_title="Normalized discounted cumulative gain at K",
            definition=r"$\sum_{i=1}^{K} \frac{g_i}{\log_2(1 + i)}$ over its largest possible "
            "value, where $g_i$ is the grade of the $i$-th item, 1 for every relevant one unless "
            "grades are given; then the mean over queries (Jarvelin 2002, as in trec_eval).",
            function_at=ranking.ndcg_at,
            in_report=False,
            on_request=True,
            ranks_runs=True,
        ),
        Metric(
            name="ndcg_exp@K",
            title="nDCG@K (2^g − 1)",
            long_title="Normalized discounted cumulative gain at K, exponential gain",
            definition="nDCG@K with the gain $2^{g_i} - 1$ in place of $g_i$ (Burges 2005).",
            function_at=ranking.ndcg_exponential_at,
            in_report=False,
            on_request=True,
            ranks_runs=True,
        ),
        Metric(
            name="median_first_hit",
            title="Median first rank",
            long_title="Median rank of the first relevant item",
            definition="Median over queries of the rank of the nearest item of the query's class.",
            scale=1,
            bounds=(1.0, np.inf),
            higher_is_better=False,
            in_report=False,
        ),
        Metric(
            name="nmi",
            title="NMI",
            long_title="NMI",
            definition=r"Normalized mutual information $2\,I(C; Y) / (H(C) + H(Y))$ of k-means "
            "clusters $C$, as many as there are classes, and classes $Y$. It depends on how "
            "k-means starts, so the protocol names the start and the number of starts, of which "
            "the one of the least inertia counts.",
            scale=1,
            digits=3,
            in_summary=True,
            in_training=True,
            ranks_runs=True,
        ),
        Metric(
            name="nmi_start_spread",
            title="NMI over starts, SD",
            long_title="Standard deviation of NMI over the starts of k-means",
            definition="How much NMI depends on how k-means starts. The interval of NMI includes "
            "it.",
            scale=1,
            digits=3,
            higher_is_better=False,
            in_report=False,
        ),
        Metric(
            name="nmi_geometric",
            title="NMI (geometric)",
            long_title="NMI with the geometric mean",
            definition=r"$I(C; Y) / \sqrt{H(C)\,H(Y)}$, as in older papers (Manning 2008).",
            scale=1,
            digits=3,
            in_report=False,
        ),
        Metric(
            name="ami",
            title="AMI",
            long_title="Adjusted mutual information",
            definition="Mutual information of clusters and classes, corrected for chance (Vinh "
            "2010).",
            scale=1,
            digits=3,
            bounds=(-1.0, 1.0),
            in_report=False,
        ),
        Metric(
            name="ari",
            title="ARI",
            long_title="Adjusted Rand index",
            definition="Share of pairs of items on which clusters and classes agree, corrected for "
            "chance (Hubert 1985).",
            scale=1,
            digits=3,
            bounds=(-1.0, 1.0),
            in_report=False,
        ),
        Metric(
            name="pairwise_f1",
            title="Pairwise F1",
            long_title="Pairwise F1",
            definition='F1 score of "same cluster" as a prediction of "same class" over pairs of '
            "items.",
            scale=1,
            digits=3,
            in_report=False,
        ),
    )
}


def metric(name: str) -> Metric:
    """Return a metric by its name; Recall@K and others are known for every K.

    >>> metric("recall@30").title, metric("nmi").digits
    ('R@30', 3)

    Args:
        name: Name as in ``metrics.json``.

    Returns:
        The metric.

    Raises:
        UserError: There is no such metric.
    """
    one, k = _at_k(name)
    if one is not None:
        title, long_title = (
            text.replace("@K", f"@{k}").replace(" at K", f" at {k}")
            for text in (one.title, one.long_title)
        )
        return replace(one, name=name, title=title, long_title=long_title)
    if name not in METRICS:
        raise unknown_option("metric", name, METRICS)
    return METRICS[name]


def _at_k(name: str) -> tuple[Metric | None, int]:
    """Split ``map@100`` into the metric of every K and K; None and 0 for any other name."""
    found = AT_K.fullmatch(name)
    one = METRICS.get(f"{found[1]}@K") if found else None
    return (one, int(found[2])) if found and one is not None else (None, 0)


def is_metric(name: str) -> bool:
    """Return whether there is a metric of this name."""
    return name in METRICS or _at_k(name)[0] is not None


def check_on_request(names: Sequence[str]) -> tuple[str, ...]:
    """Check the names of metrics to compute besides those that always are.

    >>> check_on_request(["minp", "map@100", "map"])
    ('map@100', 'minp')

    Args:
        names: Names of metrics of a ranking. Those that are computed anyway are left out.

    Returns:
        The names, each once, in the order of :data:`METRICS`.

    Raises:
        UserError: ``names`` is not a list, or one is not such a metric (names the closest).
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise refused("metrics", names, "give a list of names, such as ['map@100', 'minp']")
    valid = [m.name for m in METRICS.values() if m.function or m.function_at]
    chosen = set()
    for name in map(str, names):
        one, _ = _at_k(name)
        if name == "recall@K" or one is METRICS["recall@K"]:
            raise refused("metrics", name, "give the K of Recall@K as ks")
        if one is None and (name not in valid or name.endswith("@K")):
            raise unknown_option("metric of a ranking", name, valid)
        if (one or METRICS[name]).on_request:
            chosen.add(name)
    return tuple(in_order(chosen))


def bounds_of(name: str) -> tuple[float, float]:
    """Return the least and greatest possible value of a metric; infinite if it is not known."""
    return metric(name).bounds if is_metric(name) else (-np.inf, np.inf)


def _names(chosen: Iterable[Metric], ks: Sequence[int]) -> tuple[str, ...]:
    """Return the names of metrics, with one Recall@K for each K."""
    names: list[str] = []
    for one in chosen:
        names += [f"recall@{k}" for k in ks] if one.name == "recall@K" else [one.name]
    return tuple(names)


def reported(ks: Sequence[int] = DEFAULT_KS) -> tuple[str, ...]:
    """Return the metrics of reports and of the app's tables.

    Args:
        ks: The K of Recall@K; data sets have their own. Defaults to (1, 2, 4, 8, 16).

    Returns:
        Names, in the order of :data:`METRICS`.
    """
    return _names((m for m in METRICS.values() if m.in_report), ks)


def summarized() -> tuple[str, ...]:
    """Return the metrics of short tables, Recall@1 and Recall@4 among them."""
    return _names((m for m in METRICS.values() if m.in_summary), SUMMARY_KS)


def that_rank_runs(ks: Sequence[int] = DEFAULT_KS) -> tuple[str, ...]:
    """Return the metrics of every run by which runs may be ranked; see :func:`reported`."""
    always = (m for m in METRICS.values() if m.ranks_runs and not m.on_request)
    return _names(always, ks)


def ranks_runs(name: str) -> bool:
    """Return whether runs may be ranked and compared by a metric of this name.

    >>> ranks_runs("recall@30"), ranks_runs("nmi"), ranks_runs("median_first_hit")
    (True, True, False)
    """
    return is_metric(name) and not name.endswith("@K") and metric(name).ranks_runs


def has_scores(name: str) -> bool:
    """Return whether a metric is a mean over queries, so that runs can be tested by it.

    >>> has_scores("map@r"), has_scores("map@100"), has_scores("nmi")
    (True, True, False)
    """
    one = metric(name)
    return bool(one.function or one.function_at) or RECALL.fullmatch(name) is not None


def measured_in_training(ks: Sequence[int] = DEFAULT_KS) -> tuple[str, ...]:
    """Return the metrics of an evaluation during training; see :func:`reported`."""
    return _names((m for m in METRICS.values() if m.in_training), ks)


def in_order(names: Iterable[str]) -> list[str]:
    """Sort the names of metrics: Recall@K by K, then the order of :data:`METRICS`.

    >>> in_order(["nmi", "recall@10", "recall@2"])
    ['recall@2', 'recall@10', 'nmi']
    """
    position = {name: i for i, name in enumerate(METRICS)}

    def place(name: str) -> tuple[int, int, int]:
        one, k = _at_k(name)
        if one is METRICS["recall@K"]:
            return 0, 0, k
        return 1, position[(one or metric(name)).name], k

    return sorted(names, key=place)


def scale_note(names: Iterable[str]) -> str:
    """Say on which scale some metrics are printed.

    >>> scale_note(["recall@1", "map@r", "nmi"])
    'percent; NMI from 0 to 1'

    Args:
        names: Names of the metrics in a table.

    Returns:
        The note, without a full stop.
    """
    metrics = [metric(name) for name in names]
    parts = ["percent"] if any(m.is_percent for m in metrics) else []
    parts += [
        f"{m.title} from {m.scale * m.bounds[0]:g} to {m.scale * m.bounds[1]:g}"
        for m in metrics
        if not m.is_percent and np.isfinite(m.bounds).all()
    ]
    return "; ".join(parts)


def in_printed_scale(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its metrics in the scale they are printed in, unrounded.

    Args:
        table: Columns ``<metric>`` and ``<metric>/<statistic>`` (``low``, ``high``, ``sd``), as
            stored; other columns stay as they are.

    Returns:
        A copy. A metric's column in percent says so in its name: ``map@r (%)``, ``map@r/low (%)``.
    """
    table, names = table.copy(), {}
    for column in table.columns:
        base = str(column).partition("/")[0]
        if not is_metric(base):
            continue
        found = metric(base)
        table[column] = found.scale * table[column]
        if found.is_percent:
            names[column] = f"{column} (%)"
    return table.rename(columns=names)


def score_ranks(
    ranks: np.ndarray,
    n_positive: np.ndarray,
    grades: np.ndarray | None = None,
    further: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Score queries from the ranks of all their positives.

    Example: one query, positives at ranks 1 and 3:

    >>> scores = score_ranks(np.array([1, 3]), np.array([2]), further=["minp"])
    >>> [round(float(scores[name][0]), 4) for name in ("r_precision", "map@r", "map", "minp")]
    [0.5, 0.5, 0.8333, 0.6667]

    Args:
        ranks: int, (sum of ``n_positive``,), 1-based ranks, rising within each query.
        n_positive: int, (q,), the number of positives of each query.
        grades: float64, (sum of ``n_positive``,), the grade of each positive. Defaults to 1 each.
        further: Names of metrics to compute on request. Defaults to none.

    Returns:
        Name -> float64 (q,) for every metric of :data:`METRICS` that is a function of the ranks and
        is computed always or asked for; NaN where a query has no positive.
    """
    counts = np.asarray(n_positive)
    some = counts > 0
    positives = PositiveRanks(np.asarray(ranks), counts[some], grades)
    always = [m.name for m in METRICS.values() if m.function and not m.on_request]
    scores = {}
    for name in (*always, *further):
        scores[name] = np.full(len(counts), np.nan)
        if some.any():
            scores[name][some] = _score(positives, name)
    return scores


def _score(positives: PositiveRanks, name: str) -> np.ndarray:
    """Return the score of each query by a metric of a ranking."""
    one, k = _at_k(name)
    if one is not None and one.function_at is not None:
        return one.function_at(positives, k)
    function = METRICS[name].function
    assert function is not None  # of a metric that ``check_on_request`` accepts
    return function(positives)


def score_first_ranks(name: str, ranks: np.ndarray) -> np.ndarray | None:
    """Score queries from the ranks of their first relevant items, if the metric follows from them.

    >>> score_first_ranks("mrr", np.array([1, 4, 0])).tolist(), score_first_ranks("map", np.ones(2))
    ([1.0, 0.25, 0.0], None)

    Args:
        name: Name of a metric.
        ranks: int, (q,), 1-based ranks; 0 if there is no relevant item, and
            :data:`retrieval.evaluation.ranking.BEYOND` if a ranked list lacks it.

    Returns:
        float64, (q,), 0 where no relevant item was found; None if the metric needs more.
    """
    if found := RECALL.fullmatch(name):
        return ranking.recall_at(ranks, int(found[1]))
    one = metric(name)
    if not one.of_first_rank or one.function is None:
        return None
    ranks = np.asarray(ranks)
    scores, some = np.zeros(len(ranks)), (ranks > 0) & (ranks < ranking.BEYOND)
    if some.any():
        first = ranks[some].astype(np.int64)
        scores[some] = one.function(PositiveRanks(first, np.ones(len(first), np.int64)))
    return scores

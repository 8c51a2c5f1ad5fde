"""The one registry of metrics: what each is, how it is computed and how it is printed.

Every table of the project (Markdown, LaTeX, CSV, HTML, terminal, app, notebooks) takes a metric's
title, scale and digits from here, so that one metric is printed in one way everywhere.

To add a ranking metric, write a function of the ranks of a query's positives in
:mod:`retrieval.evaluation.ranking` and one entry in :data:`METRICS`. It is then computed by
:func:`retrieval.evaluation.evaluate`, saved with every run, and a column of the reports.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retrieval.errors import unknown_option
from retrieval.evaluation import ranking
from retrieval.evaluation.ranking import PositiveRanks
from retrieval.validation import DEFAULT_KS

DASH = "–"  # printed where there is no value
SUMMARY_KS = (1, 4)
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
        scale: Factor between the stored and the printed value: 100 prints a share in percent.
            Defaults to 100.
        digits: Decimals printed. Defaults to 1.
        bounds: Least and greatest possible value, as stored. Defaults to (0, 1).
        higher_is_better: Whether a greater value is better. Defaults to True.
        in_report: Whether it is a column of reports and of the app's tables. Defaults to True.
        in_summary: Whether it is a column of short tables (terminal, notebooks). Defaults to False.
        in_training: Whether it is computed by evaluations during training. Defaults to False.
    """

    name: str
    title: str
    long_title: str
    definition: str
    function: Callable[[PositiveRanks], np.ndarray] | None = None
    scale: float = 100.0
    digits: int = 1
    bounds: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True
    in_report: bool = True
    in_summary: bool = False
    in_training: bool = False

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
        ),
        Metric(
            name="precision@1",
            title="P@1",
            long_title="Precision@1",
            definition="Share of queries whose nearest gallery item is of their class; equal to "
            "Recall@1.",
            function=ranking.precision_at_1,
            in_report=False,
        ),
        Metric(
            name="r_precision",
            title="R-Precision",
            long_title="R-Precision",
            definition="For a query with R items of its class in the gallery, the share of the R "
            "nearest items that are of its class; then the mean over queries.",
            function=ranking.r_precision,
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
        ),
        Metric(
            name="map",
            title="mAP",
            long_title="Mean average precision",
            definition=r"$\frac{1}{R}\sum_{i} P(i)\,\mathrm{rel}(i)$ over the whole gallery; then "
            "the mean over queries.",
            function=ranking.average_precision,
            in_report=False,
        ),
        Metric(
            name="mrr",
            title="MRR",
            long_title="Mean reciprocal rank",
            definition="One over the rank of the first relevant item; then the mean over queries.",
            function=ranking.reciprocal_rank,
            in_report=False,
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
    """Return a metric by its name; Recall@K is known for every K.

    >>> metric("recall@30").title, metric("nmi").digits
    ('R@30', 3)

    Args:
        name: Name as in ``metrics.json``.

    Returns:
        The metric.

    Raises:
        UserError: There is no such metric.
    """
    if found := RECALL.fullmatch(name):
        k = found[1]
        return replace(METRICS["recall@K"], name=name, title=f"R@{k}", long_title=f"Recall@{k}")
    if name not in METRICS:
        raise unknown_option("metric", name, METRICS)
    return METRICS[name]


def is_metric(name: str) -> bool:
    """Return whether there is a metric of this name."""
    return name in METRICS or RECALL.fullmatch(name) is not None


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


def measured_in_training(ks: Sequence[int] = DEFAULT_KS) -> tuple[str, ...]:
    """Return the metrics of an evaluation during training; see :func:`reported`."""
    return _names((m for m in METRICS.values() if m.in_training), ks)


def in_order(names: Iterable[str]) -> list[str]:
    """Sort the names of metrics: Recall@K by K, then the order of :data:`METRICS`.

    >>> in_order(["nmi", "recall@10", "recall@2"])
    ['recall@2', 'recall@10', 'nmi']
    """
    position = {name: i for i, name in enumerate(METRICS)}

    def place(name: str) -> tuple[int, int]:
        found = RECALL.fullmatch(name)
        return (0, int(found[1])) if found else (1, position[metric(name).name])

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


def score_ranks(ranks: np.ndarray, n_positive: np.ndarray) -> dict[str, np.ndarray]:
    """Score queries from the ranks of all their positives.

    Example: one query, positives at ranks 1 and 3:

    >>> scores = score_ranks(np.array([1, 3]), np.array([2]))
    >>> [round(float(scores[name][0]), 4) for name in ("r_precision", "map@r", "map", "mrr")]
    [0.5, 0.5, 0.8333, 1.0]

    Args:
        ranks: int, (sum of ``n_positive``,), 1-based ranks, rising within each query.
        n_positive: int, (q,), the number of positives of each query.

    Returns:
        Name -> float64 (q,) for every metric of :data:`METRICS` that is a function of the ranks;
        NaN where a query has no positive.
    """
    counts = np.asarray(n_positive)
    some = counts > 0
    positives = PositiveRanks(np.asarray(ranks), counts[some])
    scores = {}
    for name, one in METRICS.items():
        if one.function is not None:
            scores[name] = np.full(len(counts), np.nan)
            if some.any():
                scores[name][some] = one.function(positives)
    return scores

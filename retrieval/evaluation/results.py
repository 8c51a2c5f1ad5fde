"""The outcome of an evaluation: figures, intervals, per-query arrays, and their protocol."""

import functools
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from retrieval.evaluation.metrics import in_order, metric, scale_note
from retrieval.evaluation.protocol import Protocol


@dataclass(frozen=True)
class Result:
    """What :func:`retrieval.evaluation.evaluate` returns. Prints as one quotable line.

    Attributes:
        protocol: How the numbers were made.
        metrics: Name -> value: ``recall@K``, ``precision@1``, ``r_precision``, ``map@r``, ``map``,
            ``mrr``, ``median_first_hit`` and, if clustered, ``nmi`` and its relatives. NaN where no
            query counts.
        intervals: Name -> (low, high), 95%, bootstrap over classes.
        geometry: The geometry card, see :mod:`retrieval.evaluation.geometry`.
        queries: int32, (q,), item row of each query.
        labels: (q,), class of each query.
        counted: bool, (q,), the queries that enter the means.
        neighbors: int32, (q, k), item rows, nearest first; -1 pads.
        similarities: float32, (q, k): cosine, or the negative distance; -inf pads.
        first_relevant_rank: int32, (q,), 1-based rank of the nearest positive; 0 if there is none.
        first_relevant_item: int32, (q,), its item row; -1 if there is none.
        n_positive: int64, (q,), gallery items of the query's class, itself left out.
        per_query: Metric -> float64 (q,); a query without a positive holds NaN, or 0 under the
            ``zero`` rule.
        clusters: int32, (n,), k-means cluster of each item, or None.
    """

    protocol: Protocol
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    geometry: dict[str, float]
    queries: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    counted: np.ndarray = field(repr=False)
    neighbors: np.ndarray = field(repr=False)
    similarities: np.ndarray = field(repr=False)
    first_relevant_rank: np.ndarray = field(repr=False)
    first_relevant_item: np.ndarray = field(repr=False)
    n_positive: np.ndarray = field(repr=False)
    per_query: dict[str, np.ndarray] = field(repr=False)
    clusters: np.ndarray | None = field(default=None, repr=False)

    @property
    def n_queries(self) -> int:
        """Queries, including those without a possible hit."""
        return self.protocol.n_queries

    @functools.cached_property
    def _by_class(self) -> pd.DataFrame:
        frame = pd.DataFrame({"label": self.labels, **self.per_query})[self.counted]
        groups = frame.groupby("label", sort=True)
        table = groups.mean()
        table.insert(0, "n_queries", groups.size())
        return table.reset_index()

    def per_class(self) -> pd.DataFrame:
        """Return a row per class of counted queries: ``label``, ``n_queries``, metric means."""
        return self._by_class.copy()

    def to_dict(self) -> dict:
        """Return the entry of ``metrics.json``: protocol, counts, metrics with interval, geometry.

        A value that does not exist (a mean over no query) is None, never NaN.
        """
        counts = ("n_items", "n_queries", "n_gallery", "n_classes", "n_without_positive")
        metrics = {}
        for name, value in self.metrics.items():
            low, high = self.intervals.get(name, (None, None))
            metrics[name] = {"value": _json(value), "low": _json(low), "high": _json(high)}
        return {
            "protocol": self.protocol.to_dict(),
            **{name: getattr(self.protocol, name) for name in counts},
            "metrics": metrics,
            "geometry": {name: _json(value) for name, value in self.geometry.items()},
        }

    def __str__(self) -> str:
        shown = [name for name in in_order(self.metrics) if metric(name).in_report]
        figures = [
            f"{metric(name).title} "
            + metric(name).format(self.metrics[name], *self.intervals.get(name, ()))
            for name in shown
        ]
        return f"{', '.join(figures)} ({scale_note(shown)}; {self.protocol})"


def _json(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)

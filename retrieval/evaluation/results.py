"""The result of an evaluation: metrics, intervals, per-query arrays, and the protocol."""

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from retrieval.evaluation.caveats import caveats
from retrieval.evaluation.metrics import in_order, metric, scale_note
from retrieval.evaluation.protocol import Protocol


@dataclass(frozen=True)
class Result:
    """The result of :func:`retrieval.evaluation.evaluate`. Prints as one line that can be quoted.

    Attributes:
        protocol: The evaluation protocol.
        metrics: Name -> value, for the metrics of :data:`retrieval.evaluation.metrics.METRICS`;
            clustering metrics only if items were clustered and a class has two items. The metrics
            of a ranking are absent if no query has a positive.
        intervals: Name -> (low, high) of the 95% interval (bootstrap over classes).
        geometry: The geometry card, see :mod:`retrieval.evaluation.geometry`.
        queries: int32, (q,), item row of each query.
        labels: (q,), class of each query.
        counted: bool, (q,), whether a query enters the means.
        neighbors: int32, (q, k), item rows of the nearest gallery items, nearest first; -1 pads.
        similarities: float32, (q, k), cosine or negative distance of the neighbors; -inf pads.
        first_relevant_rank: int32, (q,), 1-based rank of the first relevant item; 0 if there is
            none.
        first_relevant_item: int32, (q,), item row of the first relevant item; -1 if there is none.
        n_positive: int64, (q,), number of positives: relevant gallery items, those of the query's
            class unless others are given, without the query itself and what is left out.
        n_excluded: int64, (q,), number of gallery items left out of the query's ranking, without
            the query itself.
        per_query: Metric -> float64 (q,). A query without positives has NaN, or 0 under the
            ``zero`` rule.
        clusters: int32, (n,), k-means cluster of each item; None if items were not clustered.
        relevant: bool, (q, k), which of the neighbors are relevant; None if they are those of the
            query's class.
        nmi_of_starts: NMI of every start of k-means; empty if items were not clustered.
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
    n_excluded: np.ndarray = field(repr=False)
    per_query: dict[str, np.ndarray] = field(repr=False)
    clusters: np.ndarray | None = field(default=None, repr=False)
    relevant: np.ndarray | None = field(default=None, repr=False)
    nmi_of_starts: tuple[float, ...] = field(default=(), repr=False)

    @property
    def n_queries(self) -> int:
        """Number of queries, including those without positives."""
        return self.protocol.n_queries

    @functools.cached_property
    def _by_class(self) -> pd.DataFrame:
        frame = pd.DataFrame({"label": self.labels, **self.per_query})[self.counted]
        groups = frame.groupby("label", sort=True)
        table = groups.mean()
        table.insert(0, "n_queries", groups.size())
        return table.reset_index()

    def per_class(self) -> pd.DataFrame:
        """Average the per-query metrics by class.

        Returns:
            One row per class of counted queries: ``label``, ``n_queries`` and the metrics.
        """
        return self._by_class.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of ``metrics.json``: protocol, counts, metrics with interval, geometry.

        A value that does not exist is None, never NaN.
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
        facts = "; ".join([*caveats(self.protocol, self.geometry), str(self.protocol)])
        if not figures:
            return f"no figures ({facts})"
        return f"{', '.join(figures)} ({scale_note(shown)}; {facts})"


def _json(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)

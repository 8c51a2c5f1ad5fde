"""The nearest neighbors of every query: ``neighbours.npz``, written and read here only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import UserError
from retrieval.evaluation.metrics import metric, score_first_ranks
from retrieval.evaluation.results import Result
from retrieval.files import atomic_path
from retrieval.validation import DEFAULT_NO_POSITIVE

FILE = "neighbours.npz"
# Attribute -> key in the file, after ``<protocol>/``; the keys are those of version 0.1.0.
KEYS = {
    "queries": "queries",
    "ids": "ids",
    "similarities": "similarities",
    "first_relevant_rank": "first_hit",
    "first_relevant_item": "first_hit_item",
}
RELEVANT = "relevant"  # only in the file where relevance is not by class
SCORE = "score/"  # before the metric's name, in the keys of scores of every query


@dataclass(frozen=True)
class Neighbors:
    """The retrieval results of every query under one protocol.

    Items are identified by their row in ``items.parquet``.

    Attributes:
        protocol: Name of the protocol, see :class:`retrieval.evaluation.protocol.Protocol`.
        queries: int32, (q,), row of each query.
        ids: int32, (q, k), rows of the nearest gallery items, nearest first; padded with -1.
        similarities: float32, (q, k), similarity of each neighbor; higher is nearer. It is the
            negative distance unless the distance is cosine.
        first_relevant_rank: int32, (q,), 1-based rank of the first relevant item, which is the
            nearest one of the query's class; 0 if the gallery holds none, and
            :data:`retrieval.evaluation.ranking.BEYOND` if it lies below the end of a ranked list.
        first_relevant_item: int32, (q,), row of the first relevant item; -1 if there is none, or if
            it is not known.
        relevant: bool, (q, k), which neighbors are relevant. Defaults to None: those of the query's
            class.
        scores: Metric -> float64 (q,), the score of every query under the metrics that do not
            follow from ``first_relevant_rank``. A run that was evaluated before they were stored
            has none, and so do evaluations from a plain list of neighbors. Defaults to none.
    """

    protocol: str
    queries: np.ndarray
    ids: np.ndarray
    similarities: np.ndarray
    first_relevant_rank: np.ndarray
    first_relevant_item: np.ndarray
    relevant: np.ndarray | None = None
    scores: Mapping[str, np.ndarray] = field(default_factory=dict)

    def fits(self, n_items: int) -> bool:
        """Return whether the arrays have matching shapes and refer to existing items only.

        Args:
            n_items: Number of items of the run.
        """
        rows = (self.queries, self.ids, self.first_relevant_item)
        arrays = (*rows, self.similarities, self.first_relevant_rank, *self.scores.values())
        return (
            self.ids.ndim == 2
            and self.ids.shape == self.similarities.shape
            and {len(array) for array in arrays} == {len(self.queries)}
            and len(self.queries) > 0
            and all(array.dtype.kind == "i" for array in rows)
            and all(array.dtype.kind == "f" for array in self.scores.values())
            and all(array.min() >= -1 and array.max() < n_items for array in rows)
            and bool(self.queries.min() >= 0)
            and (self.relevant is None or self.relevant.shape == self.ids.shape)
        )

    def hits(self, labels: np.ndarray) -> np.ndarray:
        """Tell which neighbors are relevant.

        Args:
            labels: int64, (n,), class of every item.

        Returns:
            bool, (q, k); False for padding.
        """
        return self.hits_of(slice(None), labels)

    def hits_of(self, at: int | slice, labels: np.ndarray) -> np.ndarray:
        """Tell which neighbors of one query are relevant, or of several.

        Args:
            at: Position of the query among the queries, or a slice of them.
            labels: int64, (n,), class of every item.

        Returns:
            bool, (k,) or (q, k); False for padding.
        """
        ids = self.ids[at]
        if self.relevant is not None:
            return np.asarray(self.relevant[at], bool) & (ids >= 0)
        hits: np.ndarray = (labels[ids] == labels[self.queries[at]][..., None]) & (ids >= 0)
        return hits

    def scores_of(
        self, name: str, no_positive: str = DEFAULT_NO_POSITIVE
    ) -> NDArray[np.float64] | None:
        """Return the score of each query under a metric.

        Args:
            name: Name of the metric, e.g. ``recall@1`` or ``map@r``.
            no_positive: The protocol's rule for queries without a relevant item in the gallery:
                ``exclude`` them, or score them ``zero``. Defaults to ``exclude``.

        Returns:
            float64, (q,), NaN if the query is excluded; None if the run does not hold the scores.
        """
        found = score_first_ranks(name, self.first_relevant_rank)
        if found is None:
            found = self.scores.get(name)
        if found is None:
            return None
        without = 0.0 if no_positive == "zero" else np.nan
        return np.where(self.first_relevant_rank == 0, without, found).astype(np.float64)

    def position(self, row: int) -> int | None:
        """Return the position of an item among the queries, or None if it is not a query."""
        at = int(np.searchsorted(self.queries, row))
        if at < len(self.queries) and self.queries[at] == row:
            return at
        # Queries are written in item order, but an imported run may not keep it.
        found = np.flatnonzero(self.queries == row)
        return int(found[0]) if len(found) else None


def neighbors_in(arrays: Mapping[str, np.ndarray], protocol: str, file: Path) -> Neighbors:
    """Pick the arrays of one protocol.

    Args:
        arrays: The arrays of the file.
        protocol: Name of the protocol.
        file: The file, for the message.

    Returns:
        The neighbors.

    Raises:
        UserError: The file has no neighbors under that protocol.
    """
    names = {attribute: f"{protocol}/{key}" for attribute, key in KEYS.items()}
    if not arrays.keys() >= set(names.values()):
        raise UserError(f"{file}: no neighbors under protocol {protocol!r}")
    before = f"{protocol}/{SCORE}"
    scores = {key.removeprefix(before): arrays[key] for key in arrays if key.startswith(before)}
    found = {attribute: arrays[name] for attribute, name in names.items()}
    relevant = arrays.get(f"{protocol}/{RELEVANT}")
    return Neighbors(protocol, **found, relevant=relevant, scores=scores)


def write_neighbors(folder: Path, results: Mapping[str, Result]) -> None:
    """Write the neighbors of a run.

    Args:
        folder: The run's folder.
        results: Protocol name -> result of the evaluation.
    """
    arrays: dict[str, np.ndarray] = {}
    for protocol, result in results.items():
        found = Neighbors(
            protocol=protocol,
            queries=result.queries,
            ids=result.neighbors,
            similarities=result.similarities,
            first_relevant_rank=result.first_relevant_rank,
            first_relevant_item=result.first_relevant_item,
        )
        arrays |= {f"{protocol}/{key}": getattr(found, name) for name, key in KEYS.items()}
        if result.relevant is not None:
            arrays[f"{protocol}/{RELEVANT}"] = result.relevant
        arrays |= {
            f"{protocol}/{SCORE}{name}": scores
            for name, scores in result.per_query.items()
            if not metric(name).of_first_rank
        }
    with atomic_path(folder / FILE) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)

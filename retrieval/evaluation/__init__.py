"""Exact and fast evaluation of embeddings, with the protocol stated; no TensorFlow.

>>> import numpy as np
>>> from retrieval.evaluation import evaluate
>>> r = evaluate(np.eye(4) + 1, np.array([0, 0, 1, 1]), ks=(1, 3))
>>> sorted(r.metrics)[:2], r.neighbors.shape
(['ami', 'ari'], (4, 4))

Besides :func:`evaluate` there are :func:`compare`, which tests whether one run is better than
another; :func:`cmc`, the cumulative match characteristic from ``r.first_relevant_rank``; and
:func:`evaluate_approximately`, for galleries too large to search exactly (only used when called).
"""

from retrieval.evaluation.approximate import ApproximateResult, evaluate_approximately
from retrieval.evaluation.engine import evaluate
from retrieval.evaluation.protocol import Protocol
from retrieval.evaluation.ranking import cmc
from retrieval.evaluation.relevance import RowLists
from retrieval.evaluation.results import Result
from retrieval.evaluation.significance import Comparison, compare

__all__ = [
    "ApproximateResult", "Comparison", "Protocol", "Result", "RowLists", "cmc", "compare",
    "evaluate", "evaluate_approximately",
]  # fmt: skip

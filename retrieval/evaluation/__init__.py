"""Exact, fast and honest evaluation of embeddings; no TensorFlow.

>>> import numpy as np
>>> from retrieval.evaluation import evaluate
>>> r = evaluate(np.eye(4) + 1, np.array([0, 0, 1, 1]), ks=(1, 3))
>>> sorted(r.metrics)[:2], r.neighbours.shape
(['ami', 'ari'], (4, 4))
"""

from retrieval.evaluation.engine import evaluate
from retrieval.evaluation.protocol import Protocol
from retrieval.evaluation.results import Result
from retrieval.evaluation.significance import Comparison, compare

__all__ = ["Comparison", "Protocol", "Result", "compare", "evaluate"]

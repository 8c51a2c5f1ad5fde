"""The run folder: the contract between training and the app.

:func:`open_run` and :func:`list_runs` read finished runs as typed objects; the other modules of
this package write, check, lock, publish and import them. Nothing here imports TensorFlow.
"""

from retrieval.runs.records import Estimate, ProtocolResult
from retrieval.runs.run import REQUIRED_FILES, SCHEMA, Neighbors, Run
from retrieval.runs.store import BrokenRun, list_runs, open_run

__all__ = [
    "REQUIRED_FILES",
    "SCHEMA",
    "BrokenRun",
    "Estimate",
    "Neighbors",
    "ProtocolResult",
    "Run",
    "list_runs",
    "open_run",
]

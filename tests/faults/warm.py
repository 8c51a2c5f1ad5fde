"""Import and compile everything once, so that each child starts where its work begins.

Nothing here may start threads of TensorFlow or OpenMP: a child would wait for them for ever.
"""

import importlib
import os

import numpy as np

import retrieval.cli.tables  # noqa: F401
import retrieval.runs.importing  # noqa: F401
import workbench.data.notes  # noqa: F401
from retrieval import projection
from retrieval.evaluation import evaluate
from retrieval.evaluation.geometry import relative_spread
from retrieval.runs.provenance import git_revision


def _no_layout(
    points: np.ndarray,
    neighbors: np.ndarray,
    distances: np.ndarray,
    start: np.ndarray,
    *_: object,
    progress: bool = False,
) -> np.ndarray:
    """Take the place of UMAP, which takes seconds to load in every child."""
    return np.asarray(start, np.float32)


def warm_up() -> None:
    """Load what an evaluation needs."""
    projection.umap_layout = _no_layout
    git_revision()
    points = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
    labels = np.arange(12) % 3
    roles = np.array(["query", "gallery", "both"] * 4, object)
    for distance in ("cosine", "euclidean"):
        evaluate(points, labels, roles, distance=distance)
        evaluate(points, labels, distance=distance, n_bootstrap=20)
        relative_spread(points, distance)
    projection.principal_components(points, 3)


def load_tensorflow() -> None:
    """Import what training needs, and run none of it."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    from retrieval.models import conv4

    for name in ("experiment.sweep", "training.embed_test_split", "training.fit"):
        importlib.import_module(f"retrieval.{name}")

    conv4.WIDTHS = (8, conv4.WIDTHS[-1])  # a graph of half the size

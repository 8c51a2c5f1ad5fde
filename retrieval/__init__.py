"""Deep metric learning and image retrieval: train, embed, evaluate.

The public API in one screen. Names that need TensorFlow are imported on first use, so that
reading run folders and evaluating embeddings stays light::

    from retrieval import load_catalog, train, evaluate, open_run, list_runs, get_loss
"""

import importlib

from retrieval.caches import use_writable_caches
from retrieval.quiet import quiet_import

__version__ = "0.1.0"
_HOME = {
    "Catalog": "retrieval.datasets.catalog",
    "DATASETS": "retrieval.datasets",
    "load_catalog": "retrieval.datasets",
    "LOSSES": "retrieval.losses",
    "get_loss": "retrieval.losses",
    "BACKBONES": "retrieval.models",
    "build_model": "retrieval.models",
    "RankingModel": "retrieval.training.model",
    "TrainSettings": "retrieval.settings",
    "load_recipe": "retrieval.recipes",
    "train": "retrieval.experiment.pipeline",
    "tune": "retrieval.tuning.tune",
    "embed_to_file": "retrieval.deployment.embed_to_file",
    "load_embedder": "retrieval.deployment.embedder",
    "evaluate": "retrieval.evaluation",
    "import_run": "retrieval.runs.array_importing",
    "open_run": "retrieval.runs",
    "list_runs": "retrieval.runs",
    "UserError": "retrieval.errors",
}
__all__ = sorted(_HOME)
use_writable_caches()  # before any module imports the libraries that need them


def __getattr__(name: str):
    """Import a public name from its home module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'retrieval' has no attribute {name!r}")
    with quiet_import():
        return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__

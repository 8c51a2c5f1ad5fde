"""The facts of a protocol in words, as ``metrics.json`` has them under keys."""

from dataclasses import asdict

import numpy as np

from retrieval.runs.records import ProtocolResult
from retrieval.runs.run import Run

NAMES = {
    "rule": "Who searches whom",
    "dataset": "Data set",
    "split": "Split",
    "distance": "Distance",
    "normalized": "Embeddings scaled to unit length",
    "dimension": "Width of the embedding",
    "n_items": "Items",
    "n_classes": "Classes",
    "n_queries": "Queries",
    "n_gallery": "Gallery items",
    "n_without_positive": "Queries with no item of their class in the gallery",
    "no_positive": "What such a query counts",
    "ties": "Equal similarities",
    "kmeans": "Start of k-means (for NMI)",
    "seed": "Seed of k-means and of the resamples",
    "interval": "Intervals",
}
HIDDEN = ("name", "title")  # they head the column
WORDS = {
    ("rule", "leave-one-out"): "every item is a query against all others (leave-one-out)",
    ("rule", "query -> gallery"): "queries against a gallery of other items",
    ("no_positive", "exclude"): "nothing: left out of every mean",
    ("no_positive", "zero"): "a miss: scored 0",
    ("ties", "by index"): "the item that comes first is nearer",
    ("kmeans", "none"): "not clustered: no NMI",
}


def facts_in_words(result: ProtocolResult) -> dict[str, str]:
    """Describe a protocol in words.

    Args:
        result: The results of a run under the protocol.

    Returns:
        Fact -> value, in the order of ``NAMES``; a fact without a name there keeps its identifier.
    """
    facts = asdict(result.protocol) | {"dataset": result.dataset, "split": result.split}
    known = [key for key in NAMES if key in facts]
    rest = [key for key in facts if key not in NAMES and key not in HIDDEN]
    return {
        NAMES.get(key, key.replace("_", " ").capitalize()): _value(key, facts[key])
        for key in known + rest
    }


def _value(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and key != "seed":
        return f"{value:,}"
    return WORDS.get((key, str(value)), str(value))


def lacks_nmi_interval(run: Run, protocol: str) -> bool:
    """Tell whether a run has an NMI under a protocol but no interval of it."""
    nmi = run.result(protocol).metric("nmi")
    return bool(np.isfinite(nmi.value) and np.isnan(nmi.low))

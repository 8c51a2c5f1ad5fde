"""The facts of an evaluation protocol, named for people."""

from dataclasses import asdict

import numpy as np

from retrieval.evaluation.relevance import BY_CLASS, NO_LABELS
from retrieval.evaluation.statistics import LEAST_CLASSES
from retrieval.runs.records import ProtocolResult
from retrieval.runs.run import Run
from retrieval.validation import LEAVE_ONE_OUT, PROTOCOLS, QUERY_GALLERY

# Fact (a field of ``ProtocolResult`` or its ``Protocol``) -> its name, in the order of the table.
NAMES = {
    "rule": "Queries and gallery",
    "dataset": "Data set",
    "split": "Split",
    "distance": "Distance",
    "normalized": "Embeddings normalized to unit length",
    "dimension": "Embedding size",
    "n_items": "Items",
    "n_classes": "Classes",
    "n_queries": "Queries",
    "n_gallery": "Gallery items",
    "n_gallery_classes": "Classes in the gallery",
    "n_without_positive": "Queries without a relevant item in the gallery",
    "no_positive": "Score of such a query",
    "exclusion": "Left out of a query's ranking besides itself",
    "n_excluded": "Pairs of a query and an item left out",
    "n_excluded_positive": "Of these, pairs of a relevant item",
    "n_lost_positives": "Queries that lost every relevant item so",
    "relevance": "Relevant items",
    "ties": "Order of equal similarities",
    "unit": "What the intervals resample",
    "least_depth": "Length of the shortest ranked list",
    "greatest_depth": "Length of the longest ranked list",
    "n_without_list": "Queries without a ranked list, which found nothing",
    "unlisted": "Relevant items that a ranked list lacks",
    "unknown": "Figures that the ranked lists are too short for",
    "kmeans": "Start of k-means (for NMI)",
    "n_init": "Starts of k-means, the best of which counts",
    "seed": "Seed of k-means and of the bootstrap",
    "interval": "Intervals",
}
WORDS = {
    (
        "rule",
        PROTOCOLS[LEAVE_ONE_OUT],
    ): "each item is a query against all other items (leave-one-out)",
    ("rule", PROTOCOLS[QUERY_GALLERY]): "queries against a gallery of other items",
    ("no_positive", "exclude"): "none: excluded from every mean",
    ("no_positive", "zero"): "0",
    ("ties", "by index"): "the item that comes first in the data set is nearer",
    ("exclusion", ""): "nothing",
    ("relevance", BY_CLASS): "the items of the query's class",
    ("relevance", NO_LABELS): "unknown: the items have no labels",
    ("distance", "scores"): "none: ranked lists with the scores of another program",
    ("distance", "order"): "none: ranked lists without scores",
    ("dimension", "0"): "no embeddings: no NMI, no geometry and no map",
    ("unit", "class"): "classes",
    ("unit", "query"): "queries: each is a class of its own",
    ("unlisted", "unknown"): "unknown: figures that they could change are left out",
    ("unlisted", "never"): "never found, as trec_eval counts them",
    ("unknown", ""): "none",
    ("kmeans", "none"): "not clustered: no NMI",
    ("n_gallery_classes", "0"): "not recorded by the version that evaluated the run",
}
OF_LISTS = ("unit", "least_depth", "greatest_depth", "n_without_list", "unlisted", "unknown")
NO_NMI_INTERVAL = (
    "NMI without ±: the run was evaluated without a bootstrap, or by a version that computed no "
    "interval of NMI; `retrieval evaluate` adds it."
)

NO_INTERVALS = (
    f"No ±: there are no 95% intervals, which need at least {LEAST_CLASSES} classes of like size "
    "and a bootstrap."
)


def facts_in_words(result: ProtocolResult) -> dict[str, str]:
    """Describe a protocol for people.

    Args:
        result: The results of a run under the protocol.

    Returns:
        Name of a fact -> its value.
    """
    facts = asdict(result.protocol) | {"dataset": result.dataset, "split": result.split}
    left_out = ("normalized", "kmeans", "n_init") if result.protocol.of_lists else OF_LISTS
    return {title: _value(key, facts[key]) for key, title in NAMES.items() if key not in left_out}


def _value(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if (key, str(value)) in WORDS:
        return WORDS[key, str(value)]
    return f"{value:,}" if isinstance(value, int) and key != "seed" else str(value)


def lacks_nmi_interval(run: Run, protocol: str) -> bool:
    """Tell whether a run has an NMI under a protocol but no interval for it, unlike for others."""
    metrics = run.results[protocol].metrics
    nmi = run.results[protocol].metric("nmi")
    lacks = not np.isnan(nmi.value) and bool(np.isnan(nmi.low))
    return lacks and not all(np.isnan(each.low) for each in metrics.values())

"""What makes a figure meaningless: the one list of sentences that all outputs show.

The terminal, the reports and the app take their warnings about an evaluation from here, so that
they say the same about a run.
"""

from collections.abc import Mapping

import numpy as np

from retrieval.evaluation.geometry import collapse_line, is_collapsed
from retrieval.evaluation.protocol import Protocol
from retrieval.evaluation.relevance import BY_CLASS, NO_LABELS

MANY_COPIES = 0.01  # share of queries with an exact copy in the gallery
ONE_CLASS = "one class: every figure is 1 whatever the embedding does"
ONE_CLASS_IN_GALLERY = (
    "one class in the gallery: every figure of a ranking is 1 whatever the embedding does"
)
NO_FIGURES = "there is no Recall@K, and no other figure of a ranking"
WITHOUT_LABELS = (
    "the items have no labels, so what is relevant is unknown: there is no Recall@K, MAP@R, NMI or "
    "other figure of classes; neighbors, map, near-duplicates and hubs need no labels"
)
NO_POSITIVES = f"no query has another item of its class in the gallery: {NO_FIGURES}"


def label_caveat(labels: np.ndarray) -> str | None:
    """Say what makes the figures of a leave-one-out evaluation the same for every embedding.

    Args:
        labels: (n,), class of each item.

    Returns:
        A sentence without a full stop; None if an embedding makes a difference.
    """
    classes = len(np.unique(labels))
    if classes == len(labels):
        return NO_POSITIVES
    return ONE_CLASS if classes == 1 else None


def no_positives(protocol: Protocol) -> str:
    """Say why no query has a positive, without a full stop.

    Args:
        protocol: A protocol under which none has one.
    """
    if protocol.relevance == NO_LABELS:
        return WITHOUT_LABELS
    if protocol.n_lost_positives:
        return f"no query has a relevant item that is not left out: {NO_FIGURES}"
    if protocol.relevance != BY_CLASS:
        return f"nothing in the gallery is judged relevant to any query: {NO_FIGURES}"
    return NO_POSITIVES


def caveats(protocol: Protocol, card: Mapping[str, float]) -> list[str]:
    """Say what makes the figures of an evaluation meaningless.

    Args:
        protocol: Protocol of the evaluation, with its sizes.
        card: Geometry card of the embeddings, see :mod:`retrieval.evaluation.geometry`. A figure
            that was not recorded is not judged.

    Returns:
        One sentence per reason, without a full stop; empty if nothing is known against the figures.
    """
    found = []
    if protocol.has_no_positives:
        found.append(no_positives(protocol))
    elif protocol.n_classes == 1:
        found.append(ONE_CLASS)
    elif protocol.n_gallery_classes == 1:
        found.append(ONE_CLASS_IN_GALLERY)
    if protocol.unknown:
        found.append(
            f"the ranked lists are too short for {protocol.unknown}: give longer ones, or count "
            "the relevant items that they lack as never found (--unlisted never)"
        )
    if is_collapsed(card) and protocol.n_items > 1:
        found.append(collapse_line(card["relative_spread"]))
    elif (share := card.get("exact_copies", 0.0)) >= MANY_COPIES:
        found.append(
            f"{share:.0%} of the queries have an exact copy in the gallery (the same embedding), "
            "which any embedding finds: remove duplicate images"
        )
    return found

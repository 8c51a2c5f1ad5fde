"""Ranking losses: ``loss(labels, embeddings) -> scalar``, one file each.

The losses and the settings recommended for them are in :mod:`retrieval.losses.registry`, where a
new loss is added. Importing this package does not load TensorFlow; asking for a class does.

Example:
    >>> from retrieval.losses import get_loss
    >>> loss = get_loss("hard_triplet", margin="soft", distance="cosine")
    >>> value = loss([0, 0, 1, 1], [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8]])
"""

from typing import Any

from retrieval.losses.registry import (
    LOSSES,
    LossEntry,
    check_loss_options,
    former_defaults,
    get_loss,
    hint,
    loss_class,
    recommended_options,
    takes_memory,
)

__all__ = [
    "LOSSES",
    "LossEntry",
    "check_loss_options",
    "former_defaults",
    "get_loss",
    "hint",
    "loss_class",
    "recommended_options",
    "takes_memory",
]


def __getattr__(attribute: str) -> Any:
    """Load a loss class by name, e.g. ``from retrieval.losses import HardTriplet``."""
    for name, entry in LOSSES.items():
        if entry.class_name == attribute:
            return loss_class(name)
    if attribute == "CrossBatchMemory":
        from retrieval.losses.cross_batch_memory import CrossBatchMemory  # loads TensorFlow

        return CrossBatchMemory
    if attribute == "Matryoshka":
        from retrieval.losses.matryoshka import Matryoshka  # loads TensorFlow

        return Matryoshka
    raise AttributeError(f"module 'retrieval.losses' has no attribute {attribute!r}")

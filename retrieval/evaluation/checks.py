"""Checks of embeddings and labels before anything is computed from them."""

import numpy as np
import pandas as pd

from retrieval.errors import UserError

MIXED = "labels mix types: give all as integers or all as strings"


def check_shapes(embeddings: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (n, d) and labels (n,) as arrays.

    Raises:
        UserError: Embeddings are not two-dimensional, empty or not numbers, or there is not one
            label per row.
    """
    if isinstance(embeddings, np.ma.MaskedArray):
        raise UserError("embeddings are masked: give an array without missing values")
    try:
        embeddings = np.asanyarray(embeddings)
    except ValueError as error:  # rows of different lengths
        raise UserError(
            "embeddings are no matrix: give rows of the same number of numbers"
        ) from error
    labels = _unmixed(labels)
    if embeddings.ndim != 2 or 0 in embeddings.shape:
        raise UserError(f"embeddings have shape {embeddings.shape}: give (items, dimensions)")
    if embeddings.dtype.kind not in "fiu":
        raise UserError(f"embeddings hold {embeddings.dtype}: give real numbers")
    if labels.shape != (len(embeddings),):
        raise UserError(
            f"labels have shape {labels.shape}: give ({len(embeddings)},), one per item"
        )
    return embeddings, labels


def _unmixed(labels: np.ndarray) -> np.ndarray:
    """Return labels as an array; a list of numbers and strings would make 1 and "1" one class."""
    if isinstance(labels, list | tuple):
        texts = sum(isinstance(label, str) for label in labels)
        if 0 < texts < sum(label is not None for label in labels):
            raise UserError(MIXED)
    return np.asarray(labels)


def class_codes(labels: np.ndarray) -> np.ndarray:
    """Number the classes of labels (n,) from 0, in sorted order.

    Raises:
        UserError: A label is missing (None or NaN; names the row), or labels cannot be sorted.
    """
    missing = pd.isna(labels)
    if missing.any():
        row = int(np.argmax(missing))
        raise UserError(f"labels: row {row} is {labels[row]}: give every item its class")
    try:
        return np.unique(labels, return_inverse=True)[1]
    except TypeError:
        raise UserError(MIXED) from None

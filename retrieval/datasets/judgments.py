"""Relevance judgments: what counts for each query of a test split, in place of its class.

A data set may name for every query the items that are relevant to it, with grades if there are any,
and those that its ranking leaves out. A run keeps them in ``judgments.parquet``, so every command
and page evaluates by them. Several sets, such as easy, medium and hard, are several protocols.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrieval.errors import UserError

IGNORED = -1.0  # the grade of an item that a query's ranking leaves out
COLUMNS = ("query", "item", "grade")
NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Judgments:
    """The judgments of one protocol.

    A query that no pair names has no positives: it is an open-set query.

    Attributes:
        name: Name of the protocol, for files, titles and URLs, such as ``medium``.
        pairs: One row per judged pair: ``query`` and ``item`` (int64, rows of the items), and
            ``grade`` (float64): above 0 how relevant the item is, :data:`IGNORED` if the query's
            ranking leaves it out.
    """

    name: str
    pairs: pd.DataFrame

    def moved(self, place: np.ndarray) -> "Judgments":
        """Return the same judgments of items that have other rows, or are gone.

        Args:
            place: int64, (n,), the new row of each item; -1 for an item that is left out, whose
                pairs go with it.
        """
        pairs = self.pairs.assign(
            query=place[self.pairs["query"].to_numpy()], item=place[self.pairs["item"].to_numpy()]
        )
        kept = (pairs["query"] >= 0) & (pairs["item"] >= 0)
        return Judgments(self.name, pairs[kept].reset_index(drop=True))


def make_judgments(
    name: str,
    query: Sequence[int] | np.ndarray,
    item: Sequence[int] | np.ndarray,
    grade: Sequence[float] | np.ndarray | float = 1.0,
) -> Judgments:
    """Build the judgments of one protocol and check them.

    Args:
        name: Name of the protocol: letters, digits, ``_`` and ``-``.
        query: Row of the query of each pair.
        item: Row of the judged item.
        grade: Its grade, see :class:`Judgments`; one value for all pairs, or one per pair. Defaults
            to 1.

    Returns:
        The judgments, by query and item. A pair that is both relevant and left out is left out.

    Raises:
        UserError: The name has other characters, a grade is neither above 0 nor :data:`IGNORED`, or
            nothing is relevant.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"judgments {name!r}: name them with letters, digits, _ and - only")
    query, item = np.asarray(query, np.int64), np.asarray(item, np.int64)
    grades = np.broadcast_to(np.asarray(grade, np.float64), query.shape)
    wrong = ~(grades > 0) & (grades != IGNORED)
    if wrong.any():
        raise UserError(
            f"judgments {name!r}: grade {grades[np.argmax(wrong)]:g} of item "
            f"{item[np.argmax(wrong)]}: give a grade above 0, or {IGNORED:g} to leave the item out"
        )
    if not (grades > 0).any():
        raise UserError(f"judgments {name!r}: no item is relevant to any query")
    pairs = pd.DataFrame(dict(zip(COLUMNS, (query, item, grades), strict=True)))
    pairs = pairs.sort_values(["query", "item", "grade"], ignore_index=True)
    return Judgments(name, pairs.drop_duplicates(["query", "item"], ignore_index=True))


def places(rows: Iterable[int], n: int) -> np.ndarray:
    """Return the position of each of n items among some rows; -1 for the others.

    Args:
        rows: Rows that are kept, in their new order.
        n: Number of items.
    """
    kept = np.fromiter(rows, np.int64)
    place = np.full(n, -1)
    place[kept] = np.arange(len(kept))
    return place

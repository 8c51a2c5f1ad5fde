"""What counts for a query: the items that its ranking leaves out, and those that are relevant.

The plain protocol excludes the query alone, and every other item of its class is relevant. Four
options of :func:`retrieval.evaluation.evaluate` change that. A gallery item that is left out is no
neighbor and takes no rank: the items behind it move up.

================  ==============================================================================
``junk_same``     leaves out the items *of the query's class* that share its value of every column
                  given: ``camera`` in Market-1501 and VeRi-776, where an easy positive from the
                  query's own camera must not count, and a wrong item from that camera must.
``exclude_same``  leaves out *every* item that shares the query's value of every column given,
                  whatever its class: the frames of one video or the photos of one store, as the
                  sequences of open-metric-learning.
``ignore``        leaves out the items that are listed for a query: the junk of ROxford and RParis.
``relevance``     lists the relevant items of each query, with grades if there are any, in place
                  of the items of its class.
================  ==============================================================================

An item that is both relevant and left out is left out.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrieval.errors import UserError, did_you_mean
from retrieval.evaluation.protocol import Sides
from retrieval.evaluation.search.lists import Lists, of_same
from retrieval.evaluation.search.plan import Judgments

BY_CLASS = "class"  # the relevance of a protocol that lists none
NO_LABELS = "unknown"  # its relevance where the items have no classes either
OWN_LISTS = "own lists"  # what is left out or relevant if it is listed, before the lists' digest


@dataclass(frozen=True)
class RowLists:
    """Item rows listed for each query, as flat arrays.

    >>> RowLists(np.array([0, 2, 3]), np.array([4, 7, 1]))  # rows 4 and 7, then row 1
    RowLists(starts=array([0, 2, 3]), rows=array([4, 7, 1]), grades=None)

    Attributes:
        starts: int, (q + 1,); the rows of query ``i`` are ``rows[starts[i]:starts[i + 1]]``.
        rows: int, (p,), rows of the items.
        grades: float, (p,), how relevant each is; 0 is not relevant. Defaults to None, all 1.
    """

    starts: np.ndarray
    rows: np.ndarray
    grades: np.ndarray | None = None


@dataclass(frozen=True)
class Rules:
    """The checked rules of a protocol.

    Attributes:
        judgments: What the search excludes and looks for.
        exclusion: What is excluded, in words; empty for the query alone.
        relevance: ``class``, or the kind and the digest of the lists.
    """

    judgments: Judgments
    exclusion: str = ""
    relevance: str = BY_CLASS


def rules_of(
    codes: np.ndarray,
    sides: Sides,
    *,
    exclude_same: object = None,
    junk_same: object = None,
    ignore: object = None,
    relevance: object = None,
    metrics: tuple[str, ...] = (),
) -> Rules:
    """Check the four options, and prepare them for the search.

    Args:
        codes: int64, (n,), class of each item, 0-based.
        sides: The queries and the gallery.
        exclude_same: Name -> (n,) values; see the table above. Defaults to None, nothing.
        junk_same: The same. Defaults to None, nothing.
        ignore: Item rows for each query, see :func:`row_lists`. Defaults to None, nothing.
        relevance: The same, with grades if there are any. Defaults to None, the query's class.
        metrics: Names of metrics to score besides those of every search.

    Returns:
        The rules.

    Raises:
        UserError: A column or a list does not fit the items, or a value or grade is missing.
    """
    excluded, words = [], []
    for option, given in (("exclude_same", exclude_same), ("junk_same", junk_same)):
        if given is None:
            continue
        values = columns_of(option, given, len(codes))
        names = " and ".join(values)
        of_class = option == "junk_same"
        words.append(f"same class and {names}" if of_class else f"same {names}")
        parts = [*values.values(), *([codes] if of_class else [])]
        excluded.append(of_same(_joint_codes(parts), sides))
    if ignore is not None:
        lists = row_lists("ignore", ignore, sides, len(codes))
        words.append(f"{OWN_LISTS} {_digest(lists)}")
        excluded.append(_positions(lists, sides, len(codes)))
    relevant, grades, kind = None, None, BY_CLASS
    if relevance is not None:
        lists = row_lists("relevance", relevance, sides, len(codes))
        relevant, grades = _positions(lists, sides, len(codes)), lists.grades
        kind = f"{OWN_LISTS if grades is None else 'graded lists'} {_digest(lists)}"
    judgments = Judgments(tuple(excluded), relevant, grades, metrics)
    return Rules(judgments, "; ".join(words), kind)


def columns_of(option: str, given: object, n: int) -> dict[str, np.ndarray]:
    """Return the columns of an option by name, after checking them.

    Raises:
        UserError: They have no names, are not one value per item, or lack a value.
    """
    if isinstance(given, pd.DataFrame):
        given = {str(name): given[name].to_numpy() for name in given.columns}
    if not isinstance(given, Mapping) or not given:
        raise UserError(
            f"{option}: give the name and the values of every column, such as "
            f"{option}={{'camera': values}}"
        )
    columns = {str(name): _column(option, str(name), values) for name, values in given.items()}
    for name, values in columns.items():
        if values.shape != (n,):
            raise UserError(
                f"{option}: {name} has shape {values.shape}: give one value per item, ({n},)"
            )
        missing = pd.isna(values)
        if missing.any():
            raise UserError(
                f"{option}: row {int(np.argmax(missing))} has no {name}: give every item its value"
            )
    return columns


def _column(option: str, name: str, values: Any) -> np.ndarray:
    """Return the values of a column as an array of one value per item, as far as that can be."""
    try:
        column = np.asarray(values)
    except ValueError:  # lists of unequal length
        column = np.array([None, *values], dtype=object)[1:]
    if column.dtype == object and column.ndim == 1:
        lists = [isinstance(one, Collection) and not isinstance(one, str | bytes) for one in column]
        if any(lists):
            raise UserError(
                f"{option}: row {lists.index(True)} has more than one {name}: give every item one "
                "value"
            )
    return column


def columns_named(option: str, names: Sequence[str], items: pd.DataFrame) -> dict[str, np.ndarray]:
    """Take the columns of an option from a table of items.

    Args:
        option: Name of the option, for the error.
        names: Names of the columns.
        items: One row per item.

    Raises:
        UserError: The table has no such column; names the closest one.
    """
    for name in names:
        if name not in items:
            raise UserError(
                f"{option}: the items have no column {name!r}: "
                f"{did_you_mean(name, items.columns)}valid: {', '.join(map(str, items.columns))}"
            )
    return {name: items[name].to_numpy() for name in names}


def columns_in(exclusion: str) -> dict[str, list[str]]:
    """Read the columns back from the words of :attr:`Rules.exclusion`.

    >>> columns_in("same store; same class and camera")
    {'exclude_same': ['store'], 'junk_same': ['camera']}

    Args:
        exclusion: What is left out, in words.

    Returns:
        ``exclude_same`` and ``junk_same`` -> names of columns, as far as they were given.

    Raises:
        UserError: Items are left out by lists of their own, which the words do not hold.
    """
    found = {}
    for words in exclusion.split("; "):
        if not words.startswith("same "):
            raise UserError(f"{words}: the lists of items to leave out are not kept")
        names = words.removeprefix("same ").split(" and ")
        # Of a single column named "class", the words are those of no columns of a class.
        of_class = names[0] == "class" and len(names) > 1
        found["junk_same" if of_class else "exclude_same"] = names[1:] if of_class else names
    return found


def row_lists(option: str, given: Any, sides: Sides, n: int) -> RowLists:
    """Check the item rows that are listed for each query, and sort them.

    Args:
        option: Name of the option, for errors.
        given: One entry per query, queries in the order of the items: a list whose entries are
            arrays of item rows or mappings of item row -> grade, a SciPy sparse matrix of shape
            (queries, items) with the grades, or :class:`RowLists`.
        sides: The queries and the gallery.
        n: Number of items.

    Returns:
        The lists, rows ascending, without entries of grade 0; with grades only if not all are 1.

    Raises:
        UserError: The number of lists is not that of the queries, a row is not one of the gallery
            or is listed twice, or a grade is negative or missing. Names the query.
    """
    starts, rows, grades = _flat(option, given, len(sides.queries), n)
    query = np.repeat(np.arange(len(sides.queries)), np.diff(starts))
    in_gallery = np.zeros(n + 1, bool)
    in_gallery[sides.gallery] = True
    outside = (rows < 0) | (rows >= n)
    bad = outside | ~in_gallery[np.where(outside, n, rows)]
    if bad.any():
        at = int(np.argmax(bad))
        what = "is no item" if outside[at] else "is not in the gallery"
        raise UserError(
            f"{option}: query {sides.queries[query[at]]} lists item {rows[at]}, which {what}"
        )
    wrong = ~(grades >= 0) | ~np.isfinite(grades)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise UserError(
            f"{option}: query {sides.queries[query[at]]} gives item {rows[at]} the grade "
            f"{grades[at]:g}: give 0 or more"
            + (", and list items to leave out as ignore" if option != "ignore" else "")
        )
    order = np.lexsort((rows, query))
    rows, query, grades = rows[order], query[order], grades[order]
    twice = (rows[1:] == rows[:-1]) & (query[1:] == query[:-1])
    if twice.any():
        at = int(np.argmax(twice))
        raise UserError(f"{option}: query {sides.queries[query[at]]} lists item {rows[at]} twice")
    some = grades > 0
    starts = np.concatenate([[0], np.cumsum(np.bincount(query[some], minlength=len(starts) - 1))])
    rows, grades = rows[some], grades[some]
    return RowLists(starts, rows, None if (grades == 1).all() else grades)


def lists_of_pairs(
    query: np.ndarray, item: np.ndarray, grade: np.ndarray | None, queries: np.ndarray
) -> RowLists:
    """Gather pairs of a query and an item into the lists of each query.

    Args:
        query: int64, (p,), row of the query of each pair; all must be among ``queries``.
        item: int64, (p,), row of the item.
        grade: float64, (p,), grade of the item; None for 1.
        queries: int64, (q,), rows of the queries, ascending.

    Returns:
        One list per query, empty where it is in no pair.
    """
    at = np.searchsorted(queries, query)
    order = np.lexsort((item, at))
    starts = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=len(queries)))])
    return RowLists(starts, item[order], None if grade is None else grade[order])


def relevant_among(ids: np.ndarray, relevant: Lists, sides: Sides, n: int) -> np.ndarray:
    """Tell which neighbors are in the list of relevant items of their query.

    Args:
        ids: int, (q, k), item rows of the neighbors; padded with -1.
        relevant: Gallery positions of the relevant items of each query.
        sides: The queries and the gallery.
        n: Number of items.

    Returns:
        bool, (q, k); False for padding.
    """
    every = np.arange(len(ids))
    rows = sides.gallery[relevant.pool[relevant.entries(every)]]
    # One number for each pair of a query and an item.
    listed = np.repeat(every, relevant.sizes) * n + rows
    found: np.ndarray = np.isin(every[:, None] * n + ids, listed) & (ids >= 0)
    return found


def _flat(
    option: str, given: Any, n_queries: int, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return starts (q + 1,), rows (p,) and grades (p,) of any form of lists."""
    if isinstance(given, RowLists):
        starts, rows = np.asarray(given.starts), np.asarray(given.rows)
        grades = np.ones(len(rows)) if given.grades is None else np.asarray(given.grades)
        whole = len(starts) and starts[0] == 0 and starts[-1] == len(rows) == len(grades)
        if not whole or (np.diff(starts) < 0).any():
            raise UserError(f"{option}: starts must rise from 0 to the number of rows, {len(rows)}")
    elif hasattr(given, "tocsr"):
        matrix = given.tocsr()
        if matrix.shape[1] != n:
            raise UserError(
                f"{option}: the matrix has shape {matrix.shape}: give ({n_queries}, {n}), one row "
                "per query and one column per item"
            )
        starts, rows, grades = matrix.indptr, matrix.indices, matrix.data
    elif isinstance(given, Sequence) and not isinstance(given, str):
        each = [_entry(option, number, one) for number, one in enumerate(given)]
        starts = np.concatenate([[0], np.cumsum([len(one) for one, _ in each], dtype=np.int64)])
        rows = np.concatenate([np.empty(0, np.int64), *(one for one, _ in each)])
        grades = np.concatenate([np.empty(0), *(one for _, one in each)])
    else:
        raise UserError(
            f"{option}: give a list with the item rows of each query, a sparse matrix or RowLists"
        )
    if len(starts) != n_queries + 1:
        raise UserError(
            f"{option}: {len(starts) - 1} lists for {n_queries} queries: give one per query"
        )
    if len(rows) and rows.dtype.kind not in "iu" and not (rows % 1 == 0).all():
        raise UserError(f"{option}: rows of items must be whole numbers")
    return np.asarray(starts, np.int64), rows.astype(np.int64), np.asarray(grades, np.float64)


def _entry(option: str, number: int, given: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and grades of one query, the numbers of which are checked later."""
    if isinstance(given, Mapping):
        parts = [list(given), list(given.values())]
    else:
        parts = [list(given) if isinstance(given, Set) else given]
    try:
        found = [np.asarray(part).reshape(-1) for part in parts]
        # A text that holds a number is not one, and a mask of the items would be read as rows.
        if any(len(part) and part.dtype.kind not in "iufO" for part in found):
            raise ValueError
        rows, *grades = [part if part.dtype.kind in "iu" else part.astype(float) for part in found]
    except (ValueError, TypeError):
        raise UserError(
            f"{option}: list {number} does not hold row numbers of items, or a mapping of these to "
            f"grades: {str(given)[:60]!r}"
        ) from None
    return rows, grades[0] if grades else np.ones(len(rows))


def _positions(lists: RowLists, sides: Sides, n: int) -> Lists:
    """Turn rows of items into gallery positions; both ascend."""
    position = np.full(n, -1)
    position[sides.gallery] = np.arange(len(sides.gallery))
    return Lists(position[lists.rows], lists.starts[:-1], lists.starts[1:])


def _joint_codes(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Number the combinations of values of some columns from 0."""
    codes = np.zeros(len(columns[0]), np.int64)
    for values in columns:
        own = pd.factorize(values)[0]
        codes = np.unique(codes * (own.max() + 1) + own, return_inverse=True)[1]
    return codes


def _digest(lists: RowLists) -> str:
    """Return eight characters that tell these lists from any others."""
    digest = hashlib.blake2b(digest_size=4)
    for array in (lists.starts, lists.rows, lists.grades):
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

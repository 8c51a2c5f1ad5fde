"""``judgments.parquet`` of a run: what counts for each query, under each protocol that names it.

One row per judged pair: ``protocol``, ``query`` and ``item`` (rows of ``items.parquet``), and
``grade``: above 0 how relevant the item is, -1 if the query's ranking leaves it out. The protocols
are in the order of the file, the primary one first. A run without the file has the items of a
query's class as relevant.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrieval.datasets.judgments import COLUMNS, IGNORED, Judgments, make_judgments
from retrieval.errors import UserError
from retrieval.evaluation.protocol import Sides
from retrieval.evaluation.relevance import lists_of_pairs
from retrieval.files import atomic_path
from retrieval.runs.checks import reading
from retrieval.runs.ranked_files import read_qrels

FILE = "judgments.parquet"
GRADED = ("ndcg@10",)  # computed besides the usual metrics where relevance has grades


def write_judgments(folder: Path, judgments: Sequence[Judgments]) -> None:
    """Write the judgments of a run, in place of those that it has.

    Args:
        folder: Folder of the run to write to.
        judgments: Rows are those of ``items.parquet``; none removes the file.
    """
    if not judgments:
        (folder / FILE).unlink(missing_ok=True)
        return
    frames = [one.pairs.assign(protocol=one.name) for one in judgments]
    with atomic_path(folder / FILE) as temporary:
        pd.concat(frames)[["protocol", *COLUMNS]].to_parquet(temporary, index=False)


def read_judgments(folder: Path) -> tuple[Judgments, ...]:
    """Read the judgments of a run.

    Args:
        folder: The run's folder.

    Returns:
        One per protocol, the primary one first; none if the run has no such file.

    Raises:
        UserError: The file is damaged.
    """
    file = folder / FILE
    if not file.exists():
        return ()
    with reading(file):
        frame = pd.read_parquet(file, columns=["protocol", *COLUMNS])
        groups = frame.groupby("protocol", sort=False)
        return tuple(
            make_judgments(str(name), *(pairs[column].to_numpy() for column in COLUMNS))
            for name, pairs in groups
        )


def lists_of(judgments: Judgments, parts: Sides) -> dict[str, Any]:
    """Return ``relevance`` and ``ignore`` as :func:`retrieval.evaluation.evaluate` takes them.

    Args:
        judgments: The judgments of one protocol.
        parts: The queries and the gallery.

    Raises:
        UserError: An item is judged for one that is not a query.
    """
    query, item, grade = (judgments.pairs[column].to_numpy() for column in COLUMNS)
    outside = ~np.isin(query, parts.queries)
    if outside.any():
        raise UserError(
            f"judgments {judgments.name!r}: item {query[np.argmax(outside)]} is judged for, but is "
            "not a query"
        )
    relevant = grade > 0
    found = {
        "relevance": lists_of_pairs(query[relevant], item[relevant], grade[relevant], parts.queries)
    }
    left = grade == IGNORED
    if left.any():
        found["ignore"] = lists_of_pairs(query[left], item[left], None, parts.queries)
    return found


def graded_metrics(judgments: Sequence[Judgments]) -> tuple[str, ...]:
    """Return the metrics to compute besides the usual ones, for the grades of judgments."""
    grades = [one.pairs["grade"].to_numpy() for one in judgments]
    return GRADED if any((each[each > 0] != 1).any() for each in grades) else ()


def judgments_from(qrels: Path, ignored: Path | None, ids: Sequence[str]) -> Judgments:
    """Read judgments of items from files, see :mod:`retrieval.runs.ranked_files`.

    Args:
        qrels: What is relevant to each query, with grades if there are any; what has a grade of 0
            or less is not relevant.
        ignored: Pairs of a query and an item that its ranking leaves out; grades have no meaning.
            None for none.
        ids: Id of each item of the run.

    Returns:
        The judgments, named after the file.

    Raises:
        UserError: A file is invalid, names a query or an item that is none of the run's, or judges
            nothing relevant.
    """
    known = pd.Series(np.arange(len(ids)), index=pd.Index(ids, dtype=object))
    known = known[~known.index.duplicated()]
    frames = []
    for file in (qrels, ignored):
        if file is None:
            continue
        frame = read_qrels(file)
        if file is ignored:
            frame["grade"] = IGNORED
        else:
            frame = frame[frame["grade"] > 0].copy()
        for column in ("query", "item"):
            lacking = ~frame[column].isin(known.index)
            if lacking.any():
                raise UserError(
                    f"{file}: no item of the run has the id of the {column} "
                    f"{frame[column][lacking].iloc[0]!r}; an id is the value of the column id, or "
                    "else the path"
                )
            frame[column] = known[frame[column]].to_numpy()
        frames.append(frame)
    name = re.sub("[^A-Za-z0-9_]+", "-", qrels.name.partition(".")[0]).strip("-") or "judged"
    pairs = pd.concat(frames)
    try:
        return make_judgments(name, *(pairs[column].to_numpy() for column in COLUMNS))
    except UserError as error:
        raise UserError(f"{qrels}: {error}") from None

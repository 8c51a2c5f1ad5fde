"""Read ranked lists and relevance judgments that other programs wrote.

Every form becomes one table, a row per query and item. What a file holds is told by its ending and
its content:

==============================  ====================================================================
TREC run, qrels                 ``query Q0 item rank score tag`` and ``query 0 item grade``, with
                                white space between, further fields and lines that begin with
                                ``#`` left out, as trec_eval does; any ending but those below,
                                also ``.gz``
table                           ``.csv``, ``.tsv``, ``.parquet`` with a header: query, item, and
                                score or rank (a grade in judgments), under these or their usual
                                names
JSON lines                      ``.jsonl``: the same, one object a line; or ``query_id`` and
                                ``results`` of ``corpus_id`` and ``score``, as sentence-transformers
                                writes predictions
JSON                            ``.json``: ``{query: {item: score}}`` as pytrec_eval has it, or
                                ``{query: [item, ...]}``, nearest first; inside of other objects, as
                                the predictions of MTEB, by subset and split
==============================  ====================================================================
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrieval.datasets.text_files import read_table, read_text
from retrieval.errors import UserError

# The usual names of columns, ids before texts.
QUERY = ("query_id", "query-id", "queryid", "qid", "q_id", "topic_id", "query", "topic")
ITEM = (
    "item_id", "corpus_id", "corpus-id", "document_id", "doc_id", "docid", "docno", "passage_id",
    "pid", "neighbor_id", "item", "document", "doc", "neighbor", "result", "id",
)  # fmt: skip
SCORE = ("score", "similarity", "sim", "value")
RANK = ("rank", "position")
GRADE = ("grade", "relevance", "rel", "relevant", "score", "label", "qrel")
DISTANCE = ("distance", "dist")
LINES = (".jsonl", ".ndjson")
TABLES = (".csv", ".tsv")
RUN_FIELDS, QRELS_FIELDS = 6, 4


def read_ranked(path: Path | str, part: str = "") -> pd.DataFrame:
    """Read ranked lists.

    Args:
        path: The file, see :mod:`retrieval.runs.ranked_files`.
        part: Of a JSON file with several results, which one: the names that lead to it, such as
            ``default/test``. Defaults to the only one.

    Returns:
        One row per entry, in the order of the file: ``query`` and ``item`` (str), and ``score``
        (float64, the higher the nearer) unless the file has only an order.

    Raises:
        UserError: The file is missing or in none of these forms, or an entry lacks a value or has a
            score that is not a number; names the row.
    """
    path = Path(path)
    found = _read(path, part, RUN_FIELDS)
    if isinstance(found, pd.DataFrame):
        return _entries(found, path, {"score": SCORE, "rank": RANK, "distance": DISTANCE})
    return found.frame(path, "score")


def read_qrels(path: Path | str, part: str = "") -> pd.DataFrame:
    """Read relevance judgments.

    Args:
        path: The file, see :mod:`retrieval.runs.ranked_files`.
        part: See :func:`read_ranked`.

    Returns:
        One row per judgment: ``query``, ``item`` (str) and ``grade`` (float64). A grade of 0, or
        below as in some TREC collections, is not relevant; without grades, all are 1.

    Raises:
        UserError: As :func:`read_ranked`; or a pair is judged twice.
    """
    path = Path(path)
    found = _read(path, part, QRELS_FIELDS)
    if isinstance(found, pd.DataFrame):
        frame = _entries(found, path, {"grade": GRADE})
    else:
        frame = found.frame(path, "grade")
    if "grade" not in frame:
        frame["grade"] = 1.0
    twice = frame.duplicated(["query", "item"])
    if twice.any():
        row = int(np.argmax(twice))
        raise UserError(
            f"{path}: row {row} judges item {frame['item'][row]!r} for query "
            f"{frame['query'][row]!r} again; keep one grade"
        )
    return frame


class _Nested:
    """Entries collected from JSON."""

    def __init__(self) -> None:
        self.query: list[str] = []
        self.item: list[str] = []
        self.score: list[Any] = []

    def add(self, query: object, results: object, where: str) -> None:
        """Add the results of one query: a mapping, a list of items, or a list of objects."""
        if isinstance(results, Mapping):
            pairs: Iterator[tuple[Any, Any]] = iter(results.items())
        elif isinstance(results, Sequence) and not isinstance(results, str):
            pairs = (_pair(one, where) for one in results)
        else:
            raise UserError(f"{where}: query {query!r} has no list of items")
        for item, score in pairs:
            self.query.append(str(query))
            self.item.append(str(item))
            self.score.append(score)

    def frame(self, path: Path, name: str) -> pd.DataFrame:
        """Return the entries as a table, the number under this name."""
        if not self.query:
            raise UserError(f"{path}: holds no entries")
        frame = pd.DataFrame({"query": self.query, "item": self.item}, dtype=str)
        missing = [score is None for score in self.score]
        if all(missing):
            return frame
        return frame.assign(**{name: _numbers(pd.Series(self.score, dtype=object), path, name)})


def _pair(one: object, where: str) -> tuple[object, object]:
    """Return the item and the score of one result; the score is None if there is none."""
    if isinstance(one, Mapping):
        item = next((one[name] for name in ITEM if name in one), None)
        score = next((one[name] for name in SCORE if name in one), None)
        if item is None:
            raise UserError(f"{where}: a result has no corpus_id: {', '.join(map(str, one))[:80]}")
        return item, score
    if isinstance(one, Sequence) and not isinstance(one, str):
        if len(one) != 2:
            raise UserError(f"{where}: a result is not an item and its score: {str(one)[:80]}")
        return one[0], one[1]
    return one, None


def _read(path: Path, part: str, fields: int) -> pd.DataFrame | _Nested:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    kind = Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if kind == ".json":
        return _read_json(path, part)
    if part:
        raise UserError(f"{path}: only a JSON file has parts, such as {part!r}")
    if kind in LINES:
        return _read_lines(path)
    if kind == ".parquet":
        return _read_parquet(path)
    if kind in TABLES and not _is_trec(path, fields):
        if path.suffix.lower() == ".gz":
            raise UserError(f"{path}: a packed table; unpack it first (gunzip -k {path.name})")
        return read_table(path, dtype=str, keep_default_na=False)
    return _read_trec(path, fields)


def _text(path: Path) -> str:
    if path.suffix.lower() != ".gz":
        return read_text(path)
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return file.read()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error


def _is_trec(path: Path, fields: int) -> bool:
    """Tell whether a file that is called a table is a TREC file: its first line has its fields."""
    first = next(iter(_trec_lines(path)), (0, ""))[1].split()
    number = first[4 if fields == RUN_FIELDS else 3] if len(first) >= fields else ""
    return bool(number) and not np.isnan(pd.to_numeric(number, errors="coerce"))


def _trec_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a TREC file and their numbers, without blank ones and comments."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _read_trec(path: Path, fields: int) -> pd.DataFrame:
    """Read a TREC run (six fields) or qrels (four); further fields are ignored, as in trec_eval."""
    run = fields == RUN_FIELDS
    form = "query Q0 item rank score tag" if run else "query 0 item grade"
    rows = []
    for number, line in _trec_lines(path):
        row = line.split(maxsplit=fields)[:fields]
        if len(row) < fields:
            raise UserError(
                f"{path}: line {number} has {len(row)} fields, not the {fields} of `{form}`; a "
                "table ends in .csv or .tsv and has a header"
            )
        rows.append(row)
    if not rows:
        raise UserError(f"{path}: holds no entries")
    columns = list(zip(*rows, strict=True))
    name, at = ("score", 4) if run else ("grade", 3)
    return pd.DataFrame({"query": columns[0], "item": columns[2], name: columns[at]}, dtype=str)


def _read_parquet(path: Path) -> pd.DataFrame:
    """Read a table in Parquet, as ranx saves runs and judgments; its values as text."""
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a Parquet table ({' '.join(str(error).split())})") from None
    return frame.map(lambda value: "" if pd.isna(value) else str(value))


def _read_lines(path: Path) -> pd.DataFrame | _Nested:
    """Read JSON lines: an entry each, or a query with its results each."""
    rows = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: line {number} is not JSON ({error})") from error
        if not isinstance(row, dict):
            raise UserError(f"{path}: line {number} is not an object in braces")
        rows.append(row)
    if rows and "results" in rows[0]:
        return _with_results(rows, str(path))
    frame = pd.DataFrame(rows)
    return frame.map(lambda value: "" if value is None or value != value else str(value))


def _with_results(rows: Sequence[Any], where: str) -> _Nested:
    """Collect objects that each hold the id of a query and its results."""
    found = _Nested()
    for number, row in enumerate(rows):
        query = next((row[n] for n in QUERY if n in row), None)
        if query is None or "results" not in row:
            raise UserError(f"{where}: entry {number} has no query_id or no results")
        found.add(query, row["results"], f"{where}: entry {number}")
    return found


def _read_json(path: Path, part: str) -> _Nested:
    try:
        content = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({' '.join(str(error).split())[:150]})") from error
    if isinstance(content, list):
        if content and all(isinstance(row, dict) and "results" in row for row in content):
            return _with_results(content, str(path))
        found = _Nested()
        for query, results in enumerate(content):  # by position, as util.semantic_search
            found.add(query, results, str(path))
        return found
    parts = dict(_leaves(content, ()))
    if part and part not in parts:
        raise UserError(f"{path}: no part {part!r}; it has {', '.join(parts) or 'none'}")
    if not part and len(parts) > 1:
        raise UserError(f"{path}: holds {len(parts)} results: choose --part {', '.join(parts)}")
    if not parts:
        raise UserError(
            f"{path}: no ranked lists or judgments: give {{query: {{item: number}}}} or a list of "
            "items for each query"
        )
    found = _Nested()
    for name, results in parts[part or next(iter(parts))].items():
        found.add(name, results, str(path))
    return found


def _leaves(content: object, names: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what holds ranked lists, by the names that lead to it."""
    if not isinstance(content, dict):
        return
    of_queries = {k: v for k, v in content.items() if _is_list_of_items(v)}
    if of_queries and len(of_queries) == len(content):
        yield "/".join(names), content
        return
    for name, inner in content.items():
        yield from _leaves(inner, (*names, str(name)))


def _is_list_of_items(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(v, int | float) and not isinstance(v, bool) for v in value.values())
    # A list of numbers with a fraction is of another task, such as labels or scores.
    return isinstance(value, list) and not any(isinstance(each, float) for each in value)


def _entries(frame: pd.DataFrame, path: Path, numbers: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Take the query, the item and their number from a table, by the usual names of columns."""
    lower = {str(name).strip().lower(): name for name in reversed(frame.columns.tolist())}
    found = {}
    for what, names in (("query", QUERY), ("item", ITEM)):
        name = next((lower[n] for n in names if n in lower), None)
        if name is None and frame.empty and not len(frame.columns):
            raise UserError(f"{path}: holds no entries")
        if name is None:
            columns = ", ".join(map(str, frame.columns[:12]))
            raise UserError(
                f"{path}: no column {what!r}; found: {columns or 'none'}. Give the file a header "
                "such as query,item,score"
            )
        found[what] = frame[name].str.strip()
        if (empty := found[what] == "").any():
            raise UserError(f"{path}: row {int(np.argmax(empty))} has no {what}")
    if frame.empty:
        raise UserError(f"{path}: holds no entries")
    entries = pd.DataFrame(found)
    for what, usual in numbers.items():
        name = next((lower[n] for n in usual if n in lower), None)
        if name is None:
            continue
        values = _numbers(frame[name], path, what)
        if what in ("score", "grade"):
            return entries.assign(**{what: values})
        if what == "distance":
            return entries.assign(score=-values)
        order = np.lexsort((values, pd.factorize(entries["query"])[0]))
        return entries.iloc[order].reset_index(drop=True)
    return entries


def _numbers(values: pd.Series, path: Path, what: str) -> np.ndarray:
    """Return numbers, float64, after refusing the first one that is none."""
    found: np.ndarray = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
    if (bad := ~np.isfinite(found)).any():
        row = int(np.argmax(bad))
        raise UserError(f"{path}: row {row} has the {what} {values.iloc[row]!r}, not a number")
    return found

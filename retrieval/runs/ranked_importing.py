"""Import ranked lists that another program made: from its files to finished run folders."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from retrieval.datasets.catalog import Catalog, crop_boxes
from retrieval.errors import UserError, counted
from retrieval.evaluation.protocol import roles_or_none, sides
from retrieval.evaluation.ranked import RankedLists, evaluate_ranked
from retrieval.evaluation.relevance import RowLists, columns_named, lists_of_pairs
from retrieval.runs.evaluate import (
    DEFAULT,
    KS,
    STORED_NEIGHBORS,
    EvaluationOptions,
    caveat_lines,
    picture_remarks,
    write_metrics,
)
from retrieval.runs.importing import number_labels, read_items, relative_paths
from retrieval.runs.judgments import GRADED
from retrieval.runs.neighbors import write_neighbors
from retrieval.runs.places import final_path
from retrieval.runs.ranked_files import read_qrels, read_ranked
from retrieval.runs.records import HAS_EMBEDDINGS
from retrieval.runs.run import Run
from retrieval.runs.store import check_free, new_run, publish
from retrieval.runs.thumbnails import write_thumbnails
from retrieval.runs.writing import run_config, write_config, write_items
from retrieval.validation import (
    DEFAULT_MISSING_LIST,
    DEFAULT_TIES,
    DEFAULT_UNLISTED,
    MissingList,
    check_choice,
    choices_of,
    protocol_with,
)


@dataclass(frozen=True)
class RankedOptions:
    """How ranked lists are read and judged.

    Attributes:
        ties: Order of equal scores, see :func:`retrieval.evaluation.ranked.evaluate_ranked`.
            Defaults to ``descending``.
        unlisted: What relevant items that are not listed count as, see there. Defaults to
            ``unknown``.
        missing: What a query without a list counts as: ``zero``, found nothing, as ``trec_eval -c``
            has it; or ``exclude``, left out of every mean, as pytrec_eval. Defaults to ``zero``.
        same_ids: Whether a query and an item of one id are the same item, which is left out of its
            own ranking. Without a table of items, ids of queries and of items are apart unless this
            is set. Defaults to False.
        lower_is_nearer: Whether scores are distances. Defaults to False.
        part: Which result of a JSON file with several, such as ``default/test``. Defaults to the
            only one.
    """

    ties: str = DEFAULT_TIES
    unlisted: str = DEFAULT_UNLISTED
    missing: str = DEFAULT_MISSING_LIST
    same_ids: bool = False
    lower_is_nearer: bool = False
    part: str = ""


def import_ranked(
    paths: Sequence[Path],
    files: Sequence[Path],
    *,
    qrels: Path | None = None,
    items: Path | None = None,
    image_root: Path | str | None = None,
    ranked: RankedOptions | None = None,
    options: EvaluationOptions = DEFAULT,
    overwrite: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Create a run folder from each of some files of ranked lists, all over the same items.

    Runs can be compared query by query if they were imported together, or with a table of items: an
    item that only some of the lists hold is then an item of all runs.

    Args:
        paths: The runs' folders, one per file; all of one data set.
        files: Files of ranked lists, see :mod:`retrieval.runs.ranked_files`.
        qrels: File of relevance judgments. Defaults to none: the items of a query's class are
            relevant.
        items: Table of the items, see :func:`retrieval.runs.importing.read_items`, with the ids of
            the lists in the column ``id`` (or ``path``). Defaults to none: the items are those that
            are listed or judged, and every query is a class of its own.
        image_root: Folder that the items' paths are relative to. Defaults to that of
            :func:`retrieval.runs.importing.import_files`.
        ranked: How lists are read and judged. Defaults to the defaults.
        options: Options of the evaluation; those of k-means have no effect.
        overwrite: Whether to replace runs of the same names. Defaults to False.
        progress: Whether to show progress bars. Defaults to True.

    Returns:
        The runs' folders.

    Raises:
        UserError: A file is invalid (the message names it and the row), neither judgments nor items
            are given, a query or an item is not in the table, a run exists, or another process is
            making it.
    """
    start, ranked = time.perf_counter(), ranked or RankedOptions()
    check_choice("missing", ranked.missing, choices_of(MissingList))
    if qrels is None and items is None:
        raise UserError(
            "ranked lists need --qrels (what is relevant to each query), or --items with the "
            "classes of queries and items"
        )
    for path in paths:
        check_free(path, overwrite=overwrite)
    lists = [read_ranked(file, ranked.part) for file in files]
    if ranked.lower_is_nearer:
        lists = [each.assign(score=-each["score"]) if "score" in each else each for each in lists]
    judged = None if qrels is None else read_qrels(qrels)
    lists = [_only_judged(each, judged, file) for each, file in zip(lists, files, strict=True)]
    kept = (*options.exclude_same, *options.junk_same)
    table = _table(lists, judged, items, files, ranked, kept)
    for path, each, file in zip(paths, lists, files, strict=True):
        own = _without_missing(table, each, ranked)
        _write(
            path, each, own, judged, file, image_root, ranked, options, overwrite, progress, start
        )
    return list(paths)


@dataclass(frozen=True)
class _Items:
    """The items of the runs.

    Attributes:
        frame: One row per item: ``path``, ``label``, ``label_name``, ``split``, ``role``, others.
        ids: (n,), the id of each.
        of_query: Id of a query -> its row.
        of_item: Id of a gallery item -> its row.
        unit: ``class``, or ``query`` if every query is a class of its own.
        has_path: Whether the table names images.
    """

    frame: pd.DataFrame
    ids: np.ndarray
    of_query: pd.Series
    of_item: pd.Series
    unit: str
    has_path: bool


def _only_judged(lists: pd.DataFrame, judged: pd.DataFrame | None, file: Path) -> pd.DataFrame:
    """Leave out the queries that nothing is judged for."""
    if judged is None:
        return lists
    known = lists["query"].isin(set(judged["query"]))
    if not known.any():
        raise UserError(
            f"{file}: no query is in the judgments, e.g. {lists['query'].iloc[0]!r}; there "
            f"{judged['query'].iloc[0]!r}"
        )
    n = lists["query"][~known].nunique()
    if n:
        tqdm.write(f"{file}: {counted(n, 'query', 'queries')} without judgments left out")
    return lists[known].reset_index(drop=True)


def _table(
    lists: Sequence[pd.DataFrame],
    judged: pd.DataFrame | None,
    items: Path | None,
    files: Sequence[Path],
    ranked: RankedOptions,
    kept: Sequence[str],
) -> _Items:
    """Return the items of all lists: those of the table, or those that are listed or judged."""
    source = lists if judged is None else [judged]
    queries = pd.unique(pd.concat([each["query"] for each in source]))
    listed = pd.unique(pd.concat([*(each["item"] for each in lists), *_judged_items(judged)]))
    if items is None:
        if kept:
            raise UserError(f"--items must be given: column {kept[0]!r} is one of its columns")
        return _own_items(queries, listed, ranked, files)
    frame = read_items(items, kept=kept)
    ids = frame["key"].to_numpy(str)
    if (ids == "").any():
        raise UserError(f"{items}: no column 'id' with the ids of the ranked lists")
    known = pd.Series(np.arange(len(ids)), index=ids)
    for of, what in ((queries, "query"), (listed, "item")):
        lacking = ~np.isin(of.astype(str), ids)
        if lacking.any():
            raise UserError(
                f"{items}: no row of {what} {of[np.argmax(lacking)]!r}, which "
                f"{files[0] if judged is None or what == 'item' else 'the judgments'} "
                "has (by the column id, else path)"
            )
    if (frame["role"] == "both").all():  # those that ask are queries; every item may be retrieved
        asks = np.isin(ids, queries.astype(str))
        frame["role"] = np.where(asks, "both", "gallery")
    has_path = bool(frame.pop("has_path").all())
    return _Items(number_labels(frame), ids, known, known, "class", has_path)


def _judged_items(judged: pd.DataFrame | None) -> list[pd.Series]:
    return [] if judged is None else [judged["item"][judged["grade"] > 0]]


def _own_items(
    queries: np.ndarray, listed: np.ndarray, ranked: RankedOptions, files: Sequence[Path]
) -> _Items:
    """Make the items of lists without a table: each is a class of its own."""
    queries, listed = np.sort(queries.astype(str)), np.sort(listed.astype(str))
    shared = np.isin(listed, queries)
    if shared.any() and not ranked.same_ids:
        tqdm.write(
            f"{files[0]}: {counted(int(shared.sum()), 'item')} with the id of a query, such as "
            f"{listed[np.argmax(shared)]!r}, taken as another item; --same-ids takes it as the "
            "query itself"
        )
    others = listed[~shared] if ranked.same_ids else listed
    ids = np.concatenate([queries, others])
    both = np.isin(queries, listed) if ranked.same_ids else np.zeros(len(queries), bool)
    roles = [*np.where(both, "both", "query"), *["gallery"] * len(others)]
    frame = pd.DataFrame(
        {
            "path": ids,
            "label": np.arange(len(ids), dtype=np.int64),
            "label_name": ids,
            "split": "test",
            "role": np.array(roles, object),
        }
    )
    rows = np.arange(len(ids))
    of_query = pd.Series(rows[: len(queries)], index=queries)
    of_item = pd.Series(rows[len(queries) :], index=others)
    if ranked.same_ids:
        of_item = pd.concat([of_query[both], of_item])
    return _Items(frame, ids, of_query, of_item, "query", has_path=False)


def _without_missing(table: _Items, lists: pd.DataFrame, ranked: RankedOptions) -> _Items:
    """Leave out the queries without a list, if they are to be left out."""
    if ranked.missing == "zero":
        return table
    has_list = np.zeros(len(table.ids), bool)
    has_list[table.of_query[lists["query"].unique()].to_numpy()] = True
    role = table.frame["role"].to_numpy()
    kept = np.flatnonzero(has_list | (role != "query"))
    role = np.where(~has_list & (role == "both"), "gallery", role)
    place = np.full(len(table.ids), -1)
    place[kept] = np.arange(len(kept))
    frame = table.frame.assign(role=role).iloc[kept].reset_index(drop=True)
    of_query, of_item = (
        pd.Series(place[each.to_numpy()], each.index) for each in (table.of_query, table.of_item)
    )
    return _Items(
        frame,
        table.ids[kept],
        of_query[of_query >= 0],
        of_item[of_item >= 0],
        table.unit,
        table.has_path,
    )


def _relevance(judged: pd.DataFrame, table: _Items, roles: np.ndarray) -> RowLists:
    """Return the relevant items of each query, in the order of the rows."""
    parts = sides(len(roles), roles_or_none(roles))
    relevant = judged[(judged["grade"] > 0) & judged["query"].isin(table.of_query.index)]
    query = table.of_query[relevant["query"]].to_numpy()
    rows = table.of_item[relevant["item"]].to_numpy()
    return lists_of_pairs(query, rows, relevant["grade"].to_numpy(), parts.queries)


def _write(
    path: Path,
    lists: pd.DataFrame,
    table: _Items,
    judged: pd.DataFrame | None,
    file: Path,
    image_root: Path | str | None,
    ranked: RankedOptions,
    options: EvaluationOptions,
    overwrite: bool,
    progress: bool,
    start: float,
) -> None:
    """Evaluate the lists of one file, and write the run."""
    frame = table.frame.copy()
    root = Path(".").resolve()
    if table.has_path:
        root, frame["path"] = relative_paths(frame["path"].tolist(), image_root)
    roles = frame["role"].to_numpy(object)
    scores = lists["score"].to_numpy() if "score" in lists else None
    rows = table.of_query[lists["query"]].to_numpy(), table.of_item[lists["item"]].to_numpy()
    left_out: dict[str, Any] = {
        name: columns_named(name, columns, frame)
        for name in ("exclude_same", "junk_same")
        if (columns := getattr(options, name))
    }
    further = options.metrics if judged is None else dict.fromkeys((*options.metrics, *GRADED))
    try:
        result = evaluate_ranked(
            RankedLists(*rows, scores),
            frame["label"].to_numpy(),
            roles_or_none(roles),
            (*KS, *options.ks),
            names=table.ids,
            ties=ranked.ties,
            unlisted=ranked.unlisted,
            no_positive=options.no_positive,
            unit=table.unit,
            k_neighbors=STORED_NEIGHBORS,
            seed=options.seed,
            relevance=None if judged is None else _relevance(judged, table, roles),
            metrics=tuple(further),
            **left_out,
        )
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    catalog = Catalog(path.parent.name, root, frame)
    with new_run(path) as folder:
        write_items(folder, frame)
        title, left = result.protocol.rule, result.protocol.exclusion
        name = protocol_with(result.protocol.name, left) if left else result.protocol.name
        result = replace(result, protocol=replace(result.protocol, name=name))
        write_neighbors(folder, {name: result})
        title = f"{title}, without {left}" if left else title
        write_metrics(folder, {name: result}, {name: title}, catalog.name)
        if table.has_path:
            pictures = catalog.contained_paths(frame)
            without = write_thumbnails(
                folder / "thumbnails", pictures, crop_boxes(frame), progress=progress
            )
            for line in picture_remarks(root, frame["path"], pictures, without):
                tqdm.write(f"{path}: {line}")
        seconds = {"import": time.perf_counter() - start}
        imported = {HAS_EMBEDDINGS: False, "imported": [[str(file.resolve())]]}
        write_config(folder, run_config(None, catalog, seconds) | imported)
        for line in caveat_lines(Run(folder).results.values()):
            tqdm.write(f"{final_path(folder)}: {line}")
        publish(path, overwrite=overwrite)

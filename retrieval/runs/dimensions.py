"""Tell the dimensions of an embedding from the other columns of a table.

A number that is no dimension, a class or an index, would be an error that nobody sees: with the
class among the dimensions every figure is excellent. So dimensions are recognized by form only, and
what is ambiguous is refused.
"""

import fnmatch
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retrieval.datasets.text_files import check_columns, read_table
from retrieval.errors import UserError, did_you_mean

NUMBERED = re.compile(r"(.*?)(\d+)")
# A numbered column of such a name, as in `class_0, class_1, ...`, is none of an embedding either.
NOT_DIMENSIONS = (
    "id", "item", "row", "index", "unnamed", "level", "label", "labels", "class", "classes",
    "category", "target", "y", "pid", "cid", "uid", "gid", "split", "fold", "role", "query",
    "gallery", "is_query", "is_gallery", "super_label", "super_class", "path", "file", "image",
    "class_id", "label_id", "target_id", "item_id", "image_id", "product_id", "person_id",
    "camera_id", "camid",
)  # fmt: skip
CHOOSE = "choose with --columns, e.g. --columns embedding or --columns 'emb_*'"


class Undecided(UserError):
    """It cannot be told which columns of a table are the embedding.

    Args:
        problem: What is wrong, without the fix, which a command may have another one for.
        has_none: Whether no column can be one. Defaults to False.
    """

    def __init__(self, problem: str, *, has_none: bool = False) -> None:
        super().__init__(f"{problem}; {CHOOSE}")
        self.problem, self.has_none = problem, has_none


def embeddings_in(
    table: pa.Table | pd.DataFrame, where: Path | str, columns: Sequence[str] = ()
) -> np.ndarray:
    """Return the embeddings in a table.

    The dimensions are the one column of lists of numbers, or the columns of one numbered pattern:
    ``d0, d1, ...``, ``emb_00, emb_01, ...`` or ``0, 1, ...``, without a gap and from 0 or 1. Every
    other column is metadata.

    Args:
        table: The table, one row per item.
        where: The file, for messages.
        columns: Names or patterns such as ``emb_*`` of the columns to take as dimensions, in their
            order. Defaults to recognizing them.

    Returns:
        float, (n, d).

    Raises:
        UserError: No column, or more than one list or pattern, can be the embedding; a number of
            the pattern is missing; lists differ in length; or a column is not numeric.
    """
    if isinstance(table, pd.DataFrame):
        table = _as_arrow(table, where)
    if not table.num_rows:
        raise UserError(f"{where}: holds no rows")
    names = [str(name) for name in table.column_names]
    if sum(map(_is_value, names)) > len(names) / 2:
        raise UserError(
            f"{where}: its first row is not a header but numbers ({_listed(names[:3])}, ...); add "
            "a row of names such as d0,d1,..."
        )
    check_columns(names, where)
    chosen = _chosen(names, columns, where) if columns else _recognized(table, names, where)
    kinds = [table.schema.field(name).type for name in chosen]
    if len(chosen) == 1 and _is_list(kinds[0]):
        return _stacked(table.column(chosen[0]), chosen[0], where)
    wrong = [name for name in chosen if not _is_number(table.schema.field(name).type)]
    if wrong:
        kind = table.schema.field(wrong[0]).type
        raise Undecided(f"{where}: column {wrong[0]!r} is not numeric ({kind})")
    dimensions = [_numbers(table.column(name)) for name in chosen]
    if not columns:
        _refuse_a_class(dimensions, chosen, where)
    return np.column_stack(dimensions)


def dimension_columns(path: Path, columns: Sequence[str] = ()) -> list[str]:
    """Name the columns of a table that :func:`embeddings_in` takes as dimensions.

    Args:
        path: The table.
        columns: Names or patterns of them. Defaults to recognizing them.

    Raises:
        UserError: See :func:`embeddings_in`.
    """
    if path.suffix.lower() == ".parquet":
        return names_of_dimensions(pq.read_schema(path).empty_table(), path, columns)
    return names_of_dimensions(read_table(path), path, columns)


def names_of_dimensions(
    table: pa.Table | pd.DataFrame, where: Path | str, columns: Sequence[str] = ()
) -> list[str]:
    """Name the columns of a table that :func:`embeddings_in` takes as dimensions, see there."""
    if isinstance(table, pd.DataFrame):
        table = _as_arrow(table, where)
    names = [str(name) for name in table.column_names]
    return _chosen(names, columns, where) if columns else _recognized(table, names, where)


def _as_arrow(frame: pd.DataFrame, where: Path | str) -> pa.Table:
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    for name in frame.columns:
        texts = frame[name]
        if pd.api.types.is_numeric_dtype(texts):
            continue
        if len(texts) and all(isinstance(t, str) and t.lstrip().startswith("[") for t in texts):
            frame[name] = [_parsed(text, row, name, where) for row, text in enumerate(texts)]
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{where}: a column mixes types ({reason})") from None


def _parsed(text: str, row: int, name: str, where: Path | str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        raise UserError(
            f"{where}: row {row} of column {name!r} is no list such as [0.1, 0.2]"
        ) from None


def _chosen(names: list[str], columns: Sequence[str], where: Path | str) -> list[str]:
    found: list[str] = []
    for pattern in columns:
        exact = [pattern] if pattern in names else fnmatch.filter(names, pattern)
        if not exact:
            raise UserError(
                f"{where}: no column {pattern!r}; {did_you_mean(pattern, names)}found: "
                f"{_listed(names)}"
            )
        found += [name for name in _in_number_order(exact) if name not in found]
    return found


def _in_number_order(names: list[str]) -> list[str]:
    """Sort columns of one numbered pattern by their numbers; leave others in their order."""
    parts = [NUMBERED.fullmatch(name) for name in names]
    if all(parts) and len({part[1] for part in parts if part}) == 1:
        return sorted(names, key=lambda name: int(NUMBERED.fullmatch(name)[2]))  # type: ignore[index]
    return names


def _recognized(table: pa.Table, names: list[str], where: Path | str) -> list[str]:
    lists = [name for name in names if _is_list(table.schema.field(name).type)]
    patterns: dict[str, list[str]] = {}
    for name in names:
        if (part := NUMBERED.fullmatch(name)) and not _names_no_dimension(part[1]):
            patterns.setdefault(part[1], []).append(name)
    texts: list[str] = []
    for prefix, members in list(patterns.items()):
        if not any(_is_number(table.schema.field(name).type) for name in members):
            texts = texts or members
            del patterns[prefix]
    candidates = [[name] for name in lists] + [m for m in patterns.values() if len(m) > 1]
    if not candidates:  # an embedding of one dimension, which is no pattern yet
        candidates = list(patterns.values())
    if not candidates and len(texts) > 1:
        kind = table.schema.field(texts[0]).type
        raise UserError(f"{where}: columns {_range_of(texts)} hold no numbers ({kind})")
    if not candidates:
        raise Undecided(
            f"{where}: no column of lists and no numbered columns such as d0, d1, ...; found: "
            f"{_listed(names)}",
            has_none=True,
        )
    if len(candidates) > 1:
        shown = " or ".join(_range_of(members) for members in candidates)
        raise Undecided(f"{where}: the embedding may be {shown}")
    only = candidates[0]
    return only if only[0] in lists else _without_gap(only, where)


def _refuse_a_class(
    dimensions: Sequence[np.ndarray], names: Sequence[str], where: Path | str
) -> None:
    """Refuse a column of whole numbers among others: a class that is numbered like a dimension."""
    whole = [
        name
        for name, values in zip(names, dimensions, strict=True)
        if (values == np.floor(values)).all() and (values != values[0]).any()
    ]
    if 0 < len(whole) < len(names) / 2:
        raise Undecided(
            f"{where}: column {whole[0]!r} holds whole numbers, unlike the other dimensions: if it "
            "is a class or an index, rename it, e.g. to 'target'"
        )


def _is_value(name: str) -> bool:
    """Tell whether a column's name is a number that no column is called, as 0.25 or 1e-3."""
    return (
        re.fullmatch(r"-?\d+\.\d+([eE][-+]?\d+)?(\.\d+)?|-\d+|-?\d+[eE][-+]?\d+", name) is not None
    )


def _names_no_dimension(prefix: str) -> bool:
    return prefix.strip(" _-.:").lower() in NOT_DIMENSIONS


def _without_gap(members: list[str], where: Path | str) -> list[str]:
    """Sort the columns of a pattern by number, and refuse a number that is missing or repeated."""
    ordered = _in_number_order(members)
    numbers = [int(NUMBERED.fullmatch(name)[2]) for name in ordered]  # type: ignore[index]
    prefix = NUMBERED.fullmatch(ordered[0])[1]  # type: ignore[index]
    start = min(1, numbers[0])
    for expected, (name, number) in enumerate(zip(ordered, numbers, strict=True), start):
        if number < expected:
            raise UserError(f"{where}: columns {prefix}{number} and {name} repeat a number")
        if number > expected:
            raise Undecided(
                f"{where}: of the columns {_range_of(ordered)}, number {expected} is missing"
            )
    return ordered


def _range_of(members: list[str]) -> str:
    if len(members) == 1:
        return repr(members[0])
    return f"{members[0]!r} to {members[-1]!r}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:8]))
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind))


def _storage(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _is_list(kind: pa.DataType) -> bool:
    kind = _storage(kind)
    is_list = (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
    return is_list and _is_number(kind.value_type)


def _stacked(column: pa.ChunkedArray, name: str, where: Path | str) -> np.ndarray:
    """Return a column of lists as a matrix; its first row of another length is refused."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks])
    widths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    empty = np.flatnonzero(widths == 0)
    if len(empty):
        raise UserError(f"{where}: row {empty[0]} of column {name!r} holds no embedding")
    odd = np.flatnonzero(widths != widths[0])
    if len(odd):
        raise UserError(
            f"{where}: row {odd[0]} has {widths[odd[0]]} dimensions, row 0 has {widths[0]}"
        )
    return _numbers(pc.list_flatten(column)).reshape(len(widths), int(widths[0]))


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Return numbers as an array; a missing one is NaN, which the caller refuses by its row."""
    if column.null_count or pa.types.is_null(column.type):
        column = column.cast(pa.float64())
    values: np.ndarray = column.to_numpy()
    return values

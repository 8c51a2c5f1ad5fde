"""Import embeddings that another program computed: from its files to a finished run folder."""

import difflib
import os
import posixpath
import re
import shlex
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from retrieval.datasets.catalog import CONTRACT_COLUMNS, ROLES, Catalog, number_classes
from retrieval.datasets.image_files import is_image_name
from retrieval.datasets.judgments import Judgments
from retrieval.datasets.metadata import (
    clash_remarks,
    join_tables,
    refused_remarks,
    stored_names,
    text_remarks,
    typed_table,
    typed_texts,
    with_decimal_points,
)
from retrieval.datasets.splits import remarks_on_names
from retrieval.datasets.tables import (
    cell_texts,
    column_called,
    column_name,
    is_typed,
    is_unnamed_index,
    plain_arrow,
    read_typed,
    usual_column,
)
from retrieval.datasets.text_files import check_columns, delimiter_of, first_row, read_table
from retrieval.errors import UserError
from retrieval.evaluation.relevance import columns_named
from retrieval.evaluation.search.distances import kind_of
from retrieval.runs.checks import reading
from retrieval.runs.dimensions import dimension_columns
from retrieval.runs.embedding_files import TABLE_READERS, check_embeddings, read_embeddings
from retrieval.runs.embedding_folder import is_embedding_folder, open_embedding_folder
from retrieval.runs.evaluate import (
    DEFAULT,
    EvaluationOptions,
    columns_left_out,
    evaluate_folder,
)
from retrieval.runs.judgments import judgments_from, write_judgments
from retrieval.runs.sharding import IN_PROCESS, Sharding
from retrieval.runs.store import check_free, new_run, publish
from retrieval.runs.writing import run_config, write_config, write_embeddings
from retrieval.validation import DEFAULT_DISTANCE

PATH_COLUMNS = (
    "path", "image_path", "img_path", "file_path", "filepath", "filename", "file_name", "file",
    "image", "img",
)  # fmt: skip
SHOWN = 12  # names of columns in a message
NO_HEADER = (
    "; if that is an item, the file has no header: its rows are read as `label,path` only if the "
    "path ends as an image file does, so add a header"
)
SIDES = ("query", "gallery")
Side = tuple[Path, Path | None]  # files of embeddings and of their items, if there is one
Place = tuple[str, Callable[[str], str]]
FLAGS = ("is_query", "is_gallery")
COLUMNS = ("label", "id", "label_name", "role", "split", "super_label", "super_name", *FLAGS)
KNOWN = tuple(name for name in COLUMNS if name != "id")  # the id is kept with the items
RESERVED = ("key", "has_path", "has_label")  # columns that are made here
FIXED = (*CONTRACT_COLUMNS, *RESERVED)  # of text; others have types of their own
NO_LABEL = "none"  # in place of the name of the column of classes
MOST_NUMBERED = 8  # columns of one numbered name; more are an embedding
TRUE, FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")


def read_items(
    path: Path | str,
    role: str | None = None,
    kept: Sequence[str] = (),
    *,
    own: bool = True,
    dimensions: Sequence[str] = (),
    named: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Read the table of items that accompanies a file of embeddings, one row per embedding.

    Args:
        path: CSV file with a header (tab-separated if it ends in ``.tsv``), Parquet or JSON lines;
            or a list without a header, with rows ``label,path`` (or ``path,label``) as the original
            baseline wrote them, which is told by its first row: only one of two cells is the name
            of an image file. ``label``, the class, ``path`` (of the image; :data:`PATH_COLUMNS` has
            its other names), ``id`` (unique), ``label_name``, ``role`` (query, gallery or both),
            ``is_query`` and ``is_gallery`` (0 or 1, true or false), ``split`` (test, query or
            gallery), ``super_label`` and ``super_name`` are optional.
        role: Role of every item if queries and gallery are in separate files. Defaults to the
            columns ``role``, ``is_query`` and ``is_gallery``, or ``split``.
        kept: Other columns in which each item must have a value, such as ``camera``. Defaults to
            none.
        own: Whether to keep the remaining columns too, in their types, see
            :mod:`retrieval.datasets.metadata`. More than :data:`MOST_NUMBERED` columns of one
            numbered name, such as ``emb_0``, are taken as embeddings and left out. Defaults to
            True.
        dimensions: Columns that are left out in any case. Defaults to none.
        named: ``label`` or ``path`` -> name of that column; the label may be ``none``, for items
            without classes. Defaults to ``label``, and to the usual names of a path.

    Returns:
        Columns ``path``, ``label`` and ``label_name`` (str), ``split``, ``role``, ``key`` (the id,
        else the path, else empty), ``has_path`` (bool, whether the file has a column of paths),
        ``has_label`` (bool, whether it has classes; without them each item is its own), and
        ``super_label`` and ``super_name`` if the file has them; and the columns that are kept.

    Raises:
        UserError: The file is missing or not a table, a column is missing, misspelled or one of two
            of the same meaning, or a row has no label, an unknown role, a repeated id or path, or
            is not a test item.
    """
    path = Path(path)
    return items_in(
        _read_table(path, kept), path, role, kept, own=own, dimensions=dimensions, named=named or {}
    )


@dataclass(frozen=True)
class ItemTable:
    """A table of items as it was read.

    Attributes:
        texts: The columns as text: all of a CSV file, and of another one those of known names and
            of texts.
        typed: The columns in types of their own; None if there are none, as in a CSV file.
        unread: Column -> kind of those that are no single values, such as lists.
    """

    texts: pd.DataFrame
    typed: pd.DataFrame | None = None
    unread: Mapping[str, str] = field(default_factory=dict)


def items_in(
    table: ItemTable,
    path: Path,
    role: str | None = None,
    kept: Sequence[str] = (),
    *,
    own: bool = True,
    dimensions: Sequence[str] = (),
    named: Mapping[str, str],
) -> pd.DataFrame:
    """Return the items of a table, see :func:`read_items`.

    Args:
        table: The table.
        path: Its file, or its name in messages.
        role: See :func:`read_items`.
        kept: See :func:`read_items`.
        own: See :func:`read_items`.
        dimensions: See :func:`read_items`.
        named: See :func:`read_items`.

    Raises:
        UserError: See :func:`read_items`.
    """
    table, has_label = _with_named_columns(table, path, named, role)
    frame = table.texts
    _check_columns(frame, _names_of(table), table.unread, path)
    path_column = _path_column(frame, path)
    n = len(frame)
    paths = pd.Series([""] * n) if path_column is None else frame[path_column]
    items = pd.DataFrame({"path": paths, "label": frame["label"]})
    items["label_name"] = frame.get("label_name", frame["label"].str.strip())
    items["split"], items["role"] = "test", _roles(frame, path) if role is None else role
    items["key"] = frame["id"] if "id" in frame else items["path"]
    items["has_path"], items["has_label"] = path_column is not None, has_label
    for name in ("super_label", "super_name"):
        if name in frame:
            items[name] = frame[name]
    if path_column is None:
        items["path"] = items["key"]
    if not has_label:
        shown = items["key"].map(posixpath.basename)
        items["label_name"] = shown.where(shown != "", [f"item {row}" for row in range(n)])
    for name, values in columns_named(f"{path}", kept, frame).items():
        _refuse(path, frame[name].str.strip() == "", frame[name], name, "give every item its value")
        items[name] = values
    if own:
        metadata = _own_columns(table, path, {*items, *dimensions})
        items = pd.concat([items, metadata], axis=1)
    _check_rows(items, path)
    return items


def _with_named_columns(
    table: ItemTable, path: Path, named: Mapping[str, str], role: str | None
) -> tuple[ItemTable, bool]:
    """Give the columns of class and path the names that are known; tell whether there are classes.

    Without classes, each item is a class of its own.
    """
    frame, names = table.texts, [str(name) for name in table.texts]
    every = _names_of(table)
    changes = {
        column_called(given, every, kind, path): kind
        for kind, given in named.items()
        if not (kind == "label" and given == NO_LABEL)
    }
    for kind in changes.values():
        if kind in names and changes.get(kind) != kind and kind not in changes:
            raise UserError(
                f"{path}: column {kind!r} is there too; rename it, or leave out --{kind}"
            )
    if table.typed is not None:  # such as numbers with decimals, which are no texts so far
        others = [name for name in changes if name not in frame]
        frame = frame.assign(**{name: cell_texts(table.typed[name]) for name in others})
    frame = frame.rename(columns=changes)
    typed = None if table.typed is None else table.typed.rename(columns=changes)
    has_label = "label" in frame and named.get("label") != NO_LABEL
    if not has_label:
        asked = named.get("label") == NO_LABEL
        # Not a file without a header, nor one whose class has another name.
        known = any(name in frame for name in ("id", *PATH_COLUMNS))
        others = [name for name in (*names, *table.unread) if column_name(str(name)) != "id"]
        close = difflib.get_close_matches("label", [str(n).strip().lower() for n in others], 1, 0.8)
        if asked or (known and not close and usual_column("label", others) is None):
            own = f"{role or 'item'} "
            frame = frame.drop(columns=["label", "label_name"], errors="ignore")
            frame = frame.assign(label=[f"{own}{row}" for row in range(len(frame))])
        else:
            has_label = True  # or the lack of it is refused
    return ItemTable(frame, typed, table.unread), has_label


def _own_columns(table: ItemTable, path: Path, taken: Collection[str]) -> pd.DataFrame:
    """Return the columns of a table of items that have no meaning here, in their types."""
    known = {"", *KNOWN, *PATH_COLUMNS}
    whole = table.texts if table.typed is None else table.typed
    names = [
        str(name)
        for name in whole.columns
        if str(name) not in known | set(taken) or name in RESERVED
    ]
    numbered = Counter(re.sub(r"\d+$", "", name) for name in names if name[-1].isdigit())
    left_out = {stem for stem, n in numbered.items() if n > MOST_NUMBERED}
    stem_of = {name: re.sub(r"\d+$", "", name) for name in names}
    remarks = [
        f"{path}: columns {stem}... ({numbered[stem]} of them) are taken for an embedding and left "
        "out"
        for stem in sorted(left_out)
    ]
    names = [name for name in names if stem_of[name] not in left_out]
    stored = stored_names(names, path, (*CONTRACT_COLUMNS, *RESERVED))
    remarks += clash_remarks(stored, path)
    chosen = whole[names].rename(columns=stored)
    if table.typed is not None:
        vectors = [n for n in table.unread if n not in whole and n not in taken]  # were not read
        own, refused = typed_table(chosen)
        remarks += refused_remarks([*refused, *vectors], path)
    else:
        chosen = with_decimal_points(
            chosen.apply(lambda column: column.str.strip()), delimiter_of(path)
        )
        remarks += text_remarks(chosen, range(len(chosen)), path)
        own = typed_texts(chosen)
    for line in remarks:
        tqdm.write(line)
    return own


def _read_table(path: Path, kept: Sequence[str] = ()) -> ItemTable:
    """Read a table of items."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        with reading(path):
            file = pq.ParquetFile(path)
            check_columns(file.schema_arrow.names, path)
            kinds = {c.name: c.type for c in file.schema_arrow if not is_unnamed_index(c)}
            unread = {name: str(kind) for name, kind in kinds.items() if pa.types.is_nested(kind)}
            table = file.read(columns=[name for name in kinds if not _is_vector(kinds[name])])
            frame = pd.DataFrame({n: plain_arrow(table.column(n)) for n in table.column_names})
        return typed_items(frame, kept, unread)
    if is_typed(path):
        return typed_items(read_typed(path)[0], kept)
    columns_of_list = _columns_without_header(path)
    if columns_of_list:
        return ItemTable(_read_list(path, columns_of_list))
    frame = read_table(path, dtype=str, keep_default_na=False)
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes a surplus field as the index
        raise UserError(f"{path}: row 0 has more fields than the header has columns")
    return ItemTable(frame)


def typed_items(
    frame: pd.DataFrame, kept: Sequence[str] = (), unread: Mapping[str, str] | None = None
) -> ItemTable:
    """Return a table whose columns have types as a table of items.

    Args:
        frame: The table.
        kept: Columns that are read as text in any case. Defaults to none.
        unread: Column -> kind of those that are no single values. Defaults to looking for them.
    """
    frame = frame.reset_index(drop=True).set_axis([str(name) for name in frame.columns], axis=1)
    if unread is None:
        unread = {name: "lists" for name in frame if _holds_lists(frame[name])}
    known = (*KNOWN, *PATH_COLUMNS, *kept)
    texts = {
        name: pd.Series(cell_texts(frame[name]), dtype="str")
        for name in frame
        if name not in unread
        and (name in known or not pd.api.types.is_numeric_dtype(frame[name].dtype))
    }
    # A class or a path may be asked for by another name.
    numbers = {
        name: pd.Series(cell_texts(frame[name]), dtype="str")
        for name in frame
        if name not in unread and name not in texts and pd.api.types.is_integer_dtype(frame[name])
    }
    order = [name for name in frame if name in texts or name in numbers]
    columns = texts | numbers
    return ItemTable(
        pd.DataFrame({name: columns[name] for name in order}, frame.index, dtype="str"),
        frame,
        unread,
    )


def _holds_lists(column: pd.Series) -> bool:
    if column.dtype != object:
        return False
    known = column.dropna()
    return len(known) > 0 and isinstance(known.iloc[0], list | tuple | dict | set | np.ndarray)


def _is_vector(kind: pa.DataType) -> bool:
    """Tell whether a column of Parquet may be an embedding, which is not read with the items."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ) and bool(pa.types.is_floating(kind.value_type))


def _columns_without_header(path: Path) -> tuple[str, ...]:
    """Return what the two columns of a list without a header are; nothing if it has a header.

    No header calls a column ``bird.jpg``, and classes are rarely called so.

    Raises:
        UserError: The first row may be a header as well as an item, or which of its cells is the
            class cannot be told.
    """
    cells = first_row(path)
    are_images = [is_image_name(cell) for cell in cells]
    if len(cells) != 2 or not any(are_images):
        return ()
    known = [cell for cell in cells if cell.lower() in (*COLUMNS, *PATH_COLUMNS)]
    if known:
        raise UserError(
            f"{path}: the first row {','.join(cells)!r} may be a header or an item: give the file "
            "a header `label,path`, or call the class otherwise"
        )
    if all(are_images):
        raise UserError(
            f"{path}: both fields of the first row {','.join(cells)!r} look like an image: give "
            "the file a header such as `label,path`"
        )
    return ("path", "label") if are_images[0] else ("label", "path")


def _read_list(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a list without a header, all of its rows of two cells."""
    frame = read_table(
        path,
        header=False,
        names=list(columns),
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
    )
    if not isinstance(frame.index, pd.RangeIndex):
        raise UserError(f"{path}: row 0 has more than two fields; give the file a header")
    frame = frame.apply(lambda column: column.str.strip())
    lacking = ~(frame[list(columns)].astype(bool).all(axis=1))
    if lacking.any():
        row = int(np.argmax(lacking))
        raise UserError(
            f"{path}: row {row} (of 0 to {len(frame) - 1}) is not `{','.join(columns)}`"
        )
    return frame


def _names_of(table: ItemTable) -> list[str]:
    """Return the names of all columns of single values, in the order of the file."""
    return [str(name) for name in (table.texts if table.typed is None else table.typed)]


def _check_columns(
    frame: pd.DataFrame, every: Sequence[str], unread: Mapping[str, str], path: Path
) -> None:
    known = (*COLUMNS, *PATH_COLUMNS)
    for name in (*frame.columns, *unread):
        close = difflib.get_close_matches(str(name).strip().lower(), known, 1, 0.8)
        if name not in known and close and close[0] not in frame:
            raise UserError(f"{path}: column {name!r}: did you mean {close[0]!r}? rename it")
    if "label" not in frame:
        if "label" in unread:
            raise UserError(f"{path}: column 'label' is not one class per item ({unread['label']})")
        names = list(dict.fromkeys(str(name) for name in (*every, *frame.columns, *unread)))
        usual = usual_column("label", names)
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        raise UserError(
            f"{path}: no column 'label' (the class of each item): name it with --label "
            f"{'COLUMN' if usual is None else shlex.quote(usual)}, or give --label none for items "
            f"without classes; found: {shown}"
            + (NO_HEADER if path.suffix.lower() != ".parquet" and len(names) == 2 else "")
        )
    if frame.empty:
        raise UserError(f"{path}: holds no items")
    for name in frame.columns:
        values = set(frame[name].str.strip().str.lower()) - {""}
        if name not in COLUMNS and values and values <= set(ROLES):
            raise UserError(
                f"{path}: column {name!r} holds {', '.join(sorted(values))}, but would not be "
                "read; call it 'role', or remove it"
            )


def _path_column(frame: pd.DataFrame, path: Path) -> str | None:
    """Return the name of the column of image paths; None if there is none."""
    found = [name for name in PATH_COLUMNS if name in frame]
    if len(found) > 1 and found[0] != "path":
        raise UserError(
            f"{path}: columns {found[0]!r} and {found[1]!r} may both be paths of images; rename "
            "the right one to 'path'"
        )
    return found[0] if found else None


def _roles(frame: pd.DataFrame, path: Path) -> pd.Series:
    """Return the role of every item from the columns that say it, which must agree."""
    said: dict[str, pd.Series] = {}
    if "role" in frame:
        said["role"] = frame["role"].str.strip().str.lower()
        _refuse(path, ~said["role"].isin(ROLES), frame["role"], "role", ", ".join(ROLES))
    if any(name in frame for name in FLAGS):
        said[" and ".join(name for name in FLAGS if name in frame)] = _flagged(frame, path)
    if "split" in frame:
        split = frame["split"].str.strip().str.lower()
        _refuse(path, ~split.isin(("test", *SIDES)), frame["split"], "split", "test only")
        if split.isin(SIDES).any():
            said["split"] = split.replace("test", "both")
    if not said:
        return pd.Series(["both"] * len(frame))
    (first, roles), *others = said.items()
    for name, other in others:
        differs = other != roles
        if differs.any():
            row = int(np.argmax(differs))
            raise UserError(
                f"{path}: row {row} is {roles[row]} by {first}, but {other[row]} by {name}; "
                "keep one of the columns"
            )
    return roles


def _flagged(frame: pd.DataFrame, path: Path) -> pd.Series:
    flags = {}
    for name in FLAGS:
        if name in frame:
            text = frame[name].str.strip().str.lower()
            _refuse(path, ~text.isin(TRUE + FALSE), frame[name], name, "give 0 or 1, true or false")
            flags[name] = text.isin(TRUE)
    query = flags["is_query"] if "is_query" in flags else ~flags["is_gallery"]
    gallery = flags["is_gallery"] if "is_gallery" in flags else ~flags["is_query"]
    neither = ~query & ~gallery
    if neither.any():
        raise UserError(
            f"{path}: row {int(np.argmax(neither))} is neither query nor gallery; leave it out, of "
            "the embeddings too"
        )
    roles = np.where(query & gallery, "both", np.where(query, "query", "gallery"))
    return pd.Series(roles, dtype=object)


def _refuse(path: Path, bad: pd.Series, column: pd.Series, name: str, valid: str) -> None:
    """Refuse the first bad row. Rows count from 0, as in the embeddings."""
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(f"{path}: row {row} has {name} {column[row]!r}: {valid}")


def _check_rows(items: pd.DataFrame, path: Path) -> None:
    label, key = items["label"], items["key"]
    missing = label.str.strip().str.lower().isin(("", "nan", "none", "<na>"))
    if missing.any():
        row = int(np.argmax(missing))
        word = f" ({label[row]!r} says so; call a class otherwise)" if label[row].strip() else ""
        what = "holds no labels" if missing.all() else f"row {row} has no label{word}"
        raise UserError(
            f"{path}: {what}; every item needs its class in column 'label', or give --label none"
        )
    repeated = key.duplicated() & (key != "")
    if repeated.any():
        row = int(np.argmax(repeated))
        earlier = int(np.argmax(key == key[row]))
        raise UserError(f"{path}: row {row} repeats {key[row]!r} of row {earlier}")


def read_sides(
    sides: Sequence[Side], columns: Sequence[str] = (), kept: Sequence[str] = ()
) -> tuple[np.ndarray, pd.DataFrame]:
    """Read embeddings and items from one pair of files, or from two: queries, then gallery.

    Args:
        sides: One or two pairs of files (embeddings, items).
        columns: Columns of a table of embeddings that are dimensions. Defaults to recognizing them,
            see :func:`retrieval.runs.embedding_files.read_embeddings`.
        kept: Columns of the items to keep besides the known ones. Defaults to none.

    Returns:
        Embeddings, float32, (n, d), and the table of the same n items, with a RangeIndex.

    Raises:
        UserError: A file is invalid, the two files of a pair differ in their number of rows, the
            two sides differ in their dimension or share an id, or there are no queries or no
            gallery items.
    """
    embeddings, items = _read_sides(sides, columns, kept, {})
    return embeddings, number_labels(items)


def _read_sides(
    sides: Sequence[Side],
    columns: Sequence[str],
    kept: Sequence[str],
    named: Mapping[str, str],
) -> tuple[np.ndarray, pd.DataFrame]:
    """Read the files of :func:`read_sides`; labels are text, and ids are in the column ``key``."""
    parts, tables = [], []
    for (embedding_path, items_path), role in zip(
        sides, SIDES if len(sides) == 2 else (None,), strict=True
    ):
        if items_path is None and is_embedding_folder(embedding_path):
            items_path = open_embedding_folder(embedding_path).items
        if items_path is None and not _has_other_columns(embedding_path, columns):
            vectors = _read_vectors(embedding_path, columns)
            parts.append(vectors)
            tables.append(_items_alone(len(vectors), embedding_path, role, kept))
            continue
        items_path = items_path or embedding_path
        # One file of both has the dimensions of the embedding in columns of its own.
        is_both = items_path.resolve() == embedding_path.resolve()
        dimensions = dimension_columns(embedding_path, columns) if is_both else ()
        items = read_items(items_path, role, kept, dimensions=dimensions, named=named)
        vectors = _read_vectors(embedding_path, columns, items=len(items))
        if len(vectors) != len(items):
            first = min(len(vectors), len(items))
            raise UserError(
                f"{embedding_path} has {len(vectors)} rows, {items_path} has {len(items)}: "
                f"row {first} has no partner"
            )
        parts.append(vectors)
        tables.append(items)
    if len(parts) == 2:
        _check_pair(parts, tables, sides)
    items = pd.concat(
        [table[[n for n in table if n in FIXED]] for table in tables], ignore_index=True
    )
    own = join_tables([(table[[n for n in table if n not in FIXED]], False) for table in tables])
    items = pd.concat([items, own], axis=1)
    for side in SIDES:
        if not items["role"].isin((side, "both")).any():
            raise UserError(f"{sides[0][1] or sides[0][0]}: no item is {side} or both")
    return parts[0] if len(parts) == 1 else np.concatenate(parts), items


def _read_vectors(path: Path, columns: Sequence[str], *, items: int | None = None) -> np.ndarray:
    if not is_embedding_folder(path):
        return read_embeddings(path, columns, items=items)
    if columns:
        raise UserError(f"{path}: a folder of vectors has no columns to choose: drop --columns")
    return check_embeddings(open_embedding_folder(path).read(), path)


def _has_other_columns(path: Path, columns: Sequence[str]) -> bool:
    """Tell whether a file of embeddings is a table that says more about its rows."""
    suffix = path.suffix.lower()
    if suffix not in TABLE_READERS or not path.is_file():
        return False
    names = pq.read_schema(path).names if suffix == ".parquet" else first_row(path)
    return len({name for name in names if name} - set(dimension_columns(path, columns))) > 0


def _items_alone(n: int, path: Path, role: str | None, kept: Sequence[str]) -> pd.DataFrame:
    """Return n items of which nothing is known, not even a class."""
    nothing = typed_items(pd.DataFrame(index=pd.RangeIndex(n)), kept)
    return items_in(nothing, path, role, kept, named={"label": NO_LABEL})


def _check_pair(parts: list[np.ndarray], tables: list[pd.DataFrame], sides: Sequence[Side]) -> None:
    widths = [part.shape[1] for part in parts]
    if widths[0] != widths[1]:
        raise UserError(
            f"{sides[0][0]} has {widths[0]} dimensions, {sides[1][0]} has {widths[1]}: "
            "queries and gallery need the same network"
        )
    if tables[0]["has_label"].all() != tables[1]["has_label"].all():
        side = sides[int(tables[0]["has_label"].all())]
        lacking = side[1] or side[0]
        raise UserError(f"{lacking}: has no labels, but the other side has; give both or neither")
    keys = tables[1]["key"]
    shared = keys.isin(set(tables[0]["key"])) & (keys != "")
    if shared.any():
        row = int(np.argmax(shared))
        raise UserError(
            f"{sides[1][1] or sides[1][0]}: row {row} ({keys[row]!r}) is a query too; give one "
            "file in which its role is both"
        )


def number_labels(items: pd.DataFrame) -> pd.DataFrame:
    """Convert labels to integers, see :func:`retrieval.datasets.catalog.number_classes`."""
    for name in ("label", "super_label"):
        if name not in items:
            continue
        values = items[name].str.strip()
        items[name] = values.map(number_classes(values)).astype(np.int64)
    if "super_name" in items and "super_label" not in items:
        items["super_label"] = np.unique(items["super_name"], return_inverse=True)[1]
    return items.drop(columns=["key", "has_label"]).astype({"role": object})


def import_files(
    path: Path | str,
    sides: Sequence[Side],
    *,
    image_root: Path | str | None = None,
    columns: Sequence[str] = (),
    named: Mapping[str, str] | None = None,
    distance: str = DEFAULT_DISTANCE,
    options: EvaluationOptions = DEFAULT,
    qrels: Path | None = None,
    ignored: Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
    sharding: Sharding = IN_PROCESS,
) -> Path:
    """Create a run folder from embeddings that another program computed.

    Everything is read and checked before anything is written.

    Args:
        path: The run's folder, ``runs/<dataset>/<name>``.
        sides: One pair of files (embeddings, items), or two: queries, then gallery. Without a file
            of items, those are the other columns of a table of embeddings, the items of a folder
            of vectors, or else items without classes.
        image_root: Folder that the items' paths are relative to. Defaults to the working directory,
            and for absolute paths to the folder that holds all of them.
        columns: Columns of a table of embeddings that are dimensions. Defaults to recognizing them.
        named: ``label`` or ``path`` -> name of that column of the items; the label may be
            ``none``. Defaults to the usual names, see :func:`read_items`.
        distance: Distance to evaluate with. Defaults to ``cosine``.
        options: Other options of the evaluation. The columns that they name are kept.
        qrels: File that says what is relevant to each query, see
            :func:`retrieval.runs.judgments.judgments_from`. Without roles, the queries are those
            that it judges, and every item is in the gallery. Defaults to None: the items of a
            query's class.
        ignored: File of the pairs that rankings leave out, beside ``qrels``. Defaults to none.
        overwrite: Whether to replace a run of the same name. Defaults to False.
        progress: Whether to show progress bars. Defaults to True.
        sharding: Where the search is computed, and in how many parts. Defaults to this process.

    Returns:
        The run's folder.

    Raises:
        UserError: The input is invalid (the message names file and row), the run exists, or another
            process is making it.
    """
    path, start = Path(path), time.perf_counter()
    kind_of(distance)
    check_free(path, overwrite=overwrite)
    if ignored is not None and qrels is None:
        raise UserError("--ignored goes with --qrels, which says what is relevant")
    if image_root is not None and not Path(image_root).is_dir():
        raise UserError(f"{image_root}: no such folder; --image-root is where the paths begin")
    left_out = columns_left_out(path.parent.name, options)
    kept = tuple(dict.fromkeys(name for names in left_out.values() for name in names))
    embeddings, items = _read_sides(sides, columns, kept, named or {})
    judged = [] if qrels is None else [judgments_from(qrels, ignored, items["key"].tolist())]
    advice = _advice(items["has_path"], sides)
    return write_import(
        path,
        embeddings,
        items,
        judged,
        image_root=image_root,
        distance=distance,
        options=options,
        source=[[str(Path(name).resolve()) for name in side if name] for side in sides],
        no_pictures=advice,
        overwrite=overwrite,
        progress=progress,
        start=start,
        sharding=sharding,
    )


def write_import(
    path: Path,
    embeddings: np.ndarray,
    items: pd.DataFrame,
    judged: Sequence[Judgments] = (),
    *,
    image_root: Path | str | None,
    distance: str,
    options: EvaluationOptions,
    source: object,
    no_pictures: str,
    overwrite: bool,
    progress: bool,
    start: float,
    sharding: Sharding = IN_PROCESS,
) -> Path:
    """Write the run of embeddings and items that were read and checked.

    Args:
        path: The run's folder.
        embeddings: float32, (n, d).
        items: The n items, see :func:`read_items`.
        judged: What is relevant to each query. Defaults to none: the items of its class.
        image_root: See :func:`import_files`.
        distance: See :func:`import_files`.
        options: See :func:`import_files`.
        source: Where the embeddings come from, as ``config.yaml`` records it.
        no_pictures: What to do about items without a picture.
        overwrite: See :func:`import_files`.
        progress: See :func:`import_files`.
        start: ``time.perf_counter()`` when the import began.
        sharding: See :func:`import_files`. Defaults to this process.

    Returns:
        The run's folder.

    Raises:
        UserError: A path of an image is not below the root, or another process makes the run.
    """
    has_labels = bool(items["has_label"].all())
    items = number_labels(items)
    if judged and (items["role"] == "both").all():
        asks = items.index.isin(judged[0].pairs["query"])
        items["role"] = np.where(asks, "both", "gallery").astype(object)
    items = items.drop(columns="has_path")
    root, items["path"] = relative_paths(items["path"].tolist(), image_root)
    remarks = tuple(remarks_on_names(items["label_name"])) if has_labels else ()
    catalog = Catalog(path.parent.name, root, items, remarks=remarks, has_labels=has_labels)
    for line in remarks:
        tqdm.write(f"{path}: {line}")
    with new_run(path) as folder:
        write_embeddings(folder, embeddings, items)
        write_judgments(folder, judged)
        evaluate_folder(
            folder,
            catalog,
            distance,
            options=options,
            progress=progress,
            no_pictures=no_pictures,
            sharding=sharding,
        )
        seconds = {"import": time.perf_counter() - start}
        write_config(folder, run_config(None, catalog, seconds) | {"imported": source})
        publish(path, overwrite=overwrite)
    return path


def _advice(has_path: pd.Series, sides: Sequence[Side]) -> str:
    """Return what to do about items without a picture."""
    if has_path.all():
        return "--image-root is the folder that the paths begin at"
    if any(items is None for _, items in sides):
        return "give --items a file with a column 'path'"
    return f"give {' and '.join(str(items) for _, items in sides)} a column 'path'"


def relative_paths(names: list[str], image_root: Path | str | None) -> tuple[Path, list[str]]:
    """Return the root folder of images, and their paths relative to it.

    Raises:
        UserError: An absolute path is not below the given root, or absolute paths have no folder in
            common.
    """
    absolute = [name for name in names if os.path.isabs(name)]
    if image_root is None and len(absolute) == len(names):
        root = Path(os.path.commonpath([os.path.dirname(name) for name in names]))
        if root == Path(root.anchor):
            raise UserError(
                f"the images have no folder in common, e.g. {names[0]!r}; give --image-root"
            )
    else:
        root = Path(image_root or ".")
    # The paths may be written over a link to the root, or be those that it leads to.
    places: list[Place] = [
        (os.path.abspath(root), os.path.normpath),
        (str(root.resolve()), os.path.realpath),
    ]
    return root.resolve(), [
        _below(name, places, row) if os.path.isabs(name) else _with_slashes(name, root)
        for row, name in enumerate(names)
    ]


def _with_slashes(name: str, root: Path) -> str:
    """Return a relative path that Windows wrote, as it is here if there is such a file."""
    if "\\" not in name:
        return name
    slashes = name.replace("\\", "/")
    return slashes if os.path.isfile(root / slashes) and not os.path.isfile(root / name) else name


def _below(name: str, places: Sequence[Place], row: int) -> str:
    """Return an absolute path relative to the first of the root's places that it is below.

    Args:
        name: The path.
        places: Each a name of the root folder, and the function that gives a path the same form.
        row: Row of the item, for the message.
    """
    for place, form in places:
        path = Path(form(name))
        if path.is_relative_to(place):
            return path.relative_to(place).as_posix()
    raise UserError(
        f"row {row}: image {name!r} is not below {places[-1][0]}; give an --image-root that holds "
        "all images"
    )

"""Import embeddings that another program computed: from its files to a finished run folder."""

import difflib
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from retrieval.datasets.catalog import ROLES, Catalog, number_classes
from retrieval.datasets.image_files import is_image_name
from retrieval.datasets.splits import remarks_on_names
from retrieval.datasets.text_files import check_columns, first_row, read_table
from retrieval.errors import UserError
from retrieval.evaluation.relevance import columns_named
from retrieval.evaluation.search.distances import kind_of
from retrieval.runs.checks import reading
from retrieval.runs.embedding_files import read_embeddings
from retrieval.runs.evaluate import (
    DEFAULT,
    EvaluationOptions,
    columns_left_out,
    evaluate_folder,
)
from retrieval.runs.judgments import judgments_from, write_judgments
from retrieval.runs.store import check_free, locked_run, partial_path, publish
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
Place = tuple[str, Callable[[str], str]]
FLAGS = ("is_query", "is_gallery")
COLUMNS = ("label", "id", "label_name", "role", "split", "super_label", "super_name", *FLAGS)
RESERVED = ("item", "key", "has_path")  # columns that are made here or in a run
MOST_NUMBERED = 8  # columns of one numbered name; more are an embedding
TRUE, FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")


def read_items(
    path: Path | str, role: str | None = None, kept: Sequence[str] = (), *, own: bool = True
) -> pd.DataFrame:
    """Read the table of items that accompanies a file of embeddings, one row per embedding.

    Args:
        path: CSV file with a header (tab-separated if it ends in ``.tsv``), or Parquet; or a list
            without a header, with rows ``label,path`` (or ``path,label``) as the original baseline
            wrote them, which is told by its first row: only one of two cells is the name of an
            image file. The column ``label``, the class, is required. ``path`` (of the image;
            :data:`PATH_COLUMNS` has its other names), ``id`` (unique), ``label_name``, ``role``
            (query, gallery or both), ``is_query`` and ``is_gallery`` (0 or 1, true or false),
            ``split`` (test, query or gallery), ``super_label`` and ``super_name`` are optional.
        role: Role of every item if queries and gallery are in separate files. Defaults to the
            columns ``role``, ``is_query`` and ``is_gallery``, or ``split``.
        kept: Other columns in which each item must have a value, such as ``camera``. Defaults to
            none.
        own: Whether to keep the remaining columns too, to slice queries by. They are text, missing
            where an item has no value. Numbers of a Parquet file, and more than
            :data:`MOST_NUMBERED` columns of one numbered name, such as ``emb_0``, are taken as
            embeddings and left out. Defaults to True.

    Returns:
        Columns ``path``, ``label`` and ``label_name`` (str), ``split``, ``role``, ``key`` (the id,
        else the path, else empty), ``has_path`` (bool, whether the file has a column of paths), and
        ``super_label`` and ``super_name`` if the file has them; and the columns that are kept.

    Raises:
        UserError: The file is missing or not a table, a column is missing, misspelled or one of two
            of the same meaning, or a row has no label, an unknown role, a repeated id or path, or
            is not a test item.
    """
    path = Path(path)
    frame, unread = _read_table(path, kept)
    _check_columns(frame, unread, path)
    named = _path_column(frame, path)
    n = len(frame)
    paths = pd.Series([""] * n) if named is None else frame[named]
    items = pd.DataFrame({"path": paths, "label": frame["label"]})
    items["label_name"] = frame.get("label_name", frame["label"].str.strip())
    items["split"], items["role"] = "test", _roles(frame, path) if role is None else role
    items["key"] = frame["id"] if "id" in frame else items["path"]
    items["has_path"] = named is not None
    for name in ("super_label", "super_name"):
        if name in frame:
            items[name] = frame[name]
    if named is None:
        items["path"] = items["key"]
    for name, values in columns_named(f"{path}", kept, frame).items():
        _refuse(path, frame[name].str.strip() == "", frame[name], name, "give every item its value")
        items[name] = values
    for name in _own_columns(frame) if own else ():
        if name not in items:
            values = frame[name].str.strip()
            items[name] = values.where(values != "", None)
    _check_rows(items, path)
    return items


def _own_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of a table of items that have no meaning here."""
    known = {"", *COLUMNS, *PATH_COLUMNS, *RESERVED}
    names = [str(name) for name in frame.columns if str(name) not in known]
    numbered = Counter(re.sub(r"\d+$", "", name) for name in names if name[-1].isdigit())
    dimensions = {stem for stem, n in numbered.items() if n > MOST_NUMBERED}
    return [name for name in names if re.sub(r"\d+$", "", name) not in dimensions]


def _read_table(path: Path, kept: Sequence[str] = ()) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read a table as text; return it, and the names and kinds of the columns that are not read.

    In a Parquet file, these are columns of lists and of numbers, such as an embedding's dimensions.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        with reading(path):
            file = pq.ParquetFile(path)
            check_columns(file.schema_arrow.names, path)
            kinds = {field.name: field.type for field in file.schema_arrow}
            used = [n for n, kind in kinds.items() if n in kept or _is_metadata(n, kind)]
            table = file.read(columns=used)
            columns = {name: _texts(table.column(name).to_pylist()) for name in used}
        unread = {name: str(kind) for name, kind in kinds.items() if name not in columns}
        return pd.DataFrame(columns, dtype=str), unread
    columns_of_list = _columns_without_header(path)
    if columns_of_list:
        return _read_list(path, columns_of_list), {}
    frame = read_table(path, dtype=str, keep_default_na=False)
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes a surplus field as the index
        raise UserError(f"{path}: row 0 has more fields than the header has columns")
    return frame, {}


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


def _is_metadata(name: str, kind: pa.DataType) -> bool:
    """Tell whether a column of a Parquet file is read: it is known, or text."""
    if pa.types.is_nested(kind):
        return False
    if name in (*COLUMNS, *PATH_COLUMNS) or pa.types.is_dictionary(kind):
        return True
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _texts(values: list[object]) -> list[str]:
    return [_text(value) for value in values]


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return "" if value is None else str(value)


def _check_columns(frame: pd.DataFrame, unread: dict[str, str], path: Path) -> None:
    known = (*COLUMNS, *PATH_COLUMNS)
    for name in (*frame.columns, *unread):
        close = difflib.get_close_matches(str(name).strip().lower(), known, 1, 0.8)
        if name not in known and close and close[0] not in frame:
            raise UserError(f"{path}: column {name!r}: did you mean {close[0]!r}? rename it")
    if "label" not in frame:
        if "label" in unread:
            raise UserError(f"{path}: column 'label' is not one class per item ({unread['label']})")
        names = [str(name) for name in (*frame.columns, *unread)]
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        raise UserError(
            f"{path}: no column 'label' (the class of each item); found: {shown}"
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
        raise UserError(f"{path}: {what}; every item needs its class in column 'label'")
    repeated = key.duplicated() & (key != "")
    if repeated.any():
        row = int(np.argmax(repeated))
        earlier = int(np.argmax(key == key[row]))
        raise UserError(f"{path}: row {row} repeats {key[row]!r} of row {earlier}")


def read_sides(
    sides: Sequence[tuple[Path, Path]], columns: Sequence[str] = (), kept: Sequence[str] = ()
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
    embeddings, items = _read_sides(sides, columns, kept)
    return embeddings, number_labels(items)


def _read_sides(
    sides: Sequence[tuple[Path, Path]], columns: Sequence[str], kept: Sequence[str]
) -> tuple[np.ndarray, pd.DataFrame]:
    """Read the files of :func:`read_sides`; labels are text, and ids are in the column ``key``."""
    parts, tables = [], []
    for (embedding_path, items_path), role in zip(
        sides, SIDES if len(sides) == 2 else (None,), strict=True
    ):
        # One file of both has the dimensions of the embedding in columns of its own.
        own = items_path.resolve() != embedding_path.resolve()
        items = read_items(items_path, role, kept, own=own)
        vectors = read_embeddings(embedding_path, columns, items=len(items))
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
    items = pd.concat(tables, ignore_index=True)
    for side in SIDES:
        if not items["role"].isin((side, "both")).any():
            raise UserError(f"{sides[0][1]}: no item is {side} or both")
    return np.concatenate(parts), items


def _check_pair(
    parts: list[np.ndarray], tables: list[pd.DataFrame], sides: Sequence[tuple[Path, Path]]
) -> None:
    widths = [part.shape[1] for part in parts]
    if widths[0] != widths[1]:
        raise UserError(
            f"{sides[0][0]} has {widths[0]} dimensions, {sides[1][0]} has {widths[1]}: "
            "queries and gallery need the same network"
        )
    keys = tables[1]["key"]
    shared = keys.isin(set(tables[0]["key"])) & (keys != "")
    if shared.any():
        row = int(np.argmax(shared))
        raise UserError(
            f"{sides[1][1]}: row {row} ({keys[row]!r}) is a query too; give one file in which its "
            "role is both"
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
    return items.drop(columns="key").astype({"role": object})


def import_run(
    path: Path | str,
    sides: Sequence[tuple[Path, Path]],
    *,
    image_root: Path | str | None = None,
    columns: Sequence[str] = (),
    distance: str = DEFAULT_DISTANCE,
    options: EvaluationOptions = DEFAULT,
    qrels: Path | None = None,
    ignored: Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Create a run folder from embeddings that another program computed.

    Everything is read and checked before anything is written.

    Args:
        path: The run's folder, ``runs/<dataset>/<name>``.
        sides: One pair of files (embeddings, items), or two: queries, then gallery.
        image_root: Folder that the items' paths are relative to. Defaults to the working directory,
            and for absolute paths to the folder that holds all of them.
        columns: Columns of a table of embeddings that are dimensions. Defaults to recognizing them.
        distance: Distance to evaluate with. Defaults to ``cosine``.
        options: Other options of the evaluation. The columns that they name are kept.
        qrels: File that says what is relevant to each query, see
            :func:`retrieval.runs.judgments.judgments_from`. Without roles, the queries are those
            that it judges, and every item is in the gallery. Defaults to None: the items of a
            query's class.
        ignored: File of the pairs that rankings leave out, beside ``qrels``. Defaults to none.
        overwrite: Whether to replace a run of the same name. Defaults to False.
        progress: Whether to show progress bars. Defaults to True.

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
    embeddings, items = _read_sides(sides, columns, kept)
    judged = [] if qrels is None else [judgments_from(qrels, ignored, items["key"].tolist())]
    items = number_labels(items)
    if judged and (items["role"] == "both").all():
        asks = items.index.isin(judged[0].pairs["query"])
        items["role"] = np.where(asks, "both", "gallery").astype(object)
    advice = _advice(items.pop("has_path"), sides)
    root, items["path"] = relative_paths(items["path"].tolist(), image_root)
    remarks = tuple(remarks_on_names(items["label_name"]))
    catalog = Catalog(path.parent.name, root, items, remarks=remarks)
    for line in remarks:
        tqdm.write(f"{path}: {line}")
    with locked_run(path):
        folder = partial_path(path)
        if (folder / "checkpoints").exists():
            raise UserError(
                f"{folder} is an interrupted training; finish it or choose another --name"
            )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_embeddings(folder, embeddings, items)
        write_judgments(folder, judged)
        evaluate_folder(
            folder, catalog, distance, options=options, progress=progress, no_pictures=advice
        )
        files = [[str(Path(name).resolve()) for name in side] for side in sides]
        seconds = {"import": time.perf_counter() - start}
        write_config(folder, run_config(None, catalog, seconds) | {"imported": files})
        publish(path, overwrite=overwrite)
    return path


def _advice(has_path: pd.Series, sides: Sequence[tuple[Path, Path]]) -> str:
    """Return what to do about items without a picture."""
    if has_path.all():
        return "--image-root is the folder that the paths begin at"
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
        _below(name, places, row) if os.path.isabs(name) else name for row, name in enumerate(names)
    ]


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

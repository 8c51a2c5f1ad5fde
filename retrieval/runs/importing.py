"""Import embeddings that another program computed: from its files to a finished run folder."""

import difflib
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from retrieval.datasets.catalog import ROLES, Catalog
from retrieval.errors import UserError
from retrieval.evaluation.search.distances import kind_of
from retrieval.runs.embedding_files import read_embeddings
from retrieval.runs.evaluate import evaluate_folder
from retrieval.runs.store import check_free, locked_run, partial_path, publish
from retrieval.runs.writing import run_config, write_config, write_embeddings
from retrieval.validation import DEFAULT_DISTANCE

COLUMNS = ("label", "path", "id", "label_name", "role", "split", "super_label", "super_name")
SIDES = ("query", "gallery")


def read_items(path: Path | str, role: str | None = None) -> pd.DataFrame:
    """Read the table of items that accompanies a file of embeddings, one row per embedding.

    Args:
        path: CSV file with a header; tab-separated if it ends in ``.tsv``. The column ``label``,
            the class, is required. ``path`` (of the image), ``id`` (unique), ``label_name``,
            ``role`` (query, gallery or both), ``split`` (test), ``super_label`` and ``super_name``
            are optional; other columns are ignored.
        role: Role of every item if queries and gallery are in separate files. Defaults to the
            column ``role``.

    Returns:
        Columns ``path``, ``label`` and ``label_name`` (str), ``split``, ``role``, ``key`` (the id,
        else the path, else empty), and ``super_label`` and ``super_name`` if the file has them.

    Raises:
        UserError: The file is missing or not a table, a column is missing or misspelled, or a row
            has no label, an unknown role, a repeated id or path, or is not a test item.
    """
    path = Path(path)
    try:
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
        frame = pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a CSV table ({reason})") from None
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes a surplus field as the index
        raise UserError(f"{path}: row 0 has more fields than the header has columns")
    _check_columns(frame, path)
    n = len(frame)
    items = pd.DataFrame({"path": frame.get("path", pd.Series([""] * n)), "label": frame["label"]})
    items["label_name"] = frame.get("label_name", frame["label"])
    items["split"] = frame.get("split", pd.Series(["test"] * n))
    items["role"] = frame.get("role", pd.Series(["both"] * n)) if role is None else role
    items["key"] = frame["id"] if "id" in frame else items["path"]
    for name in ("super_label", "super_name"):
        if name in frame:
            items[name] = frame[name]
    if "path" not in frame:
        items["path"] = items["key"]
    _check_rows(items, path, role)
    return items


def _check_columns(frame: pd.DataFrame, path: Path) -> None:
    for name in frame.columns:
        close = difflib.get_close_matches(str(name).strip().lower(), COLUMNS, 1, 0.8)
        if name not in COLUMNS and close and close[0] not in frame:
            raise UserError(f"{path}: column {name!r}: did you mean {close[0]!r}? rename it")
    if "label" not in frame:
        shown = ", ".join(map(str, frame.columns))
        raise UserError(f"{path}: no column 'label' (the class of each item); found: {shown}")
    if frame.empty:
        raise UserError(f"{path}: holds no items")


def _check_rows(items: pd.DataFrame, path: Path, role: str | None) -> None:
    """Refuse the first invalid row. Rows count from 0, as in the embeddings."""

    def first(bad: pd.Series) -> int | None:
        return int(np.argmax(bad)) if bad.any() else None

    label, roles, split, key = items["label"], items["role"], items["split"], items["key"]
    if (row := first(label.str.strip() == "")) is not None:
        raise UserError(f"{path}: row {row} has no label")
    if role is None and (row := first(~roles.isin(ROLES))) is not None:
        raise UserError(f"{path}: row {row} has role {roles[row]!r}: {', '.join(ROLES)}")
    if (row := first(split != "test")) is not None:
        raise UserError(f"{path}: row {row} has split {split[row]!r}: test only")
    if (row := first(key.duplicated() & (key != ""))) is not None:
        earlier = first(key == key[row])
        raise UserError(f"{path}: row {row} repeats {key[row]!r} of row {earlier}")


def read_sides(sides: Sequence[tuple[Path, Path]]) -> tuple[np.ndarray, pd.DataFrame]:
    """Read embeddings and items from one pair of files, or from two: queries, then gallery.

    Args:
        sides: One or two pairs of files (embeddings, items).

    Returns:
        Embeddings, float32, (n, d), and the table of the same n items, with a RangeIndex.

    Raises:
        UserError: A file is invalid, the two files of a pair differ in their number of rows, the
            two sides differ in their dimension or share an id, or there are no queries or no
            gallery items.
    """
    parts, tables = [], []
    for (embedding_path, items_path), role in zip(
        sides, SIDES if len(sides) == 2 else (None,), strict=True
    ):
        vectors, items = read_embeddings(embedding_path), read_items(items_path, role)
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
    return np.concatenate(parts), _numbered(items)


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


def _numbered(items: pd.DataFrame) -> pd.DataFrame:
    """Convert labels to integers.

    If all labels are whole numbers, they are kept; otherwise they are numbered in sorted order.
    ``01`` counts as text, because it is not the same label as ``1``.
    """
    for name in ("label", "super_label"):
        if name not in items:
            continue
        values = items[name].str.strip()
        if values.str.fullmatch(r"0|-?[1-9]\d{0,17}").all():
            items[name] = values.astype(np.int64)
        else:
            items[name] = np.unique(values, return_inverse=True)[1].astype(np.int64)
    if "super_name" in items and "super_label" not in items:
        items["super_label"] = np.unique(items["super_name"], return_inverse=True)[1]
    return items.drop(columns="key").astype({"role": object})


def import_run(
    path: Path | str,
    sides: Sequence[tuple[Path, Path]],
    *,
    image_root: Path | str = ".",
    distance: str = DEFAULT_DISTANCE,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Create a run folder from embeddings that another program computed.

    Everything is read and checked before anything is written.

    Args:
        path: The run's folder, ``runs/<dataset>/<name>``.
        sides: One pair of files (embeddings, items), or two: queries, then gallery.
        image_root: Folder that the items' paths are relative to. Defaults to the working directory.
        distance: Distance to evaluate with. Defaults to ``cosine``.
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
    if not Path(image_root).is_dir():
        raise UserError(f"{image_root}: no such folder; --image-root is where the paths begin")
    embeddings, items = read_sides(sides)
    catalog = Catalog(path.parent.name, Path(image_root).resolve(), items)
    with locked_run(path):
        folder = partial_path(path)
        if (folder / "checkpoints").exists():
            raise UserError(
                f"{folder} is an interrupted training; finish it or choose another --name"
            )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_embeddings(folder, embeddings, items)
        evaluate_folder(folder, catalog, distance, progress=progress)
        files = [[str(Path(name).resolve()) for name in side] for side in sides]
        seconds = {"import": time.perf_counter() - start}
        write_config(folder, run_config(None, catalog, seconds) | {"imported": files})
        publish(path, overwrite=overwrite)
    return path

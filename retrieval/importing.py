"""Bring your own embeddings: a file of vectors and a CSV of items become a run folder.

Nothing pickled is ever executed: NumPy files are read without pickles, torch files by
:mod:`retrieval.models.torch_checkpoint`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from retrieval.datasets.catalog import ROLES, Catalog
from retrieval.errors import UserError, unknown_option
from retrieval.finish import finish, run_config, write_embeddings
from retrieval.runs import partial_path, publish, write_config

LABEL_COLUMNS = ("label", "class", "class_id")
NAMES = ("embeddings", "emb")


def import_run(
    path: Path,
    sides: list[tuple[Path, Path]],
    *,
    image_root: Path | str = ".",
    distance: str = "cosine",
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Make an evaluated run folder from embeddings of any framework.

    Args:
        path: The run to make, ``runs/<dataset>/<name>``.
        sides: (embeddings, items) files: one pair, or a pair of queries and one of gallery items.
        image_root: Folder that the items' ``path`` is relative to.
        distance: Distance of the evaluation.
        overwrite: Replace a run of the same name.
        progress: Show progress bars.

    Returns:
        The run's folder.

    Raises:
        UserError: Bad files, rows or values; names the first row at fault.
    """
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; choose another --name or pass --overwrite")
    embeddings, items = read_sides(sides)
    folder = partial_path(path)
    folder.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(path.parent.name, Path(image_root).resolve(), items)
    write_embeddings(folder, embeddings, items)
    finish(folder, catalog, distance, progress=progress)
    write_config(folder, run_config(None, catalog, {}))
    publish(path, overwrite=overwrite)
    return path


def read_sides(sides: list[tuple[Path, Path]]) -> tuple[np.ndarray, pd.DataFrame]:
    """Read one pair of files, or queries and gallery, into one table.

    Returns:
        Embeddings float32 (n, d) and n items, labels numbered alike on both sides.

    Raises:
        UserError: As :func:`import_run`; also widths that differ and ids that occur twice.
    """
    parts = [(read_embeddings(e), read_items(i), e, i) for e, i in sides]
    for vectors, items, vector_file, item_file in parts:
        check_rows(vectors, items, vector_file, item_file)
    widths = {vectors.shape[1] for vectors, *_ in parts}
    if len(widths) > 1:
        raise UserError(f"{parts[0][2]} and {parts[1][2]} differ in width: {sorted(widths)}")
    if len(parts) == 2:
        for (_, items, *_), role in zip(parts, ("query", "gallery"), strict=True):
            items["role"] = role
    items = pd.concat([items for _, items, *_ in parts], ignore_index=True)
    if "id" in items and items["id"].duplicated().any():
        row = int(items["id"].duplicated().argmax())
        raise UserError(f"item {row}: id {items['id'][row]!r} occurs twice; ids must be unique")
    items["label_name"] = items["label_name"].astype(str)
    items["label"] = np.unique(items["label"].astype(str), return_inverse=True)[1].astype(np.int64)
    return np.concatenate([vectors for vectors, *_ in parts]).astype(np.float32), items


def read_items(path: Path) -> pd.DataFrame:
    """Read an items CSV with a header.

    Args:
        path: Columns ``label`` (or ``class``), and optionally ``path``, ``label_name``, ``role``,
            ``id``, ``super_name``; others are ignored.

    Returns:
        Columns ``path, label, label_name, split, role`` and what else is known, one row per item.

    Raises:
        UserError: The file or its label column is missing, a label is empty, or a role unknown.
    """
    if not path.exists():
        raise UserError(f"no items file at {path}")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a CSV file ({' '.join(str(error).split())})") from error
    label = next((c for c in LABEL_COLUMNS if c in table), None)
    if label is None:
        raise UserError(f"{path}: no column `label`; found: {', '.join(table.columns)}")
    blank = table[label].str.strip() == ""
    if blank.any():
        raise UserError(f"{path}: row {int(blank.argmax()) + 2}: the label is empty")
    items = pd.DataFrame({"path": table.get("path", pd.Series([""] * len(table)))})
    items["label"] = table[label].str.strip()
    items["label_name"] = table.get("label_name", items["label"])
    items["split"], items["role"] = "test", table.get("role", "both")
    bad = ~items["role"].isin(ROLES)
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f"{path}: row {row + 2}: role {items['role'][row]!r}; valid: {', '.join(ROLES)}"
        )
    for column in ("id", "super_name"):
        if column in table:
            items[column] = table[column]
    if "super_name" in items:
        items["super_label"] = np.unique(items["super_name"], return_inverse=True)[1]
    return items


def read_embeddings(path: Path) -> np.ndarray:
    """Read embeddings (n, d) from a file, by its suffix.

    Args:
        path: ``.npy``; ``.npz`` and ``.h5`` (array ``embeddings`` or ``emb``, as the TF 1 baseline
            wrote, or the only one); ``.parquet`` (numeric columns, or one column of lists);
            ``.pt``, ``.pth`` (a dict with one tensor, or one named as above).

    Returns:
        The array, any float type; a ``.npy`` file is memory-mapped.

    Raises:
        UserError: No such file, an unknown suffix, unreadable, or no (n, d) array of numbers.
    """
    if path.suffix not in READERS:
        raise unknown_option("suffix of embeddings", path.suffix or path.name, READERS)
    if not path.exists():
        raise UserError(f"no embeddings file at {path}")
    try:
        array = READERS[path.suffix](path)
    except UserError:
        raise
    except Exception as error:  # each reader fails in its own ways
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be read as {path.suffix} ({reason})") from error
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: shape {array.shape}, type {array.dtype}: needs (items, "
            "dimensions) of real numbers"
        )
    return array


def check_rows(embeddings: np.ndarray, items: pd.DataFrame, vectors: Path, table: Path) -> None:
    """Refuse row counts that differ and values that are not finite.

    Raises:
        UserError: Names the counts, or the first such row.
    """
    if len(embeddings) != len(items):
        raise UserError(f"{vectors} has {len(embeddings)} rows, {table} has {len(items)} items")
    for start in range(0, len(embeddings), 65_536):
        bad = ~np.isfinite(embeddings[start : start + 65_536]).all(axis=1)
        if bad.any():
            row = start + int(bad.argmax())
            raise UserError(f"{vectors}: row {row} holds NaN or Inf ({items['path'][row]})")


def _named(names: list[str], path: Path) -> str:
    for name in NAMES:
        if name in names:
            return name
    if len(names) == 1:
        return names[0]
    raise UserError(f"{path}: which array? name it `embeddings`; found: {', '.join(names)}")


def _npz(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[_named(arrays.files, path)]


def _h5(path: Path) -> np.ndarray:
    import h5py

    with h5py.File(path) as file:
        names = [name for name in file if isinstance(file[name], h5py.Dataset)]
        return file[_named(names, path)][:]


def _parquet(path: Path) -> np.ndarray:
    table = pd.read_parquet(path)
    if len(table.columns) == 1 and table.iloc[:, 0].dtype == object:
        return np.stack(table.iloc[:, 0].to_numpy())
    return table.select_dtypes("number").to_numpy()


def _torch(path: Path) -> np.ndarray:
    from retrieval.models.torch_checkpoint import read_torch_checkpoint

    tensors = read_torch_checkpoint(path)
    return tensors[_named(list(tensors), path)]


READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".npy": lambda path: np.load(path, mmap_mode="r", allow_pickle=False),
    ".npz": _npz,
    ".h5": _h5,
    ".hdf5": _h5,
    ".parquet": _parquet,
    ".pt": _torch,
    ".pth": _torch,
}

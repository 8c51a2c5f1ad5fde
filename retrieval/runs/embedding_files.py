"""Read a matrix of embeddings from a file of any framework, without executing its content."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq

from retrieval.datasets.text_files import read_table
from retrieval.errors import UserError
from retrieval.models.torch_checkpoint import read_torch_tensors
from retrieval.runs.dimensions import embeddings_in
from retrieval.runs.writing import first_not_finite

HDF5 = (".h5", ".hdf5")
NAMES = ("embeddings", "emb", "features", "tensor")  # preferred names, in this order


def read_embeddings(
    path: Path | str, columns: Sequence[str] = (), *, items: int | None = None
) -> np.ndarray:
    """Read and check a matrix of embeddings.

    * ``.npy``: the matrix.
    * ``.npz``, ``.h5``: the array named ``embeddings``, ``emb`` or ``features``, or the only matrix
      of the file. An ``.h5`` file of the original baseline holds ``emb`` (n, d), and with
      test-time views also ``emb_aug`` (views, n, d) and their names, ``augmentation_types``.
      Without ``emb``, the views of ``emb_aug`` are averaged, see :func:`view_axis`.
    * ``.parquet``, ``.csv``, ``.tsv``: one column of lists or numbered columns, see
      :func:`retrieval.runs.dimensions.embeddings_in`.
    * ``.pt``, ``.pth``: a tensor, or a dict with one, written by ``torch.save``. The functions that
      its pickle refers to are not called.

    Args:
        path: The file to read the embeddings from.
        columns: Names or patterns of the columns of a table that are dimensions. Defaults to
            recognizing them.
        items: Number of items n, if it is known from elsewhere: it tells the axes of ``emb_aug``
            apart. It is not checked otherwise. Defaults to None.

    Returns:
        float32, (n, d), finite.

    Raises:
        UserError: The format is unknown, the file cannot be read, it holds no matrix or several, or
            a value is NaN or infinite; the message names the first such row.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"{path}: format {path.suffix!r} is unknown; give {', '.join(FORMATS)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if columns and suffix not in TABLE_READERS:
        raise UserError(f"{path}: has no columns; --columns is for {', '.join(TABLE_READERS)}")
    try:
        table = TABLE_READERS.get(suffix)
        if suffix in HDF5:
            array = _hdf5(path, items)
        else:
            array = READERS[suffix](path) if table is None else table(path, columns)
    except UserError:
        raise
    except Exception as error:  # a damaged file may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be read as {path.suffix} ({reason})") from None
    return check_embeddings(array, path)


def check_embeddings(array: np.ndarray, path: Path) -> np.ndarray:
    """Return embeddings as float32, after checking that they are a matrix of finite numbers.

    Args:
        array: The embeddings.
        path: Their file, or what messages call them.

    Raises:
        UserError: They are not (n, d), or a row is not finite; the message names the first one.
    """
    if array.dtype.kind not in "fiu":
        raise UserError(f"{path}: holds {array.dtype}; embeddings are real numbers")
    if array.ndim != 2 or 0 in array.shape:
        raise UserError(f"{path}: has shape {array.shape}; embeddings are (items, dimensions)")
    with np.errstate(over="ignore"):
        mapped = isinstance(array, np.memmap) and array.dtype == np.float32
        result = array if mapped else np.ascontiguousarray(array, np.float32)
    row = first_not_finite(result)
    if row is not None:
        what = "NaN" if np.isnan(result[row]).any() else "Inf, or too large for float32"
        raise UserError(f"{path}: row {row} (of 0 to {len(result) - 1}) holds {what}")
    return result


def _pick(arrays: Mapping[str, tuple[int, ...]], path: Path) -> str:
    """Return the name of the array that holds the embeddings: a preferred one or the only matrix.

    Args:
        arrays: Name -> shape of every array in the file.
        path: The file, for messages.
    """
    for name in NAMES:
        if name in arrays:
            return name
    matrices = [name for name, shape in arrays.items() if len(shape) == 2]
    if len(matrices) != 1:
        shown = ", ".join(f"{name} {shape}" for name, shape in arrays.items()) or "nothing"
        raise UserError(f"{path}: call one array 'embeddings'; the file holds {shown}")
    return matrices[0]


def _npy(path: Path) -> np.ndarray:
    # Mapped, as a gallery of millions may be larger than the memory.
    matrix: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return matrix


def _npz(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as arrays, zipfile.ZipFile(path) as archive:
        shapes = {name: _shape_in(archive, name) for name in arrays.files}
        matrix: np.ndarray = arrays[_pick(shapes, path)]
        return matrix


def _shape_in(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """Return the shape of an array without reading it: it may hold objects."""
    with archive.open(f"{name}.npy") as stream:
        if np.lib.format.read_magic(stream) == (1, 0):
            return np.lib.format.read_array_header_1_0(stream)[0]
        return np.lib.format.read_array_header_2_0(stream)[0]


def _hdf5(path: Path, items: int | None = None) -> np.ndarray:
    with h5py.File(path, "r") as file:
        _check_self_contained(file, path)
        arrays = {k: v for k, v in file.items() if isinstance(v, h5py.Dataset)}
        shapes = {k: v.shape for k, v in arrays.items() if v.shape is not None}  # None: no array
        if not shapes and (nested := _in_groups(file)):
            shown = ", ".join(f"{name} {shape}" for name, shape in nested.items())
            raise UserError(
                f"{path}: its arrays are in groups ({shown}); copy one to the top of the file as "
                "'embeddings'"
            )
        if "emb" in shapes or "emb_aug" not in shapes:
            return np.asarray(file[_pick(shapes, path)][()])
        shape = shapes["emb_aug"]
        names = shapes.get("augmentation_types")
        views = names[0] if names else None
        axis = view_axis(shape, views=views, items=items, where=f"{path}: emb_aug")
        if 0 in shape:
            raise UserError(f"{path}: emb_aug has shape {shape}; there is nothing in it")
        stored = file["emb_aug"]
        if stored.dtype.kind not in "fiu":
            return np.asarray(stored[0])  # refused as any matrix of this kind
        # One view at a time: the views are many times as large as their mean.
        total = np.zeros(shape[:axis] + shape[axis + 1 :], np.float64)
        for view in range(shape[axis]):
            total += stored[view] if axis == 0 else stored[:, view]
        mean: np.ndarray = total / shape[axis]
        return mean


def _in_groups(file: h5py.File) -> dict[str, tuple[int, ...]]:
    """Return path -> shape of the arrays in the groups of a file; links are not followed."""
    found: dict[str, tuple[int, ...]] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            found[name] = item.shape

    file.visititems(visit)
    return found


def view_axis(
    shape: tuple[int, ...], *, views: int | None, items: int | None, where: str = "emb_aug"
) -> int:
    """Return the axis of an array of embeddings of several views that counts the views.

    The original baseline writes (views, items, dimensions); (items, views, dimensions) is read as
    well where the numbers leave no doubt.

    Args:
        shape: The shape of the array.
        views: Number of names of views; None if there are no names.
        items: Number of items; None if it is not known.
        where: File and array, for the message. Defaults to the name of the array.

    Returns:
        0 or 1.

    Raises:
        UserError: The shape does not have three axes, none of the first two has as many views, or
            both may be that of the views.
    """
    if len(shape) != 3:
        raise UserError(f"{where} has shape {shape}; give (views, items, dimensions)")
    if views is not None and views not in shape[:2]:
        raise UserError(f"{where} has shape {shape}, which does not fit {views} augmentation_types")
    fits = [
        axis
        for axis in (0, 1)
        if views in (None, shape[axis])
        and (shape[0] == shape[1] or items in (None, shape[1 - axis]))
    ]
    if len(fits) == 1:
        return fits[0]
    if not fits and views is not None:  # the views are known; the number of items is wrong
        return int(views != shape[0])
    if not fits:
        raise UserError(f"{where} has shape {shape}, which does not fit {items} items")
    raise UserError(
        f"{where} has shape {shape}: which of the first two axes is that of the views cannot be "
        "told; add the mean over the views as 'emb' (items, dimensions)"
        + (
            ", or the names of the views as 'augmentation_types'"
            if views is None and shape[0] != shape[1]  # else names do not help
            else ""
        )
    )


def _check_self_contained(file: h5py.File, path: Path) -> None:
    """Refuse a file whose arrays lie in other files, which may be any of this computer.

    Raises:
        UserError: Names the first such array.
    """
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise UserError(f"{path}: {name!r} is a link; {COPY_HDF5}")
        found = file[name]
        if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
            raise UserError(f"{path}: {name!r} lies in other files; {COPY_HDF5}")


COPY_HDF5 = "copy the array into the file, e.g. with `h5repack` or h5py"


def _parquet(path: Path, columns: Sequence[str]) -> np.ndarray:
    return embeddings_in(pq.ParquetFile(path).read(), path, columns)


def _csv(path: Path, columns: Sequence[str]) -> np.ndarray:
    return embeddings_in(read_table(path, float_precision="round_trip"), path, columns)


def _torch(path: Path) -> np.ndarray:
    tensors = read_torch_tensors(path)
    return tensors[_pick({name: value.shape for name, value in tensors.items()}, path)]


READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".npy": _npy,
    ".npz": _npz,
    **dict.fromkeys(HDF5, _hdf5),
    ".pt": _torch,
    ".pth": _torch,
}
TABLE_READERS: dict[str, Callable[[Path, Sequence[str]], np.ndarray]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".tsv": _csv,
}
FORMATS = (*READERS, *TABLE_READERS)

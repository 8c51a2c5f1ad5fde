"""Read a matrix of embeddings from a file of any framework, without executing its content."""

from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from retrieval.errors import UserError
from retrieval.models.torch_checkpoint import read_torch_tensors

NOT_DIMENSIONS = ("id", "item", "row", "index", "label", "class", "super_label")
NAMES = ("embeddings", "emb", "features", "tensor")  # preferred names, in this order


def read_embeddings(path: Path | str) -> np.ndarray:
    """Read and check a matrix of embeddings.

    * ``.npy``: the matrix.
    * ``.npz``, ``.h5``: the array named ``embeddings``, ``emb`` or ``features``, or the only matrix
      of the file. An ``.h5`` file of the TF 1 baseline holds ``emb``, or ``emb_aug``
      (n, views, d) with ``augmentation_types``; without ``emb``, the views of ``emb_aug`` are
      averaged.
    * ``.parquet``: one column per dimension, or one column of lists.
    * ``.pt``, ``.pth``: a tensor, or a dict with one, written by ``torch.save``. The functions that
      its pickle refers to are not called.

    Args:
        path: The file to read the embeddings from.

    Returns:
        float32, (n, d), finite.

    Raises:
        UserError: The format is unknown, the file cannot be read, it holds no matrix or several, or
            a value is NaN or infinite; the message names the first such row.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: format {path.suffix!r} is unknown; give {', '.join(READERS)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        array = reader(path)
    except UserError:
        raise
    except Exception as error:  # a damaged file may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be read as {path.suffix} ({reason})") from None
    return _checked(array, path)


def _checked(array: np.ndarray, path: Path) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise UserError(f"{path}: holds {array.dtype}; embeddings are real numbers")
    if array.ndim != 2 or 0 in array.shape:
        raise UserError(f"{path}: has shape {array.shape}; embeddings are (items, dimensions)")
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(array, np.float32)
    bad = ~np.isfinite(result).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
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
    matrix: np.ndarray = np.load(path, allow_pickle=False)
    return matrix


def _npz(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as arrays:
        content: dict[str, np.ndarray] = {name: arrays[name] for name in arrays.files}
    return content[_pick({name: value.shape for name, value in content.items()}, path)]


def _hdf5(path: Path) -> np.ndarray:
    with h5py.File(path, "r") as file:
        shapes = {k: v.shape for k, v in file.items() if isinstance(v, h5py.Dataset)}
        if "emb" in shapes or "emb_aug" not in shapes:
            matrix: np.ndarray = file[_pick(shapes, path)][()]
            return matrix
        shape = shapes["emb_aug"]
        if len(shape) != 3:
            raise UserError(f"{path}: emb_aug has shape {shape}; give (items, views, dimensions)")
        types = shapes.get("augmentation_types", (shape[1],))[0]
        if types != shape[1]:
            raise UserError(f"{path}: {shape[1]} views in emb_aug, {types} augmentation_types")
        mean: np.ndarray = file["emb_aug"][()].mean(axis=1)
        return mean


def _parquet(path: Path) -> np.ndarray:
    frame = pd.read_parquet(path)
    if frame.shape[1] != 1 or frame.dtypes.iloc[0].kind != "O":
        other = [str(name) for name in frame if frame[name].dtype.kind not in "fiu"]
        if other:
            raise UserError(f"{path}: column {other[0]!r} is not numeric; keep the embedding only")
        named = [str(name) for name in frame if str(name).strip().lower() in NOT_DIMENSIONS]
        if named:
            raise UserError(
                f"{path}: column {named[0]!r} is not a dimension; keep the embedding only"
            )
        matrix: np.ndarray = frame.to_numpy()
        return matrix
    lists = frame.iloc[:, 0]
    if len(lists) and not isinstance(lists.iloc[0], np.ndarray | list):
        raise UserError(f"{path}: column {frame.columns[0]!r} is not numeric")
    width = [0 if value is None else len(value) for value in lists]
    odd = [row for row, size in enumerate(width) if size != width[0]]
    if odd:
        raise UserError(
            f"{path}: row {odd[0]} has {width[odd[0]]} dimensions, row 0 has {width[0]}"
        )
    return np.stack([np.asarray(value) for value in lists]) if len(lists) else np.empty((0, 0))


def _torch(path: Path) -> np.ndarray:
    tensors = read_torch_tensors(path)
    return tensors[_pick({name: value.shape for name, value in tensors.items()}, path)]


READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".parquet": _parquet,
    ".pt": _torch,
    ".pth": _torch,
}

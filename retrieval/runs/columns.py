"""The columns that the queries of a run can be sliced by: of the items, and of their files.

Every column of ``items.parquet`` counts, whatever a data set brought along, and what follows from
the items: the size of the class, the folders in the path, and the size of the image, which is read
from the head of its file.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from PIL import ExifTags, Image

from retrieval.datasets.containment import contained_paths
from retrieval.errors import UserError, unknown_option
from retrieval.evaluation.binning import Groups, group_values
from retrieval.runs.run import Run

CLASS_SIZE = "class_size"
FOLDER = "folder_"  # followed by its place in the path, from 1
CLASS_GROUP = "class_group"
IMAGE_COLUMNS = ("image_width", "image_height", "image_megapixels", "image_aspect")
# What names an item or its class, so that a slice would be a single item or class.
NAMES = ("item", "path", "label", "label_name", "super_label")
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def column_groups(
    run: Run, by: str, protocol: str | None = None, bins: int | None = None
) -> Groups:
    """Cut the queries of a run by a column.

    Args:
        run: The run.
        by: Name of the column: one of ``items.parquet``; ``class_size``, the number of gallery
            items of the query's class; ``folder_1``, ``folder_2``, ... of the path;
            ``class_group``, what stands before the first slash of a class name; ``image_width``,
            ``image_height``, ``image_megapixels`` or ``image_aspect`` (width over height).
        protocol: Name of the protocol. Defaults to the primary one.
        bins: Number of quantile bins of numbers and dates. Defaults to 4 or, where classes are cut,
            as few as leave enough classes in each.

    Returns:
        The slices, see :func:`retrieval.evaluation.binning.group_values`.

    Raises:
        UserError: There is no such column, it cannot be cut, or no image file can be read.
    """
    queries = run.neighbors(protocol).queries
    rows = run.items.iloc[queries]
    labels = rows["label"].to_numpy()
    if by in IMAGE_COLUMNS and by not in rows:
        sizes = image_sizes(run, queries)
        if np.isnan(sizes).all():
            raise UserError(
                f"column {by!r}: no image file of {run.path} can be read; its data set was in "
                f"{run.dataset_config.root}"
            )
        return group_values(by, _of_size(by, sizes), labels, bins)
    columns = _columns(run, protocol)
    if by not in columns:
        raise unknown_option("column", by, columns_to_slice(run, protocol)[0])
    return group_values(by, columns[by](), labels, bins)


def columns_to_slice(
    run: Run, protocol: str | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """List the columns that the queries of a run can be sliced by, and those that they cannot.

    Args:
        run: The run.
        protocol: Name of the protocol. Defaults to the primary one.

    Returns:
        Column -> its slices in words; column -> why it cannot be cut. Columns of the images are
        listed without reading the files.
    """
    labels = run.items["label"].to_numpy()[run.neighbors(protocol).queries]
    found: dict[str, str] = {}
    refused: dict[str, str] = {}
    for name, values in _columns(run, protocol).items():
        try:
            groups = group_values(name, values(), labels)
        except UserError as error:
            refused[name] = str(error)
            continue
        found[name] = slices_in_words(groups)
    for name in _image_columns(run):
        found[name] = "of the image files"
    return found, refused


def slices_in_words(groups: Groups) -> str:
    """Say how a column was cut, with its first slices: ``3 categories: A, B, ...``."""
    shown = ", ".join(groups.names[:4]) + (", ..." if len(groups.names) > 4 else "")
    return f"{len(groups.names)} {groups.how}: {shown}"


def _image_columns(run: Run) -> list[str]:
    root = run.dataset_config.root
    if root is None or not root.is_dir():
        return []
    return [name for name in IMAGE_COLUMNS if name not in run.items]


def _columns(run: Run, protocol: str | None) -> dict[str, Callable[[], object]]:
    """Return what makes the values of every column but those of the images."""
    items, queries = run.items, run.neighbors(protocol).queries
    rows = items.iloc[queries]
    found: dict[str, Callable[[], object]] = {CLASS_SIZE: lambda: class_sizes(run, protocol)}
    for name in items.columns:
        if name not in NAMES:
            found[str(name)] = lambda name=name: rows[name]  # type: ignore[misc]
    names = rows["label_name"].astype(str)
    if CLASS_GROUP not in found and names.str.contains("/").any():
        found[CLASS_GROUP] = lambda: names.str.split("/").str[0]
    folders = rows["path"].astype(str).map(lambda path: PurePosixPath(path).parts[:-1])
    for place in range(max((len(each) for each in folders), default=0)):
        name = f"{FOLDER}{place + 1}"
        values = folders.map(lambda parts, place=place: dict(enumerate(parts)).get(place))
        if name not in found and values.nunique(dropna=False) > 1:
            found[name] = lambda values=values: values  # type: ignore[misc]
    return found


def class_sizes(run: Run, protocol: str | None = None) -> np.ndarray:
    """Return the number of gallery items of each query's class, itself included, int64 (q,)."""
    labels, neighbors = run.items["label"].to_numpy(), run.neighbors(protocol)
    roles = run.items["role"].to_numpy(dtype=object)
    # Under leave-one-out every item is in the gallery, whatever its role under another protocol.
    made = run.result(protocol).protocol
    gallery = np.ones(len(labels), bool) if made.n_gallery == len(labels) else roles != "query"
    sizes = pd.Series(labels[gallery]).value_counts()
    found: np.ndarray = (
        pd.Series(labels[neighbors.queries]).map(sizes).fillna(0).astype(np.int64).to_numpy()
    )
    return found


def image_sizes(run: Run, rows: np.ndarray) -> np.ndarray:
    """Read the width and height of images as they are shown, from the heads of their files.

    Args:
        run: The run.
        rows: int, (m,), rows of items.

    Returns:
        float64, (m, 2), in pixels; NaN where a file cannot be read.
    """
    root = run.dataset_config.root
    if root is None:
        return np.full((len(rows), 2), np.nan)
    names = run.items["path"].iloc[rows].astype(str)
    paths = contained_paths(root, names, run.dataset_config.linked_roots)
    with ThreadPoolExecutor(4) as pool:
        return np.array(list(pool.map(_image_size, paths)), dtype=np.float64).reshape(-1, 2)


def _image_size(path: str | None) -> tuple[float, float]:
    if path is None:
        return np.nan, np.nan
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS
    except Exception:  # a damaged file may raise anything
        return np.nan, np.nan
    return (height, width) if turned else (width, height)


def _of_size(by: str, sizes: np.ndarray) -> np.ndarray:
    width, height = sizes.T
    made: dict[str, np.ndarray] = {
        "image_width": width,
        "image_height": height,
        "image_megapixels": width * height / 1e6,
        "image_aspect": width / height,
    }
    return made[by]

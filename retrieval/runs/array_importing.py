"""Import embeddings that are in memory: arrays, tensors and tables of Python, to a finished run."""

import contextlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrieval.datasets.tables import usual_column
from retrieval.errors import UserError
from retrieval.evaluation.search.distances import kind_of
from retrieval.files import check_folder_name
from retrieval.runs.dimensions import CHOOSE, embeddings_in, names_of_dimensions
from retrieval.runs.embedding_files import check_embeddings
from retrieval.runs.evaluate import DEFAULT, EvaluationOptions, columns_left_out
from retrieval.runs.importing import NO_LABEL, SIDES, items_in, typed_items, write_import
from retrieval.runs.store import check_free
from retrieval.validation import DEFAULT_DISTANCE

EMBEDDINGS, ITEMS = Path("embeddings"), Path("items")  # what messages call them
PATHS_BEGIN = "`images` is the folder that their paths begin at"
# A flag of `retrieval import` -> what it is here.
PARAMETERS = (
    ("--label none", "label='none'"),
    ("--label COLUMN", "label=COLUMN"),
    ("--label", "label"),
    ("--path", "path"),
    ("an --image-root", "images, a folder"),
    ("--image-root", "images"),
    (CHOOSE, "give a frame with the columns of the embedding alone, or an array"),
    ("say so with --columns", "give an array of the dimensions"),
    ("--name", "name"),
    ("pass --overwrite", "pass overwrite=True"),
)
SUGGESTED_LABEL = re.compile(r"--label (?!COLUMN)'?(.+?)'?, or give")  # a column that is there
NO_PATHS = "give the items a column `path`, or `images`"


def import_run(
    embeddings: Any,
    items: pd.DataFrame | Mapping[str, Sequence[Any]] | None = None,
    *,
    images: Path | str | Sequence[Path | str] | None = None,
    name: str = "imported",
    dataset: str = "imported",
    runs: Path | str = "runs",
    label: str | None = None,
    path: str | None = None,
    distance: str = DEFAULT_DISTANCE,
    options: EvaluationOptions = DEFAULT,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Create a run folder from embeddings of any program, to judge and look at them.

    ``retrieval.import_run(vectors, catalog, images="photos", dataset="shoes", name="clip")``

    Args:
        embeddings: (n, d): an array, a tensor (whatever ``np.asarray`` takes), or a DataFrame with
            one column of lists or numbered columns such as ``emb_0``.
        items: One row per embedding, in their order; the index does not matter. The columns
            ``label`` (the class), ``path`` (of the image), ``id``, ``role`` (query, gallery or
            both) and others have a meaning, see :func:`retrieval.runs.importing.read_items`; all
            others are kept as they are. Without a column of classes the run has neighbors, map,
            near-duplicates and hubs, and no figures of classes. Defaults to the other columns of
            ``embeddings`` if that is a DataFrame, or else to items without classes.
        images: The folder that the items' paths are relative to; or the path of each of the n
            images. Defaults to the working directory, and for absolute paths to the folder that
            holds all of them.
        name: Name of the run. Defaults to ``imported``.
        dataset: Name of the data set; runs of one name are compared. Defaults to ``imported``.
        runs: Folder of runs. Defaults to ``runs``.
        label: Column of the classes, or ``none`` for items without. Defaults to ``label``.
        path: Column of the images' paths. Defaults to the usual names.
        distance: Distance to evaluate with. Defaults to ``cosine``.
        options: Other options of the evaluation. Defaults to the usual ones.
        overwrite: Whether to replace a run of the same name. Defaults to False.
        progress: Whether to show progress bars. Defaults to True.

    Returns:
        The run's folder, ``runs/<dataset>/<name>``.

    Raises:
        UserError: The embeddings are no matrix of finite numbers, there is not one item for each
            (the message names the row), an item is invalid, or the run exists.
    """
    with _words_of_python():
        return _import(
            embeddings,
            items,
            images=images,
            name=name,
            dataset=dataset,
            runs=runs,
            label=label,
            path=path,
            distance=distance,
            options=options,
            overwrite=overwrite,
            progress=progress,
        )


@contextlib.contextmanager
def _words_of_python() -> Iterator[None]:
    """Name parameters in the messages of what the command line uses too."""
    try:
        yield
    except UserError as error:
        message = str(error)
        message = SUGGESTED_LABEL.sub(r"label='\1', or give", message)
        for flag, parameter in PARAMETERS:
            message = message.replace(flag, parameter)
        raise UserError(message) from error


def _import(
    embeddings: Any,
    items: pd.DataFrame | Mapping[str, Sequence[Any]] | None,
    *,
    images: Path | str | Sequence[Path | str] | None,
    name: str,
    dataset: str,
    runs: Path | str,
    label: str | None,
    path: str | None,
    distance: str,
    options: EvaluationOptions,
    overwrite: bool,
    progress: bool,
) -> Path:
    start = time.perf_counter()
    kind_of(distance)
    check_folder_name("data set", dataset)
    folder = Path(runs) / dataset / check_folder_name("run name", name)
    check_free(folder, overwrite=overwrite)
    vectors, table = _split(embeddings, items)
    n = len(vectors)
    if table is None:
        table = pd.DataFrame(index=pd.RangeIndex(n))
        label = NO_LABEL if label is None else label
    if len(table) != n:
        raise UserError(
            f"embeddings have {n} rows, items have {len(table)}: row {min(n, len(table))} has no "
            "partner"
        )
    root: Path | str | None = None
    if images is None or isinstance(images, str | Path):
        root = images
        if root is not None and not Path(root).is_dir():
            raise UserError(f"images: no folder {root}; it is where the items' paths begin")
    else:
        table = _with_paths(table, list(images), path)
        path = None
    if label is None and not _may_have_classes(table):
        label = NO_LABEL
    kept = [c for names in columns_left_out(dataset, options).values() for c in names]
    named = {kind: c for kind, c in (("label", label), ("path", path)) if c is not None}
    found = items_in(typed_items(table, kept), ITEMS, None, kept, named=named)
    for side in SIDES:
        if not found["role"].isin((side, "both")).any():
            raise UserError(f"items: no item is {side} or both")
    has_path = bool(found["has_path"].all())
    return write_import(
        folder,
        vectors,
        found,
        image_root=root,
        distance=distance,
        options=options,
        source="arrays",
        no_pictures=PATHS_BEGIN if has_path else NO_PATHS,
        overwrite=overwrite,
        progress=progress,
        start=start,
    )


def _split(
    embeddings: Any, items: pd.DataFrame | Mapping[str, Sequence[Any]] | None
) -> tuple[np.ndarray, pd.DataFrame | None]:
    """Return the matrix, and the table of items if there is any."""
    table = None if items is None else _as_table(items)
    if isinstance(embeddings, pd.DataFrame):
        frame = embeddings.set_axis([str(c) for c in embeddings.columns], axis=1)
        frame = frame.reset_index(drop=True)
        array = embeddings_in(frame, EMBEDDINGS)
        if table is None:
            used = set(names_of_dimensions(frame, EMBEDDINGS))
            others = [c for c in frame if c not in used]
            table = frame[others] if others else None
    else:
        array = _as_array(embeddings)
    return check_embeddings(array, EMBEDDINGS), table


def _as_array(embeddings: Any) -> np.ndarray:
    if isinstance(embeddings, list | tuple):
        _check_widths(embeddings)
    try:
        array = np.asarray(embeddings)
    except Exception as error:  # of any library's tensors
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"embeddings: no array can be made of them ({reason})") from error
    if array.dtype == object:
        _check_widths(array)
        try:
            array = np.stack([np.asarray(row, np.float64) for row in array])
        except (TypeError, ValueError) as error:
            raise UserError("embeddings: hold objects that are no numbers") from error
    return array


def _check_widths(rows: Iterable[Any]) -> None:
    widths = [len(row) if isinstance(row, Sized) else 0 for row in rows]
    odd = next((row for row, width in enumerate(widths) if width != widths[0]), None)
    if odd is not None:
        raise UserError(
            f"embeddings: row {odd} has {widths[odd]} dimensions, row 0 has {widths[0]}"
        )


def _as_table(items: pd.DataFrame | Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    if isinstance(items, pd.DataFrame):
        table = items.reset_index(drop=True)
    else:
        try:
            table = pd.DataFrame(dict(items))
        except (TypeError, ValueError) as error:
            raise UserError(
                f"items: give a DataFrame, or columns of one length by name ({error})"
            ) from error
    table = table.set_axis([str(c) for c in table.columns], axis=1)
    if table.columns.has_duplicates:
        twice = table.columns[table.columns.duplicated()][0]
        raise UserError(f"items: two columns are called {twice!r}; rename one")
    return table


def _with_paths(table: pd.DataFrame, images: list[Path | str], path: str | None) -> pd.DataFrame:
    if len(images) != len(table):
        raise UserError(
            f"embeddings have {len(table)} rows, images have {len(images)}: row "
            f"{min(len(images), len(table))} has no partner"
        )
    bad = next((row for row, each in enumerate(images) if not isinstance(each, str | Path)), None)
    if bad is not None:
        raise UserError(f"images: row {bad} is no path, but {type(images[bad]).__name__}")
    if path is not None or "path" in table:
        raise UserError(
            f"images are the paths, and items have a column {path or 'path'!r} too: give one"
        )
    return table.assign(path=[str(each) for each in images])


def _may_have_classes(table: pd.DataFrame) -> bool:
    """Tell whether a table may have classes, if only by a name that is then asked about."""
    names = [str(c) for c in table if str(c).lower() != "id"]
    return "label" in names or usual_column("label", names) is not None

"""Write embeddings for other programs, part by part: to HDF5, NumPy, Parquet, or a folder.

Beside ``x.h5`` and ``x.npy`` stands ``x.items.csv``, one row per embedding, which ``retrieval
import`` reads; a Parquet file has the same columns itself. ``x.skipped.csv`` lists images that were
left out. What the vectors were made with is kept too: see :mod:`retrieval.runs.embedding_source`.
A folder, which a name without an ending asks for, keeps the vectors in parts: see
:mod:`retrieval.runs.embedding_folder`.
"""

import contextlib
import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from retrieval.datasets.metadata import PREFIX
from retrieval.errors import UserError
from retrieval.files import (
    atomic_path,
    check_space,
    file_lock,
    remove,
    remove_temporaries,
    replace_folder,
    write_text,
)
from retrieval.runs.embedding_files import HDF5
from retrieval.runs.embedding_folder import (
    INDEX,
    ITEMS,
    SKIPPED,
    PartFile,
    index_text,
    is_embedding_folder,
    row_blocks,
)
from retrieval.runs.embedding_parts import Part, Parts
from retrieval.runs.embedding_source import KEY, Source, source_path
from retrieval.runs.records import metadata_columns
from retrieval.runs.run import Run

EXPORTED_ROWS = 65_536  # of a run, at a time
VECTORS = "embedding"  # column of a Parquet file


@dataclass(frozen=True)
class Output:
    """What is written to a file of embeddings.

    Attributes:
        parts: Returns the parts in order, each time it is called.
        columns: Name -> value of each listed image, which the parts' rows choose from: ``path``,
            ``label`` and ``role`` if they are known, and metadata; see :func:`arrow_columns`.
        n: Number N of embeddings in all parts.
        width: Their dimension D.
        views: Names of the V test-time views.
        skipped: Path -> reason of images that were left out. Defaults to none.
        source: What the embeddings were made with. Defaults to None: it is not known.
    """

    parts: Callable[[], Iterable[Part]]
    columns: Mapping[str, pa.Array]
    n: int
    width: int
    views: Sequence[str]
    skipped: Mapping[str, str] = field(default_factory=dict)
    source: Source | None = None

    def rows_of(self, part: Part) -> dict[str, pa.Array]:
        """Return the columns of the items of a part."""
        rows = pa.array(part.rows)
        return {name: values.take(rows) for name, values in self.columns.items()}


def arrow_columns(
    columns: Mapping[str, Sequence[str]], metadata: pd.DataFrame | None = None
) -> dict[str, pa.Array]:
    """Return the columns of an output, which take less memory than as Python texts.

    Args:
        columns: Name -> text of each image.
        metadata: Further columns in their types, one row per image. A column ``embedding`` is
            called ``meta_embedding``, since a Parquet file holds the vectors under that name.
            Defaults to None, no others.
    """
    made = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    for name, column in () if metadata is None else metadata.items():
        values = pa.Array.from_pandas(column)
        made[f"{PREFIX}{name}" if name == VECTORS else str(name)] = values
    return made


def items_path(out: Path) -> Path | None:
    """Return the list of items beside a file, or in a folder; None if the file holds them."""
    if is_folder_output(out):
        return out / ITEMS
    return None if out.suffix.lower() == ".parquet" else out.with_suffix(".items.csv")


def skipped_path(out: Path) -> Path:
    """Return the list of the images that an output was written without."""
    return out / SKIPPED if is_folder_output(out) else out.with_suffix(".skipped.csv")


def check_output(out: Path, *, overwrite: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Check that a file of embeddings can be written, before anything is computed.

    Args:
        out: The file.
        overwrite: Whether to replace it and the lists beside it. Defaults to False.
        inputs: Files that are read, which must not be among them. Defaults to none.

    Raises:
        UserError: The format is unknown, or a file exists.
    """
    if is_folder_output(out):
        _check_folder(out, overwrite=overwrite)
        return
    if out.suffix.lower() not in WRITERS:
        raise UserError(
            f"{out}: format {out.suffix!r} is unknown; give {', '.join(WRITERS)}, or a name "
            "without an ending for a folder of parts"
        )
    written = [out, *_beside(out)]
    read = {path.resolve() for path in inputs}
    for path in written:
        if path.resolve() in read:
            raise UserError(f"{path} is read, and would be replaced: choose another --out")
        if path.is_dir():
            raise UserError(f"{path} is a folder: choose another --out")
        if path.exists() and not overwrite:
            raise UserError(f"{path} exists; choose another --out or pass --overwrite")


def is_folder_output(out: Path) -> bool:
    """Tell whether an output is a folder of parts: its name has no ending."""
    return out.suffix == ""


def keeps_views(out: Path) -> bool:
    """Tell whether an output holds each test-time view for itself, beside their mean."""
    return out.suffix.lower() in HDF5


def _check_folder(out: Path, *, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not is_embedding_folder(out):
        raise UserError(f"{out} exists and is no folder of vectors: choose another --out")
    if not overwrite:
        raise UserError(f"{out} exists; choose another --out or pass --overwrite")


def _beside(out: Path) -> list[Path]:
    """Return every file that may stand beside a file of embeddings."""
    found = (items_path(out), skipped_path(out), source_path(out))
    return [path for path in found if path is not None]


@contextlib.contextmanager
def output_lock(out: Path) -> Iterator[None]:
    """Let one process at a time write a file and the lists beside it.

    Raises:
        UserError: Another process writes it.
    """
    try:
        with file_lock(out.with_name(f".{out.name}.lock"), wait=False):
            yield
    except TimeoutError as error:
        raise UserError(f"{out}: another process writes it; choose another --out") from error


def write_output(out: Path, output: Output) -> None:
    """Write a file of embeddings and the lists beside it; what is there is replaced.

    The file itself appears last, when the others are there. Call this under its lock.

    Args:
        out: The file; its suffix is its format.
        output: What to write.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    views = len(output.views) if _has_views(output) and out.suffix.lower() in HDF5 else 0
    check_space(out.parent, 4 * output.n * output.width * (1 + views))
    items, source = items_path(out), source_path(out)
    for path in (out, *_beside(out)):
        remove_temporaries(out.parent, path.name)  # of a killed process
    with contextlib.ExitStack() as files:
        WRITERS[out.suffix.lower()](files.enter_context(atomic_path(out)), output)
        if items is not None:
            rows = (row for part in output.parts() for row in _as_rows(output.rows_of(part)))
            _write_csv(files.enter_context(atomic_path(items)), list(output.columns), rows)
        if output.skipped:
            file = files.enter_context(atomic_path(skipped_path(out)))
            _write_csv(file, ["path", "reason"], output.skipped.items())
        else:
            remove(skipped_path(out))
        if source is not None and output.source is not None:
            file = files.enter_context(atomic_path(source))
            file.write_text(output.source.to_json() + "\n", encoding="utf-8")
        elif source is not None:
            remove(source)


def publish_folder(out: Path, parts: Parts, total: int, output: Output) -> None:
    """Make the folder of finished parts the output: list them and their items, and rename it.

    Call this under the lock of the output; a folder of vectors that is there is replaced.

    Args:
        out: The folder to make.
        parts: The parts, all of which are there.
        total: How many there are.
        output: What they hold.
    """
    folder, listed = parts.folder, []
    for number in range(total):
        record = parts.record(number)
        if len(record.rows):
            listed.append(PartFile(parts.path(number).name, len(record.rows), record.checksum))
    rows = (parts.record(number).rows for number in range(total))
    schema = pa.schema([(name, values.type) for name, values in output.columns.items()])
    with (
        atomic_path(folder / ITEMS) as temporary,
        pq.ParquetWriter(temporary, schema) as file,
    ):
        for block in row_blocks(rows, EXPORTED_ROWS):
            taken = {name: values.take(pa.array(block)) for name, values in output.columns.items()}
            file.write_table(pa.table(taken, schema))
    if output.skipped:
        with atomic_path(folder / SKIPPED) as temporary:
            _write_csv(temporary, ["path", "reason"], output.skipped.items())
    else:
        remove(folder / SKIPPED)
    write_text(folder / INDEX, index_text(output.width, listed, output.source))
    kept = {INDEX, ITEMS, SKIPPED, *(part.file for part in listed)}
    replace_folder(folder, out, out.with_name(f".{out.name}.old"))
    for path in [path for path in out.iterdir() if path.name not in kept]:
        remove(path)  # the records of the parts, which the list now holds


def export_run(
    run: Run, out: Path | str, *, source: Source | None = None, overwrite: bool = False
) -> Path:
    """Write the embeddings that a run stores, those of its test items, to a file.

    Views at test time are stored as their mean only.

    Args:
        run: A finished run.
        out: The file: ``.h5``, ``.npy`` or ``.parquet``; without an ending, a folder of parts.
        source: What the run's embeddings were made with. Defaults to None: it is not known.
        overwrite: Whether to replace what is there. Defaults to False.

    Returns:
        The file or folder.

    Raises:
        UserError: The format is unknown, or a file exists.
    """
    out = Path(out)
    check_output(out, overwrite=overwrite)
    check_outside(run.path, out)
    embeddings, items = run.embeddings, run.items
    n, width = embeddings.shape

    def parts() -> Iterator[Part]:
        for start in range(0, n, EXPORTED_ROWS):
            block = np.asarray(embeddings[start : start + EXPORTED_ROWS])
            rows = np.arange(start, start + len(block))
            yield Part(rows, block, np.empty((0, *block.shape), np.float32))

    columns = {"path": items["path"].tolist(), "label": items["label"].astype(str).tolist()}
    columns["label_name"] = items["label_name"].tolist()
    if set(items["role"]) != {"both"}:
        columns["role"] = items["role"].tolist()
    kept = arrow_columns(columns, items[metadata_columns(items)])
    output = Output(parts, kept, n, width, ["mean"], source=source)
    with output_lock(out):
        if is_folder_output(out):
            pieces, total = Parts.of(out), 0
            pieces.begin({"run": str(run.path.resolve())}, restart=True)
            for part in parts():
                pieces.save(total, part)
                total += 1
            publish_folder(out, pieces, total, output)
        else:
            write_output(out, output)
    return out


def check_outside(run: Path, out: Path) -> None:
    """Refuse to write a file into the folder of a run, which is a whole of its own.

    Raises:
        UserError: The file would lie there.
    """
    if out.resolve().is_relative_to(run.resolve()):
        raise UserError(f"{out} would lie in the run {run}: choose another --out")


def _has_views(output: Output) -> bool:
    return len(output.views) > 1


def _write_hdf5(path: Path, output: Output) -> None:
    """Write the layout of the original baseline, see :mod:`retrieval.runs.embedding_files`."""
    with h5py.File(path, "w") as file:
        emb = file.create_dataset("emb", (output.n, output.width), np.float32)
        shape = (len(output.views), output.n, output.width)
        each = file.create_dataset("emb_aug", shape, np.float32) if _has_views(output) else None
        file["augmentation_types"] = np.array(output.views, "S")
        if output.source is not None:
            file.attrs[KEY] = output.source.to_json()
        start = 0
        for part in output.parts():
            stop = start + len(part.rows)
            emb[start:stop] = part.embeddings
            if each is not None:
                each[:, start:stop] = part.views
            start = stop


def _write_npy(path: Path, output: Output) -> None:
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (output.n, output.width)}
        np.lib.format.write_array_header_1_0(file, header)
        for part in output.parts():
            file.write(np.ascontiguousarray(part.embeddings, "<f4").data)


def _write_parquet(path: Path, output: Output) -> None:
    kind = pa.list_(pa.float32(), output.width)
    fields = [*((name, values.type) for name, values in output.columns.items()), (VECTORS, kind)]
    metadata = None if output.source is None else {KEY: output.source.to_json()}
    with pq.ParquetWriter(path, pa.schema(fields, metadata)) as file:
        for part in output.parts():
            values = pa.array(np.ravel(part.embeddings), pa.float32())
            vectors = pa.FixedSizeListArray.from_arrays(values, output.width)
            file.write_table(pa.table({**output.rows_of(part), VECTORS: vectors}, file.schema))


def _as_rows(columns: Mapping[str, pa.Array]) -> Iterator[tuple[object, ...]]:
    return zip(*(values.to_pylist() for values in columns.values()), strict=True)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


WRITERS: dict[str, Callable[[Path, Output], None]] = {
    **dict.fromkeys(HDF5, _write_hdf5),
    ".npy": _write_npy,
    ".parquet": _write_parquet,
}

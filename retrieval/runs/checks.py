"""Check a run folder when it is opened, so that no reader needs to check it again.

One damaged folder must not break a page that lists many runs, so everything that is wrong with a
folder is found here and reported in one line.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from retrieval.errors import UserError
from retrieval.files import digest
from retrieval.runs.neighbors import FILE
from retrieval.runs.run import REMEDIES, REQUIRED_COLUMNS, Run


def check_run(run: Run) -> None:
    """Check that a run folder is complete and consistent.

    The neighbors are not read: see :func:`check_neighbors`.

    Args:
        run: A run whose folder exists.

    Raises:
        UserError: The schema is newer, a file is missing or damaged, or row counts differ.
    """
    for name, advice in REMEDIES.items():
        with reading(run.path / name) as file:
            if not file.exists():
                raise UserError(f"{run.path}: {name} is missing; {advice}")
            if name == "config.yaml":  # before the others: a newer schema may have other files
                _ = run.settings
    with reading(run.path / "metrics.json") as file:
        _ = run.results
    with reading(run.path / "items.parquet") as file:
        _check_items(file, run.items)
    with reading(run.path / "embeddings.npy") as file:
        shape, dtype = run.embeddings.shape, run.embeddings.dtype
        if len(shape) != 2 or dtype.kind != "f":
            raise UserError(f"{file}: must be float (n, d), not {dtype} {shape}")
    if len(run.items) != shape[0]:
        raise UserError(f"{run.path}: {len(run.items)} items but {shape[0]} embeddings")
    for name, recorded in run.computed_from.items():
        with reading(run.path / name) as file:
            if digest(file) != recorded:
                raise UserError(
                    f"{file}: not the file that metrics.json was computed from; compute it again "
                    f"with `retrieval evaluate {run.path}`"
                )


def check_neighbors(run: Run) -> None:
    """Check the neighbors under every protocol.

    This reads every neighbor, so only the app does it, which shows all runs.

    Args:
        run: A run that :func:`check_run` accepted.

    Raises:
        UserError: Neighbors are missing, cannot be read or refer to rows that do not exist.
    """
    with reading(run.path / FILE) as file:
        for protocol in run.results:
            if not run.neighbors(protocol).fits(len(run.items)):
                raise UserError(f"{file}: {protocol!r} does not fit items.parquet")


@contextlib.contextmanager
def reading(file: Path) -> Iterator[Path]:
    """Turn any error of the block into one line that names the file.

    Args:
        file: The file that the block reads.

    Yields:
        The file.

    Raises:
        UserError: The block failed.
    """
    try:
        yield file
    except UserError:
        raise
    except Exception as error:  # a damaged file may raise anything
        detail = " ".join(str(error).split())[:200]
        raise UserError(f"{file}: damaged ({type(error).__name__}: {detail})") from error


def _check_items(where: Path, items: pd.DataFrame) -> None:
    missing = sorted(set(REQUIRED_COLUMNS) - set(items.columns))
    if missing:
        raise UserError(f"{where}: lacks {', '.join(missing)}")
    if not np.issubdtype(items["label"].to_numpy().dtype, np.integer):
        raise UserError(f"{where}: labels must be whole numbers, not {items['label'].dtype}")

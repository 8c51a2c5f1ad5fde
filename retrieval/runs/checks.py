"""Check a run folder when it is opened, so that no reader needs to check it again.

One damaged folder must not break a page that lists many runs, so everything that is wrong with a
folder is found here and reported in one line.
"""

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from retrieval.datasets.catalog import ROLES
from retrieval.errors import UserError
from retrieval.files import digest
from retrieval.runs.neighbors import FILE
from retrieval.runs.run import EMBEDDINGS_FILE, REQUIRED_COLUMNS, REQUIRED_FILES, Run, remedy
from retrieval.settings.schema import UNTRAINED


class NotARun(UserError):
    """A folder has none of the files of a run."""


class NotEvaluated(UserError):
    """A run was trained with ``--no-evaluate``, and nothing is missing but its evaluation."""


def check_run(run: Run) -> None:
    """Check that a run folder is complete and consistent.

    The neighbors are not read: see :func:`check_neighbors`.

    Args:
        run: A run whose folder exists.

    Raises:
        NotEvaluated: Only the evaluation is missing.
        UserError: The schema is newer, a file is missing or damaged, or row counts differ.
    """
    for name in REQUIRED_FILES:
        with _mendable(run.path, name) as file:
            if name == EMBEDDINGS_FILE and not run.has_embeddings:
                continue
            if run.is_away(name):
                continue
            if not file.exists():
                if not any((run.path / other).exists() for other in REQUIRED_FILES):
                    raise NotARun(f"{run.path}: not a run; give a folder such as runs/DATASET/NAME")
                if _is_only_trained(run):
                    raise NotEvaluated(
                        f"{run.path}: trained, and not evaluated yet: `retrieval embed "
                        f"{shlex.quote(str(run.path))}` embeds its test images and evaluates them"
                    )
                raise UserError(f"{run.path}: {name} is missing")
            if not file.is_file():  # a pipe would be waited for
                raise UserError(f"{file}: damaged, not a file")
            if name == "config.yaml":  # before the others: a newer schema may have other files
                _ = run.settings
    with _mendable(run.path, "metrics.json"):
        _ = run.results
    with _mendable(run.path, "items.parquet") as file:
        _check_items(file, run.items)
    if run.has_embeddings and not run.is_away(EMBEDDINGS_FILE):
        with _mendable(run.path, EMBEDDINGS_FILE) as file:
            shape, dtype = run.embeddings.shape, run.embeddings.dtype
            if len(shape) != 2 or dtype.kind != "f":
                raise UserError(f"{file}: must be float (n, d), not {dtype} {shape}")
        if len(run.items) != shape[0]:
            raise UserError(f"{run.path}: {len(run.items)} items but {shape[0]} embeddings")
    for name, recorded in run.computed_from.items():
        if run.is_away(name):  # its digest was checked when it was published
            continue
        with reading(run.path / name) as file:
            if digest(file) != recorded:
                raise UserError(
                    f"{file}: not the file that metrics.json was computed from; "
                    f"{remedy(run.path, 'metrics.json')}"
                )


def _is_only_trained(run: Run) -> bool:
    """Tell whether a run has its network and none of the files that an evaluation makes."""
    if run.settings is None or any((run.path / each).exists() for each in REQUIRED_FILES[1:]):
        return False
    return run.settings.loss == UNTRAINED or (run.path / "checkpoints").is_dir()


def check_neighbors(run: Run) -> None:
    """Check the neighbors under every protocol.

    This reads every neighbor, so only the app does it, which shows all runs.

    Args:
        run: A run that :func:`check_run` accepted.

    Raises:
        UserError: Neighbors are missing, cannot be read or refer to rows that do not exist.
    """
    with _mendable(run.path, FILE) as file:
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


@contextlib.contextmanager
def _mendable(path: Path, name: str) -> Iterator[Path]:
    """Like :func:`reading`, for a required file of a run: the line ends with what mends it."""
    try:
        with reading(path / name) as file:
            yield file
    except (NotARun, NotEvaluated):
        raise
    except UserError as error:
        if "newer" in str(error):
            raise
        raise UserError(f"{error}; {remedy(path, name)}") from error


def _check_items(where: Path, items: pd.DataFrame) -> None:
    missing = sorted(set(REQUIRED_COLUMNS) - set(items.columns))
    if missing:
        raise UserError(f"{where}: lacks {', '.join(missing)}")
    if not np.issubdtype(items["label"].to_numpy().dtype, np.integer):
        raise UserError(f"{where}: labels must be whole numbers, not {items['label'].dtype}")
    wrong = ~items["role"].isin(ROLES).to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(
            f"{where}: row {row} has the role {items['role'].iloc[row]!r}; give {', '.join(ROLES)}"
        )

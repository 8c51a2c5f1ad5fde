"""What makes a run folder whole: every fact that is read from it is checked when it is opened.

One damaged folder must not take down a page that lists many, so all of ``config.yaml`` and
``metrics.json`` that anything relies on is checked here, and the reason said in one line.
"""

import contextlib
import reprlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from retrieval.errors import UserError
from retrieval.runs.run import ITEM_COLUMNS, MADE_BY, SCHEMA, Run

KINDS = {
    "a whole number": int,
    "a number": (int, float),
    "text": str,
    "a mapping": dict,
    "a list": list,
}


def check_run(run: Run) -> None:
    """Check that a run folder is whole and consistent; its neighbors are only looked for.

    Args:
        run: Of a folder that exists.

    Raises:
        UserError: The schema is newer, a file is missing or damaged, or row counts differ.
    """
    for name, advice in MADE_BY.items():
        with reading(run.path / name) as file:
            if not file.exists():
                raise UserError(f"{run.path}: {name} is missing; {advice}")
            if name == "config.yaml":  # before the others: a newer schema may have other files
                _check_schema(file, run.config)
                _check_config(file, run.config)
    with reading(run.path / "metrics.json") as file:
        _check_schema(file, run.metrics)
        _check_metrics(file, run.metrics)
        run.result()
    with reading(run.path / "items.parquet") as file:
        _check_items(file, run.items)
    with reading(run.path / "embeddings.npy") as file:
        shape, dtype = run.embeddings.shape, run.embeddings.dtype
        if len(shape) != 2 or dtype.kind != "f":
            raise UserError(f"{file}: must be float (n, d), not {dtype} {shape}")
    if len(run.items) != shape[0]:
        raise UserError(f"{run.path}: {len(run.items)} items but {shape[0]} embeddings")


@contextlib.contextmanager
def reading(file: Path) -> Iterator[Path]:
    """Turn whatever a damaged file raises in the block into one line that names the file.

    Args:
        file: The file that is read.

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


def _part(where: Path | str, holder: dict, key: str, what: str, *, optional: bool = True):
    """Return ``holder[key]`` after checking that it is ``what``, a key of ``KINDS``."""
    value = holder.get(key)
    if value is None:
        if optional:
            return None
        raise UserError(f"{where}: {key} is missing")
    if not isinstance(value, KINDS[what]) or isinstance(value, bool):
        raise UserError(f"{where}: {key} must be {what}, not {reprlib.repr(value)}")
    return value


def _check_schema(where: Path, content: object) -> None:
    if not isinstance(content, dict):
        raise UserError(f"{where}: damaged (not a mapping)")
    schema = _part(where, content, "schema", "a whole number", optional=False)
    if schema > SCHEMA:
        raise UserError(
            f"{where}: schema {schema} is newer than this version's {SCHEMA}; update the workbench"
        )


def _check_config(where: Path, config: dict) -> None:
    settings, provenance, dataset = (
        _part(where, config, key, "a mapping") or {}
        for key in ("settings", "provenance", "dataset")
    )
    if not all(isinstance(key, str) for key in settings):
        raise UserError(f"{where}: names of settings must be text")
    _part(where, settings, "loss", "text")
    _part(where, settings, "seed", "a whole number")
    _part(where, provenance, "seed", "a whole number")
    seconds = provenance.get("seconds")
    for part in seconds if isinstance(seconds, dict) else ():
        _part(f"{where}, seconds", seconds, part, "a number", optional=False)
    if not isinstance(seconds, dict):
        _part(where, provenance, "seconds", "a number")
    _part(where, dataset, "root", "text")
    _part(where, dataset, "n_train", "a whole number")


def _check_metrics(where: Path, metrics: dict) -> None:
    _part(where, metrics, "primary", "text", optional=False)
    results = _part(where, metrics, "results", "a list", optional=False)
    for number, entry in enumerate(results, 1):
        place = f"{where}, result {number}"
        if not isinstance(entry, dict):
            raise UserError(f"{place}: damaged (not a mapping)")
        protocol = _part(place, entry, "protocol", "a mapping", optional=False)
        for key in ("name", "title"):
            _part(place, protocol, key, "text", optional=False)
        for key in ("n_queries", "n_gallery", "n_classes"):
            _part(place, entry, key, "a whole number", optional=False)
        _part(place, entry, "geometry", "a mapping")
        values = _part(place, entry, "metrics", "a mapping", optional=False)
        for name in values:
            value = _part(place, values, name, "a mapping") or {}
            for side in ("value", "low", "high"):
                _part(f"{place}, {name}", value, side, "a number")


def _check_items(where: Path, items: pd.DataFrame) -> None:
    missing = sorted(set(ITEM_COLUMNS) - set(items.columns))
    if missing:
        raise UserError(f"{where}: lacks {', '.join(missing)}")
    if not np.issubdtype(items["label"].to_numpy().dtype, np.integer):
        raise UserError(f"{where}: labels must be whole numbers, not {items['label'].dtype}")

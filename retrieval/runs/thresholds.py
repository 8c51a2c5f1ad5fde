"""The error rates of thresholds of a run: ``thresholds.json``, written and read here only.

``retrieval evaluate`` does not write it, since comparing all pairs of a large run takes as long as
the search; ``retrieval thresholds`` does. A run without the file is complete.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.errors import UserError
from retrieval.evaluation.protocol import roles_or_none
from retrieval.evaluation.relevance import BY_CLASS, NO_LABELS, columns_in, columns_named
from retrieval.evaluation.thresholds import Thresholds, thresholds
from retrieval.files import write_json
from retrieval.runs.run import NO_EMBEDDINGS, Run
from retrieval.runs.store import changed_run, check_there, locked_run, open_run
from retrieval.validation import QUERY_GALLERY, base_protocol

FILE = "thresholds.json"
SCHEMA = 1
OF_FILES = ("embeddings.npy", "items.parquet")  # what the rates are computed from


def check_pairs(run: Run, protocol: str) -> None:
    """Check that a protocol asks whether two items are of one class.

    Args:
        run: The run.
        protocol: Name of the protocol.

    Raises:
        UserError: The run has no embeddings, or the protocol has its own rule of what is relevant,
            or its own lists of pairs to leave out, so that the rates of pairs would be those of
            something else.
    """
    if not run.has_embeddings:
        raise UserError(f"{run.path}: no pairs to compare: {NO_EMBEDDINGS}")
    made = run.result(protocol).protocol
    how = f"{run.path}: thresholds are for pairs of items and their classes"
    if made.exclusion:
        try:
            left_out = columns_in(made.exclusion)
        except UserError as error:
            raise UserError(f"{how}, but {protocol} leaves out {error}") from None
        for option, names in left_out.items():
            columns_named(option, names, run.items)
    if made.relevance == NO_LABELS:
        raise UserError(f"{how}, and the items have no labels")
    if made.relevance != BY_CLASS:
        raise UserError(f"{how}, but {protocol} has relevant items of its own ({made.relevance})")


def compute_thresholds(
    run: Run, protocol: str | None = None, *, progress: bool = True
) -> Thresholds:
    """Compare all pairs of a run under one protocol.

    Args:
        run: The run.
        protocol: Name of the protocol. Defaults to the primary one.
        progress: Whether to show the stage at work. Defaults to True.

    Returns:
        See :func:`retrieval.evaluation.thresholds.thresholds`.

    Raises:
        UserError: The run was not evaluated under that protocol, the protocol has no such
            pairs, see :func:`check_pairs`, or no pair, or every pair, is of one class.
    """
    protocol = protocol or run.primary
    check_pairs(run, protocol)
    made = run.result(protocol).protocol
    has_roles = base_protocol(protocol) == QUERY_GALLERY
    roles = run.items["role"].to_numpy(dtype=object) if has_roles else None
    names = columns_in(made.exclusion) if made.exclusion else {}
    left_out: dict[str, Any] = {
        option: columns_named(option, columns, run.items) for option, columns in names.items()
    }
    return thresholds(
        run.embeddings,
        run.items["label"].to_numpy(),
        None if roles is None else roles_or_none(roles),
        made.distance,
        **left_out,
        seed=made.seed,
        progress=progress,
    )


def n_pairs(run: Run, protocol: str) -> int:
    """Return how many pairs of a query and a gallery item a protocol has, roughly."""
    made = run.result(protocol).protocol
    return made.n_queries * made.n_gallery


def write_thresholds(path: Path | str, *, progress: bool = True) -> dict[str, Thresholds]:
    """Compute the error rates of a run, and write them to the run.

    They are those of each of its protocols that have them, see :func:`check_pairs`.

    Args:
        path: Folder of the run.
        progress: Whether to show the stage at work. Defaults to True.

    Returns:
        Title of a protocol -> rates, the primary protocol first.

    Raises:
        UserError: The run is damaged, another process changes it, there is nothing to compare, or
            no protocol has rates.
    """
    path = Path(path)
    check_there(path)
    with locked_run(path):
        run = open_run(path)
        found = {
            name: compute_thresholds(run, name, progress=progress) for name in _of_all_pairs(run)
        }
        content = {
            "schema": SCHEMA,
            "computed_from": _stamp(run),
            "results": {
                name: {"distance": run.result(name).protocol.distance, **rates.to_dict()}
                for name, rates in found.items()
            },
        }
        with changed_run(path) as folder:
            write_json(folder / FILE, content)
    return {run.protocol_titles[name]: rates for name, rates in found.items()}


def _of_all_pairs(run: Run) -> list[str]:
    """Return the protocols that have rates; raise the reason of the primary one if none do."""
    names, reasons = [], []
    for name in run.protocol_titles:
        try:
            check_pairs(run, name)
            names.append(name)
        except UserError as error:
            reasons.append(error)
    if not names:
        raise reasons[0]
    return names


def read_thresholds(run: Run, protocol: str) -> Thresholds | None:
    """Read the error rates of a run.

    Args:
        run: The run.
        protocol: Name of the protocol.

    Returns:
        The rates; None if they were not computed, or if the run or its distance has changed since,
        or the file is damaged: they are to be computed again.
    """
    try:
        content = json.loads((run.path / FILE).read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA or content["computed_from"] != _stamp(run):
            return None
        entry = content["results"][protocol]
        if entry["distance"] != run.result(protocol).protocol.distance:
            return None
        found = Thresholds.from_dict(entry)
        rows = found.examples[["query", "item"]].to_numpy()
        return found if np.all((rows >= 0) & (rows < len(run.items))) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _stamp(run: Run) -> dict[str, int]:
    return {name: run.computed_from[name] for name in OF_FILES if name in run.computed_from}

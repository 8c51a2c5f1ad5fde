"""Cached records of the fair tunings of a data set, and the tests of their losses."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from retrieval.errors import UserError
from retrieval.report.tuning import TunedLosses, tuned_losses
from retrieval.runs.run import Run
from retrieval.runs.tuning import FILE, Tuning, read_tuning, tunings_within
from workbench.data.loading import runs_root, stamp


def tunings_of(dataset: str) -> dict[str, Tuning | UserError]:
    """Return the tunings of a data set, the newest first.

    Args:
        dataset: Name of the data set.

    Returns:
        Name -> the record, or what is wrong with it.
    """
    folders = tunings_within(runs_root() / dataset)
    times = {path: _time(path) for path in folders}
    newest = sorted(folders, key=lambda path: (-times[path], path.name))
    return {path.name: _read(str(path), times[path]) for path in newest}


def _time(folder: Path) -> int:
    try:
        return (folder / FILE).stat().st_mtime_ns
    except OSError:  # removed at this moment
        return 0


@st.cache_resource(show_spinner=False, max_entries=32)
def _read(folder: str, changed: int) -> Tuning | UserError:
    try:
        return read_tuning(Path(folder))
    except UserError as error:
        return error


def losses_tested(
    tuning: Tuning, runs: Mapping[str, Run], protocol: str, metric: str
) -> TunedLosses | UserError:
    """Return the tuned losses beside the recommended ones on the test split, or why not.

    Args:
        tuning: A finished record.
        runs: Name -> run of the data set.
        protocol: Name of the protocol.
        metric: Name of the metric.
    """
    used = {name: runs[name] for name in tuning.run_names if name in runs}
    key = tuple((str(run.path), stamp(run.path)) for run in used.values())
    return _tested(tuning, used, protocol, metric, (tuning.digest, key))


@st.cache_resource(show_spinner="Comparing tuned with recommended settings …", max_entries=32)
def _tested(
    _tuning: Tuning, _runs: Mapping[str, Run], protocol: str, metric: str, key: tuple
) -> TunedLosses | UserError:
    try:
        return tuned_losses(_tuning, _runs, protocol, metric)
    except UserError as error:
        return error

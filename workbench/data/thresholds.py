"""Error rates of a run's thresholds: read from the run, or computed where that takes a moment."""

import streamlit as st

from retrieval.errors import UserError
from retrieval.evaluation.thresholds import Thresholds
from retrieval.runs.run import Run
from retrieval.runs.thresholds import (
    FILE,
    check_pairs,
    compute_thresholds,
    n_pairs,
    read_thresholds,
)
from workbench.data.loading import stamp

MOST_PAIRS = 50_000_000  # compared in a few seconds


def thresholds_of(run: Run, protocol: str) -> Thresholds | UserError | None:
    """Return the rates under one protocol.

    Args:
        run: The run.
        protocol: Name of the protocol.

    Returns:
        The rates; the error, if the pairs allow none; None if the run does not hold them and has
        too many pairs to compare now.
    """
    try:
        written = (run.path / FILE).stat().st_mtime_ns
    except OSError:
        written = 0
    return _thresholds(run, protocol, str(run.path), (*stamp(run.path), written))


@st.cache_resource(show_spinner="Comparing all pairs …", max_entries=16)
def _thresholds(
    _run: Run, protocol: str, path: str, stamp: tuple[int, ...]
) -> Thresholds | UserError | None:
    try:
        check_pairs(_run, protocol)
        found = read_thresholds(_run, protocol)
        if found is not None or n_pairs(_run, protocol) > MOST_PAIRS:
            return found
        return compute_thresholds(_run, protocol, progress=False)
    except UserError as error:
        return error

"""Cached slices of the queries of a run: their columns, and the figures of losses in them."""

from collections.abc import Mapping, Sequence

import streamlit as st

from retrieval.errors import UserError
from retrieval.evaluation.binning import Groups
from retrieval.evaluation.slices import Sliced
from retrieval.report.slices import slice_losses
from retrieval.runs.columns import column_groups, columns_to_slice
from retrieval.runs.run import Run
from workbench.data.loading import stamp


def columns_of(run: Run, protocol: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the columns to slice by and those that cannot be, see :func:`columns_to_slice`."""
    return _columns(run, protocol, str(run.path), stamp(run.path))


@st.cache_resource(show_spinner=False, max_entries=32)
def _columns(
    _run: Run, protocol: str, path: str, stamp: tuple[int, ...]
) -> tuple[dict[str, str], dict[str, str]]:
    return columns_to_slice(_run, protocol)


def groups_of_column(run: Run, by: str, protocol: str, bins: int | None) -> Groups | UserError:
    """Return the slices of a run's queries by a column, or why there are none."""
    return _groups(run, by, protocol, bins, str(run.path), stamp(run.path))


@st.cache_resource(show_spinner="Reading the column …", max_entries=64)
def _groups(
    _run: Run, by: str, protocol: str, bins: int | None, path: str, stamp: tuple[int, ...]
) -> Groups | UserError:
    try:
        return column_groups(_run, by, protocol, bins)
    except UserError as error:
        return error


def sliced_losses(
    groups: Mapping[str, Sequence[Run]], cut: Groups, protocol: str, metric: str, bins: int | None
) -> Sliced | UserError:
    """Return the figures of one loss or two in slices, or why there are none.

    Args:
        groups: Title of a loss -> its runs.
        cut: The slices.
        protocol: Name of the protocol.
        metric: Name of the metric.
        bins: Number of bins that the slices were cut with; None for the default.
    """
    key = tuple(
        (title, tuple((str(run.path), stamp(run.path)) for run in runs))
        for title, runs in groups.items()
    )
    return _sliced(groups, cut, protocol, metric, (cut.column, bins), key)


@st.cache_resource(show_spinner="Comparing the slices …", max_entries=64)
def _sliced(
    _groups: Mapping[str, Sequence[Run]],
    _cut: Groups,
    protocol: str,
    metric: str,
    column: tuple,
    key: tuple,
) -> Sliced | UserError:
    try:
        return slice_losses(_groups, _cut, protocol, metric)
    except UserError as error:
        return error

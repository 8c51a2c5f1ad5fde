"""Cached smaller forms of the embeddings of losses."""

from collections.abc import Mapping, Sequence

import streamlit as st

from retrieval.errors import UserError
from retrieval.report.compression import LossForms, Nested, forms_of, nested_of
from retrieval.runs.run import Run
from workbench.data.loading import stamp


def loss_forms(
    title: str, runs: Sequence[Run], protocol: str, metric: str
) -> LossForms | UserError:
    """Return the smaller forms of a loss, or why there are none.

    Args:
        title: Title of the loss.
        runs: Its runs, one per seed.
        protocol: Name of the protocol.
        metric: Name of the metric.
    """
    return _forms(title, runs, protocol, metric, _key(runs))


@st.cache_resource(show_spinner="Comparing the forms of the embedding …", max_entries=128)
def _forms(
    title: str, _runs: Sequence[Run], protocol: str, metric: str, key: tuple
) -> LossForms | UserError:
    try:
        return forms_of(title, _runs, protocol, metric)
    except UserError as error:
        return error


def nested_forms(
    groups: Mapping[str, Sequence[Run]], plain: str, nested: str, protocol: str, metric: str
) -> Nested | UserError:
    """Return a loss at several widths beside the same loss at its full width only, or why not.

    Args:
        groups: Title of a loss -> its runs, one per seed.
        plain: Title of the loss at its full width only.
        nested: Title of the loss at several widths.
        protocol: Name of the protocol.
        metric: Name of the metric.
    """
    key = (_key(groups[plain]), _key(groups[nested]))
    return _nested(groups, plain, nested, protocol, metric, key)


@st.cache_resource(show_spinner="Comparing the widths …", max_entries=64)
def _nested(
    _groups: Mapping[str, Sequence[Run]],
    plain: str,
    nested: str,
    protocol: str,
    metric: str,
    key: tuple,
) -> Nested | UserError:
    try:
        return nested_of(_groups, plain, nested, protocol, metric)
    except UserError as error:
        return error


def _key(runs: Sequence[Run]) -> tuple:
    return tuple((str(run.path), stamp(run.path)) for run in runs)

"""The context line of a page: data set, split, protocol, sizes, distance and runs."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from retrieval.datasets.official import PLACEHOLDER_WARNING
from retrieval.runs.run import Run
from retrieval.validation import LEAVE_ONE_OUT, base_protocol
from workbench.analysis.naming import seed_of
from workbench.data.loading import stamp
from workbench.session.selection import Selection

MOST_NAMED = 3  # runs; more are only counted


def data_facts(selection: Selection) -> list[str]:
    """Name the data set, and say if it is a synthetic placeholder or lacks unreadable images.

    Args:
        selection: The choices made in the sidebar.

    Returns:
        Plain texts, the name first.
    """
    data = selection.a.dataset_config
    notes = [PLACEHOLDER_WARNING if data.is_placeholder else "", data.skipped_note]
    return [selection.dataset, *filter(None, notes)]


def context_facts(selection: Selection) -> list[str]:
    """Name data set, split, protocol, sizes and distance.

    Args:
        selection: The choices made in the sidebar.

    Returns:
        Plain texts, the name of the data set first.
    """
    result = selection.a.result(selection.protocol)
    protocol = result.protocol
    known = selection.a.knows_relevant(selection.protocol)
    sizes = f"{result.n_scored if known else protocol.n_queries:,} queries"
    if base_protocol(protocol.name) == LEAVE_ONE_OUT:
        sizes += ", each against all others"
    else:
        sizes += f" against {protocol.n_gallery:,} gallery items"
    sizes += excluded_note(result.n_excluded) if known else ", none scored: no labels"
    return [
        *data_facts(selection),
        f"{result.split} split",
        selection.protocol_title,
        sizes,
        _classes(selection, protocol.n_classes),
        protocol.measure,
    ]


def excluded_note(n: int) -> str:
    """Say how many more queries there are that count in no mean.

    Args:
        n: Number of queries that are excluded from every mean.

    Returns:
        A note to follow a number of queries, beginning with a space; empty if none is excluded.
    """
    return f" ({n:,} more excluded: no relevant item in the gallery)" if n else ""


def runs_fact(runs: Sequence[Run]) -> str:
    """Name up to three runs with their seeds, or count more.

    Args:
        runs: At least one run.

    Returns:
        Plain text.
    """
    if len(runs) > MOST_NAMED:
        seeds = sorted({seed for run in runs if (seed := seed_of(run)) is not None})
        word = "seed" if len(seeds) == 1 else "seeds"
        return f"{len(runs)} runs" + (f", {word} {', '.join(map(str, seeds))}" if seeds else "")
    named = (run.name + ("" if seed_of(run) is None else f", seed {seed_of(run)}") for run in runs)
    return ("run " if len(runs) == 1 else "runs ") + "; ".join(named)


def _classes(selection: Selection, n_classes: int) -> str:
    """Count the classes and, if they are fewer, those with a scored query."""
    if selection.a.result(selection.protocol).protocol.unit == "query":
        return "no classes"
    path, times = str(selection.a.path), stamp(selection.a.path)
    scored = _scored_classes(selection, path, selection.protocol, times)
    with_query = "" if scored == n_classes else f" ({scored:,} with a scored query)"
    return f"{n_classes:,} classes{with_query}"


@st.cache_resource(show_spinner=False, max_entries=256)
def _scored_classes(_selection: Selection, path: str, protocol: str, times: tuple[int, ...]) -> int:
    found = _selection.neighbors
    queries = found.queries
    if _selection.a.result(protocol).protocol.no_positive != "zero":
        queries = queries[found.first_relevant_rank > 0]
    return len(np.unique(_selection.a.items["label"].to_numpy()[queries]))

"""What numbers are about: data set, split, protocol, sizes, distance, runs and seeds."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from retrieval.runs.run import Run
from workbench.analysis.naming import is_stand_in, seed_of
from workbench.data.loading import stamp
from workbench.session.selection import Selection

STAND_IN = "stand-in data, not the published data set"
NAMED = 3  # runs; more are counted


def data_facts(selection: Selection) -> list[str]:
    """Name the data set, and say if it is a stand-in, in plain texts."""
    return [selection.dataset, *([STAND_IN] if is_stand_in(selection.a) else [])]


def context_facts(selection: Selection) -> list[str]:
    """Say data set, split, protocol, sizes and distance.

    Args:
        selection: What is being looked at.

    Returns:
        Plain texts; the data set's name first.
    """
    result = selection.a.result(selection.protocol)
    protocol = result.protocol
    sizes = f"{result.n_scored:,} queries"
    if protocol.name == "leave_one_out":
        sizes += ", each against all others"
    else:
        sizes += f" against {protocol.n_gallery:,} gallery items"
    if result.n_excluded:
        sizes += f" ({result.n_excluded:,} more left out: no item of their class to find)"
    return [
        *data_facts(selection),
        f"{result.split} split",
        selection.protocol_title,
        sizes,
        _classes(selection, protocol.n_classes),
        f"{protocol.distance} distance",
    ]


def runs_fact(runs: Sequence[Run]) -> str:
    """Name a few runs with their seeds, or count many.

    Args:
        runs: At least one.

    Returns:
        Plain text.
    """
    if len(runs) > NAMED:
        seeds = sorted({seed_of(run) for run in runs} - {None})
        word = "seed" if len(seeds) == 1 else "seeds"
        return f"{len(runs)} runs" + (f", {word} {', '.join(map(str, seeds))}" if seeds else "")
    named = (run.name + ("" if seed_of(run) is None else f", seed {seed_of(run)}") for run in runs)
    return ("run " if len(runs) == 1 else "runs ") + "; ".join(named)


def _classes(selection: Selection, n_classes: int) -> str:
    """Count the classes, and apart those of scored queries: what tables and tests count."""
    path, times = str(selection.a.path), stamp(selection.a.path)
    scored = _scored_classes(selection, path, selection.protocol, times)
    with_query = "" if scored == n_classes else f" ({scored:,} with a scored query)"
    return f"{n_classes:,} classes{with_query}"


@st.cache_data(show_spinner=False, max_entries=256)
def _scored_classes(_selection: Selection, path: str, protocol: str, times: tuple[int, ...]) -> int:
    found = _selection.neighbors
    queries = found.queries
    if _selection.a.result(protocol).protocol.no_positive != "zero":
        queries = queries[found.first_hit > 0]
    return len(np.unique(_selection.a.items["label"].to_numpy()[queries]))

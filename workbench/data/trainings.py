"""Trainings that are not finished, read anew whenever a page is drawn."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from retrieval.runs.live import Training, finished_names, history_of, list_trainings, saved_history
from retrieval.runs.places import partial_path
from retrieval.storage.addresses import address_of
from workbench.data.following import EVERY as FOLLOWED_EVERY
from workbench.data.following import follow
from workbench.data.loading import runs_root

EVERY = 2.0  # seconds between two looks while a training goes on


@dataclass(frozen=True)
class Scene:
    """What there is under the folder of runs, as far as the app must notice a change of it.

    Attributes:
        finished: Names of the finished runs; see :func:`retrieval.runs.live.finished_names`.
        trainings: Whether there are any trainings.
        is_alive: Whether any of them may change by itself.
    """

    finished: frozenset[str]
    trainings: bool
    is_alive: bool


def trainings() -> list[Training]:
    """Return the trainings under :func:`workbench.data.loading.runs_root` that are not finished."""
    follow(runs_root())
    return list_trainings(runs_root())


def scene(found: list[Training]) -> Scene:
    """Return what the app must notice a change of.

    Args:
        found: See :func:`trainings`.
    """
    return Scene(finished_names(runs_root()), bool(found), any(each.is_alive for each in found))


def looks_every(found: list[Training]) -> float | None:
    """Return after how many seconds to look again; None if nothing can change by itself.

    Args:
        found: See :func:`trainings`.
    """
    if address_of(runs_root()) is not None:
        return FOLLOWED_EVERY
    return EVERY if any(each.is_alive for each in found) else None


def training_history(training: Training) -> pd.DataFrame:
    """Return the history of a training so far; what is saved is read once per checkpoint.

    Args:
        training: The training.

    Returns:
        See :func:`retrieval.runs.live.history_of`.
    """
    try:
        status = (partial_path(training.path) / "history.csv").stat()
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
    except OSError:
        stamp = (0, 0, 0)
    return history_of(training, _saved(str(training.path), stamp))


@st.cache_resource(show_spinner=False, max_entries=64)
def _saved(path: str, stamp: tuple[int, ...]) -> pd.DataFrame:
    return saved_history(Path(path))

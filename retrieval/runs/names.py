"""Names of runs, which are names of folders."""

import os

from retrieval.errors import UserError
from retrieval.settings.schema import UNTRAINED, TrainSettings

LONGEST_NAME = 200  # bytes: file systems take 255, and a run in the making has a longer name


def default_name(settings: TrainSettings) -> str:
    """Return ``<loss>`` (``untrained`` for none), with ``-seed<n>`` if the seed is not 0."""
    base = "untrained" if settings.loss == UNTRAINED else settings.loss
    return base if settings.seed == 0 else f"{base}-seed{settings.seed}"


def check_run_name(name: str) -> str:
    """Return the name if it can be a folder's name that is not hidden.

    Raises:
        UserError: It cannot.
    """
    if not name.strip() or name.startswith(".") or "/" in name or "\\" in name:
        raise UserError(f"run name {name!r}: give a name without slashes or a leading dot")
    if (size := len(os.fsencode(name))) > LONGEST_NAME:
        raise UserError(
            f"run name {name[:40]!r}... is {size} bytes long: give {LONGEST_NAME} at most"
        )
    return name

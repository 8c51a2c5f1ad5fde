"""Where a run lies: its folder, and the hidden siblings in which it is made and changed."""

from pathlib import Path

NOTES_FILE = "notes.csv"  # what people wrote about single items in the app
LIVE_FILE = "live.json"  # what a training says about itself, in its partial folder


def old_path(path: Path) -> Path:
    """Return the hidden sibling that a run is called while it is replaced.

    Args:
        path: The run's final folder.
    """
    return _sibling(path, "old")


def next_path(path: Path) -> Path:
    """Return the hidden sibling in which a finished run is changed.

    Args:
        path: The run's final folder.
    """
    return _sibling(path, "next")


def final_path(folder: Path) -> Path:
    """Return the final folder of a run, given that folder or one of its hidden siblings."""
    name = folder.name
    for suffix in (".partial", ".next", ".old"):
        if name.startswith(".") and name.endswith(suffix):
            return folder.parent / name[1:].removesuffix(suffix)
    return folder


def partial_path(path: Path) -> Path:
    """Return the hidden sibling that a run is written to until it is complete.

    Args:
        path: The run's final folder.
    """
    return _sibling(path, "partial")


def notes_lock_path(path: Path) -> Path:
    """Return the lock file for the notes on a run.

    Args:
        path: The run's final folder.
    """
    return _sibling(path, "notes.lock")


def state_path(path: Path) -> Path:
    """Return the file that says what of a run at a URL is on this machine.

    Args:
        path: The folder of this machine that stands for the run.
    """
    return _sibling(path, "remote.json")


def turn_path(path: Path) -> Path:
    """Return the lock file of those who bring a run from its URL up to date.

    Args:
        path: The folder of this machine that stands for the run.
    """
    return _sibling(path, "turn.lock")


def arriving_path(folder: Path) -> Path:
    """Return the hidden sibling in which the files of a folder are collected from a URL.

    Args:
        folder: The run's final folder, or its partial one.
    """
    return _sibling(folder, "arriving")


def leaving_path(folder: Path) -> Path:
    """Return the hidden sibling for a folder that is replaced, or of which a copy is sent.

    Args:
        folder: The run's final folder, or its partial one.
    """
    return _sibling(folder, "leaving")


def _sibling(path: Path, suffix: str) -> Path:
    """Return a hidden sibling of a folder, which may be hidden itself."""
    return path.parent / f".{path.name.removeprefix('.')}.{suffix}"

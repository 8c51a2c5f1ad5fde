"""Are the files there? One directory listing per folder instead of a stat call per file."""

import os
from collections.abc import Sequence
from pathlib import Path

from retrieval.errors import UserError


def missing_files(root: Path, paths: Sequence[str]) -> list[int]:
    """Return the positions of paths (POSIX, relative to ``root``) that name no file."""
    listings: dict[str, set[str]] = {}
    missing = []
    for position, path in enumerate(paths):
        folder, _, name = path.rpartition("/")
        if folder not in listings:
            try:
                listings[folder] = {e.name for e in os.scandir(root / folder) if e.is_file()}
            except OSError:
                listings[folder] = set()
        if name not in listings[folder]:
            missing.append(position)
    return missing


def check_files(root: Path, paths: Sequence[str]) -> None:
    """Refuse a catalogue with missing files.

    Raises:
        UserError: Says how many are missing, and the first.
    """
    missing = missing_files(root, paths)
    if missing:
        raise UserError(
            f"{root}: {len(missing):,} of {len(paths):,} files missing, first: {paths[missing[0]]}"
        )


def check_class_sizes(labels: Sequence[str], source: object) -> None:
    """Refuse classes with a single image: they have no positive pair.

    Args:
        labels: The class of each item.
        source: The folder or file at fault, for the message.

    Raises:
        UserError: Names the first such class.
    """
    counts: dict[str, int] = {}
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
    single = [label for label, count in counts.items() if count == 1]
    if single:
        raise UserError(
            f"{source}: {len(single)} classes have one image only (first: "
            f"{single[0]!r}), which gives no positive pair; add images or remove them"
        )

"""Atomic writes, and the cache folder of what can be computed again.

Writes are atomic so that a reader sees the old file or the new one, never half of one.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Provide a temporary path to write to, which is renamed to ``path`` if the block succeeds.

    Args:
        path: The file to create or replace.

    Yields:
        A temporary path in the same folder and with the same suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a temporary sibling folder to fill; rename it to ``path`` if the block succeeds.

    Args:
        path: The folder to create. It must not exist, or be empty, when the block ends.

    Yields:
        An empty folder with a hidden name beside ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        temporary.chmod(0o755)
        yield temporary
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, atomically and indented. NaN is refused, as JSON has none."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def cache_folder(kind: str) -> Path:
    """Return the folder of one kind of cached files, which need not exist.

    Args:
        kind: Name of the subfolder, e.g. ``thumbnails`` or ``features``.

    Returns:
        ``$RETRIEVAL_CACHE/<kind>``, or ``data/.cache/<kind>`` if the variable is not set.
    """
    return Path(os.environ.get("RETRIEVAL_CACHE", "data/.cache")) / kind


def fingerprint(*parts: object) -> str:
    """Return a hash of values for use as a cache key: 16 hexadecimal digits, stable across runs.

    Args:
        *parts: Values that JSON can represent; others are represented by their ``str``.
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

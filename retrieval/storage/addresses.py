"""URLs of runs, such as ``s3://bucket/folder``, and the local folders that stand for them.

Every command works on a folder of this machine. That of ``s3://bucket/runs/birds/one`` is
``$RETRIEVAL_CACHE/remote/s3/bucket/runs/birds/one``: either name follows from the other, so that a
path says by itself where it is published.
"""

import os
import re
from pathlib import Path

from retrieval.errors import UserError
from retrieval.files import cache_folder

KIND = "remote"  # subfolder of the cache
ENDPOINT = "AWS_ENDPOINT_URL"  # two servers may have buckets of one name
# A `Path` of a URL has lost one of its slashes. A single letter is a drive of Windows.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.IGNORECASE | re.DOTALL)


def is_url(text: str | Path) -> bool:
    """Tell whether a text, or a path made of it, is a URL.

    >>> is_url("s3://bucket/runs"), is_url("runs/s3"), is_url("C:/runs")
    (True, False, False)
    """
    return _URL.fullmatch(str(text)) is not None


def located(text: str | Path) -> Path:
    """Return the folder of this machine that a path or URL stands for; nothing is downloaded.

    Args:
        text: A path, or a URL such as ``s3://bucket/folder``; ``file://`` URLs are paths.

    Raises:
        UserError: The URL has a ``..`` in it, or names nothing.
    """
    found = _URL.fullmatch(str(text))
    if found is None:
        return Path(text)
    protocol, rest = found[1].lower(), found[2].strip("/")
    if protocol in ("file", "local"):
        return Path("/", rest)
    parts = [part for part in rest.split("/") if part]
    if not parts or any(part in (".", "..") for part in parts):
        raise UserError(f"{text}: give a URL such as s3://BUCKET/FOLDER")
    return cache_folder(KIND) / (protocol + _server(protocol)) / Path(*parts)


def address_of(path: Path) -> str | None:
    """Return the URL that a folder of this machine stands for; None if it is a plain folder.

    Args:
        path: A path, as :func:`located` returns it or below that.
    """
    for base in _bases():
        if path.is_relative_to(base):
            protocol, *parts = path.relative_to(base).parts or ("",)
            return f"{protocol.partition('@')[0]}://{'/'.join(parts)}" if parts else None
    return None


def shown(path: Path) -> str:
    """Return the name of a folder for a user: its URL, or its path."""
    return address_of(path) or str(path)


def in_urls(text: str) -> str:
    """Return a text in which the folders of this machine that stand for URLs are these URLs."""
    for base in _bases():
        pattern = re.escape(str(base)) + r"/([a-z0-9+.-]+)(?:@[\w.-]+)?/"
        text = re.sub(pattern, r"\1://", text)
    return text


def _bases() -> list[Path]:
    """Return the names that the folder of all copies goes by."""
    base = cache_folder(KIND)
    # The longest first: a relative name is part of the absolute one.
    return sorted({base, base.absolute(), base.resolve()}, key=lambda path: -len(str(path)))


def _server(protocol: str) -> str:
    endpoint = os.environ.get(ENDPOINT, "") if protocol.startswith("s3") else ""
    name = re.sub(r"[^\w.-]+", "-", endpoint.partition("://")[2] or endpoint).strip("-")
    return f"@{name}" if name else ""

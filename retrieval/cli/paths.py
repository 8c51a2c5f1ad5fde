"""Find the runs that a path on the command line stands for."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from retrieval.errors import UserError, counted
from retrieval.runs.mirrors import pull, refresh
from retrieval.runs.store import run_folders
from retrieval.storage.addresses import in_urls, is_url, located, shown

RUNS = "RETRIEVAL_RUNS"  # variable that names the folder of runs
Runs = Annotated[
    Path,
    typer.Option(
        help="Folder of runs, or its URL, e.g. s3://bucket/runs.",
        envvar=RUNS,
        parser=located,
        metavar="PATH|URL",
    ),
]
RunPath = Annotated[
    Path,
    typer.Argument(
        help="A run's folder, e.g. runs/grocery/npairs_loss, or its URL.",
        parser=located,
        metavar="RUN",
    ),
]
Gallery = Annotated[
    Path | None,
    typer.Option(
        help="What is searched: a run, vectors that `retrieval embed` has written, or an index of "
        "`retrieval index`. Defaults to the items of the run, its test split.",
        parser=located,
        metavar="PATH|URL",
    ),
]
ImageRoot = Annotated[
    Path | None,
    typer.Option(
        help="Folder that the gallery's pictures are in; no file outside of it is shown. Defaults "
        "to the folder that the gallery records."
    ),
]
CONFIG = "config.yaml"  # every run has one


def runs_at(path: Path) -> list[Path]:
    """Return the runs that a path stands for: a run itself, or the runs in a folder of runs.

    Args:
        path: A run's folder ``runs/DATASET/NAME``, or a folder that holds runs: ``runs/DATASET`` or
            ``runs``.

    Returns:
        Run folders, sorted; the path itself if there are none, for an error that names it.
    """
    refresh(path)
    return _runs_in(path)


def _runs_in(path: Path) -> list[Path]:
    if path.is_dir() and not (path / CONFIG).exists():
        inside = [p for p in sorted(path.iterdir()) if not p.name.startswith(".") and p.is_dir()]
        found = [p for p in inside if (p / CONFIG).exists()]
        found = found or [p for p in run_folders(path) if (p / CONFIG).exists()]
        if found:
            return found
    return [path]


def fetched(path: Path) -> Path:
    """Return a path after fetching all files of the run that it stands for, if that is at a URL.

    Args:
        path: What the user gave: a run, or files to search.

    Raises:
        UserError: It is a folder of runs; the message names one of them.
    """
    refresh(path)
    if (path / CONFIG).exists():
        pull(path, whole=True)
    elif near := [p for p in _runs_in(path) if p != path]:
        raise UserError(
            f"{shown(path)} holds {counted(len(near), 'run')}: give one of them, e.g. "
            f"{shown(near[0])}"
        )
    return path


def one_run(path: Path) -> Path:
    """Return a path that stands for one run; refuse a folder that is none.

    All files of a run at a URL are fetched.

    Args:
        path: What the user gave.

    Raises:
        UserError: The folder exists and is no run; the message names runs that are near.
    """
    fetched(path)
    if not path.is_dir() or (path / CONFIG).exists():
        return path
    if any((path / name).exists() for name in ("embeddings.npy", "items.parquet")):
        return path  # a run without its config.yaml
    root = located(os.environ.get(RUNS, "runs"))
    known = [p for p in runs_at(root) if p != root]
    advice = f"give a run's folder, e.g. {known[0]}" if known else (
        "make a run with `retrieval train` or `retrieval import`"
    )  # fmt: skip
    raise UserError(f"{path} is not a run, which is a folder runs/DATASET/NAME: {advice}")


def refuse_urls(name: str, value: object) -> None:
    """Refuse a URL where a command reads or writes files of this machine, e.g. ``--out``.

    Where it takes URLs, its values are folders of this machine already, see :func:`located`. If
    they were not refused elsewhere, ``s3://bucket/x`` would be a file in a folder named ``s3:``.

    Args:
        name: Name of the option or argument.
        value: Its value: a path, several, or anything else, which is let pass.

    Raises:
        UserError: It is a URL.
    """
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, Path) and is_url(each):
            url = str(each).replace(":/", "://", 1)  # a `Path` has lost one of its slashes
            raise UserError(f"{name} {url}: give a path; only runs can be at a URL")


class _InUrls:
    """A stream that shows the folders of this machine that stand for URLs as these URLs."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(in_urls(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def showing_urls(words: Sequence[str]) -> Iterator[None]:
    """Show URLs in the output of a command that was given any.

    Args:
        words: The words of the command.

    Yields:
        Nothing.
    """
    given = [word.partition("=")[2] if word.startswith("-") else word for word in words]
    if not any(map(is_url, (*given, os.environ.get(RUNS, "")))):
        yield
        return
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _InUrls(sys.stdout), _InUrls(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before

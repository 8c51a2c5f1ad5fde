"""Open, list, publish and change run folders.

A run is made in a hidden sibling (``.<run>.partial``), and changed in another (``.<run>.next``),
whose unchanged files are second names of the run's. Either is given the run's name when it is
complete, so that a reader finds all files of one evaluation or all of the next.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import UserError
from retrieval.files import (
    MAKING,
    TEMPORARY,
    file_lock,
    link_or_copy,
    recover_folder,
    remove,
    remove_locks,
    remove_temporaries,
    replace_folder,
)
from retrieval.runs.checks import NotEvaluated, check_neighbors, check_run
from retrieval.runs.lock import run_lock
from retrieval.runs.mirrors import mend, named, read_state, turn
from retrieval.runs.places import (
    NOTES_FILE,
    final_path,
    next_path,
    notes_lock_path,
    old_path,
    partial_path,
)
from retrieval.runs.publication import publishing
from retrieval.runs.run import REQUIRED_FILES, ChangedRun, Run
from retrieval.storage.addresses import is_url, shown

TRIES = 20  # to open a run that is replaced again and again


@dataclass(frozen=True)
class BrokenRun:
    """A folder under the root of runs that cannot be opened.

    Attributes:
        path: The folder.
        reason: Why it cannot be opened, in one line.
        is_only_trained: Whether nothing is missing but its evaluation. Defaults to False.
    """

    path: Path
    reason: str
    is_only_trained: bool = False


def open_run(path: Path | str, *, neighbors: bool = False) -> Run:
    """Open a run folder after checking that it is complete and consistent.

    A run that is replaced meanwhile is opened again.

    Args:
        path: The run's folder, or its URL, whose files are then brought up to date first.
        neighbors: Whether to check the neighbors too, which reads all of them. Defaults to False.

    Returns:
        The run.

    Raises:
        UserError: A file is missing or damaged, the schema is newer, or row counts differ.
    """
    path = named(path) if is_url(path) else Path(path)
    check_there(path)
    for _ in range(TRIES):
        run = Run(path)
        try:
            check_run(run)
            if neighbors:
                check_neighbors(run)
            return run
        except NotEvaluated:
            raise
        except UserError:
            if not run.has_changed() and not mend(path):
                raise
    raise ChangedRun(f"{path} is changed all the time: try again")


def check_there(path: Path) -> None:
    """Check that there is a folder of a run's name, after completing a replacement of it.

    Args:
        path: The run's final folder.

    Raises:
        UserError: There is none.
    """
    if not path.is_dir() and old_path(path).is_dir():  # a replacement was killed half way
        with contextlib.suppress(UserError, OSError), locked_run(path):  # or goes on
            pass
    if not path.is_dir():
        raise UserError(f"no run at {shown(path)}: train one with `retrieval train`")


def list_runs(root: Path | str = "runs") -> list[Run | BrokenRun]:
    """Open every run under ``root/<dataset>/<run>``. Hidden folders are skipped.

    Args:
        root: Folder of runs, or its URL, whose runs are then brought up to date first. Defaults to
            ``runs``.

    Returns:
        Oldest first: runs, and a :class:`BrokenRun` for each folder that cannot be opened.
    """
    root = named(root) if is_url(root) else Path(root)
    found: list[tuple[float, Run | BrokenRun]] = []
    for path in run_folders(root):
        try:
            changed = path.stat().st_mtime
            found.append((changed, open_run(path)))
        except UserError as error:
            found.append((changed, BrokenRun(path, str(error), isinstance(error, NotEvaluated))))
        except FileNotFoundError:  # removed meanwhile
            continue
    return [run for _, run in sorted(found, key=lambda pair: (pair[0], pair[1].path.name))]


def run_folders(root: Path | str) -> list[Path]:
    """Return every folder ``root/<dataset>/<run>``, sorted; hidden folders are skipped.

    Args:
        root: Folder of runs.
    """
    for old in Path(root).glob("*/.*.old"):
        with contextlib.suppress(UserError):
            check_there(final_path(old))
    return sorted(
        path
        for path in Path(root).glob("*/*")
        if not path.name.startswith(".") and not path.parent.name.startswith(".") and path.is_dir()
    )


@contextlib.contextmanager
def locked_run(path: Path) -> Iterator[None]:
    """Lock a run for the block, and complete or clean up what a killed process left of it.

    Every command that makes or changes a run does so in such a block.

    Args:
        path: The run's final folder, which need not exist.

    Yields:
        Nothing.

    Raises:
        UserError: Another process makes or changes the run.
    """
    with contextlib.ExitStack() as stack:
        with turn(path):  # whoever brings it up to date holds its lock for a while
            stack.enter_context(run_lock(path))
        if _is_ours(old_path(path), path):
            recover_folder(path, old_path(path))
        if _is_ours(next_path(path), path):
            remove(next_path(path))
        _remove_all_temporaries(partial_path(path))
        stack.enter_context(publishing(path))
        yield


def settle(path: Path) -> None:
    """Publish what a killed command made of a run at a URL and could not publish.

    Args:
        path: The run's final folder; of a plain one, nothing is published.

    Raises:
        UserError: Another process makes or changes the run, or the store cannot be reached.
    """
    if read_state(path).is_open:
        with locked_run(path):
            pass


@contextlib.contextmanager
def new_run(path: Path) -> Iterator[Path]:
    """Lock a run for the block, and give the empty partial folder to fill and :func:`publish`.

    Args:
        path: The run's final folder, which need not exist.

    Yields:
        The partial folder. What an interrupted command of this kind left in it is removed.

    Raises:
        UserError: Another process makes or changes the run, or an interrupted training lies there.
    """
    with locked_run(path):
        folder = partial_path(path)
        if (folder / "checkpoints").exists():
            raise UserError(
                f"{folder} is an interrupted training; finish it or choose another --name"
            )
        remove(folder)
        folder.mkdir(parents=True)
        yield folder


def _is_ours(sibling: Path, path: Path) -> bool:
    """Tell whether a hidden sibling is a run's: one of a folder that is no run may be a user's."""
    return is_run_folder(sibling) or (is_run_folder(path) and any(path.iterdir()))


def _remove_all_temporaries(folder: Path) -> None:
    for here, _, names in os.walk(folder):
        remove_temporaries(Path(here))
        # Where a lock could not be removed: it would be published with the run.
        remove_locks(*(Path(here, name) for name in names if name.endswith(MAKING)))


@contextlib.contextmanager
def changed_run(path: Path) -> Iterator[Path]:
    """Provide a copy of a finished run to change, which takes the run's place as a whole.

    Call it in a block of :func:`locked_run`. If the block fails or is killed, the run is as it was.

    Args:
        path: The run's folder.

    Yields:
        The copy. Its files share their content with the run's: replace them, do not write into
        them.
    """
    folder = next_path(path)
    try:
        _copy(path, folder)
        yield folder
        _give_name(folder, path)
    finally:
        remove(folder)


def _copy(path: Path, folder: Path) -> None:
    for here, folders, names in os.walk(path):
        copied = folder / Path(here).relative_to(path)
        copied.mkdir()
        for name in names:
            if not name.startswith(TEMPORARY):
                link_or_copy(Path(here, name), copied / name)
        for name in folders:
            if Path(here, name).is_symlink():  # e.g. checkpoints that were moved to another disk
                (copied / name).symlink_to(os.readlink(Path(here, name)))


def _give_name(folder: Path, path: Path) -> None:
    """Give a complete folder the run's name; the notes on the run move into it."""
    _remove_all_temporaries(folder)
    with file_lock(notes_lock_path(path)):
        remove(folder / NOTES_FILE)  # of the time when the copy was made
        if (path / NOTES_FILE).exists():
            link_or_copy(path / NOTES_FILE, folder / NOTES_FILE)
        replace_folder(folder, path, old_path(path))


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse to make a run that exists, or to replace a folder that is not a run.

    Args:
        path: The run's final folder.
        overwrite: Whether a run may be replaced.

    Raises:
        UserError: The run exists, and ``overwrite`` is off; or what is there is not a run.
    """
    if path.exists() and not is_run_folder(path):
        raise UserError(
            f"{path} exists and is not a run, so it is not replaced: move it away or choose "
            "another --name"
        )
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; choose another --name or pass --overwrite")


def is_run_folder(path: Path) -> bool:
    """Tell whether a folder was made by this program as a run, or is empty.

    Its ``config.yaml`` begins with our schema. If that file is damaged, two others of a run's files
    tell: a ``config.yaml`` alone may be of another program.

    Args:
        path: The folder.
    """
    if not path.is_dir():
        return False
    if not any(path.iterdir()):
        return True
    config = path / "config.yaml"
    if config.is_file():  # a pipe would be waited for
        with contextlib.suppress(OSError), config.open("rb") as file:
            if file.read(7) == b"schema:":
                return True
    return sum((path / name).exists() for name in REQUIRED_FILES) >= 2


def publish(path: Path, *, overwrite: bool = False) -> None:
    """Rename the complete partial folder of a run to its final name.

    Args:
        path: The run's final folder.
        overwrite: Whether to replace an existing run. Defaults to False.

    Raises:
        UserError: The run exists, and ``overwrite`` is off.
    """
    check_free(path, overwrite=overwrite)
    _give_name(partial_path(path), path)

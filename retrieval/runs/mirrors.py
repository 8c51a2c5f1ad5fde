"""Runs at a URL, as folders of this machine.

A run such as ``s3://bucket/runs/birds/one`` has a folder on this machine that stands for it, see
:mod:`retrieval.storage.addresses`. Every reader and writer works there. This module brings the
folder up to date: it reads the run's manifest, fetches the files that differ, checks their digests,
and gives the whole folder its name. Large files that not every reader needs are fetched when they
are read. :mod:`retrieval.runs.publication` goes the other way.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from retrieval.errors import UserError
from retrieval.files import (
    TEMPORARY,
    check_space,
    file_lock,
    link_or_copy,
    recover_folder,
    remove,
    remove_temporaries,
    replace_folder,
    sync,
    write_text,
)
from retrieval.progress import progress_bar
from retrieval.runs.lock import lock_path
from retrieval.runs.places import (
    LIVE_FILE,
    NOTES_FILE,
    arriving_path,
    leaving_path,
    notes_lock_path,
    old_path,
    partial_path,
    state_path,
    turn_path,
)
from retrieval.storage.addresses import address_of, located
from retrieval.storage.manifests import (
    NOTHING,
    Entry,
    Files,
    Manifest,
    manifest_name,
    manifest_numbers,
    newest,
)
from retrieval.storage.objects import Listed, Objects, thread_count

WRITER = "writer.json"  # object that says who makes or changes a run
# Fetched when they are read, if they are larger than this.
WHEN_READ, LARGE = ("checkpoints/", "embeddings.npy", "thumbnails/"), 1 << 20
TRIES = 5  # to fetch the files of a run that is replaced again and again
RUNS_AT_A_TIME = 4  # that are fetched
QUIET = 1.0  # seconds before a bar is shown
MIB = 1 << 20


@dataclass(frozen=True)
class Stamp:
    """What tells a file of this machine from another: its size, and when it was changed."""

    bytes: int
    nanoseconds: int

    @classmethod
    def of(cls, file: Path) -> "Stamp | None":
        """Return the stamp of a file; None if there is none."""
        try:
            found = file.stat()
        except OSError:
            return None
        return cls(found.st_size, found.st_mtime_ns)


Stamps = Mapping[str, Stamp]


@dataclass(frozen=True)
class State:
    """What of a run at a URL is on this machine.

    Attributes:
        manifest: What the run was when the folders were last brought up to date or published.
        mark: What the listing said about the manifest.
        writer: What the listing said about who makes it, whose live record was copied.
        is_open: Whether a command of this machine makes or changes the run, or was killed while it
            did: the folders may then hold what is not published.
        run: File of the finished run -> its stamp, for those that are here.
        training: The same, of the unfinished training.
    """

    manifest: Manifest = NOTHING
    mark: str = ""
    writer: str = ""
    is_open: bool = False
    run: Stamps = field(default_factory=dict)
    training: Stamps = field(default_factory=dict)


_STATE = TypeAdapter(State)


def read_state(path: Path) -> State:
    """Return what of a run is on this machine; an empty state if nothing is known."""
    try:
        return _STATE.validate_json(state_path(path).read_bytes())
    except (OSError, ValueError, ValidationError):
        return State()


def write_state(path: Path, state: State) -> None:
    """Record what of a run is on this machine."""
    write_text(state_path(path), json.dumps(_STATE.dump_python(state)))


def named(text: str | Path, *, whole: bool = False) -> Path:
    """Return the folder that a path or URL stands for, after bringing it up to date.

    Args:
        text: A path, which is returned as it is, or a URL of a run or of a folder of runs.
        whole: Whether to fetch the files that are otherwise fetched when they are read. Defaults
            to False.

    Raises:
        UserError: The store cannot be reached, or the disk is full.
    """
    path = located(text)
    refresh(path, whole=whole)
    return path


def refresh(path: Path, *, whole: bool = False, show: bool = True) -> None:
    """Bring the runs that a folder stands for up to date; a plain folder is left alone.

    Args:
        path: The folder of a run, of a data set or of all runs.
        whole: See :func:`named`. Defaults to False.
        show: Whether to show a bar. Defaults to True.

    Raises:
        UserError: The store cannot be reached, a manifest is damaged, or the disk is full.
    """
    url = address_of(path)
    if url is None:
        return
    there = runs_below(Objects(url))
    known = {"" if file == state_path(path) else _run_of(file, path) for file in _states(path)}
    changed = [
        path / name if name else path
        for name in sorted(known | set(there))
        if whole or not is_current(path / name if name else path, there.get(name, {}))
    ]
    with (
        progress_bar(
            f"fetch runs from {url}", len(changed), show=show, unit="run", quiet=QUIET
        ) as advance,
        ThreadPoolExecutor(RUNS_AT_A_TIME) as pool,
    ):
        for _ in pool.map(lambda each: pull(each, whole=whole, show=show), changed):
            advance(1)


def runs_below(objects: Objects) -> dict[str, dict[str, Listed]]:
    """Return the runs at a URL: the name relative to it -> what is listed directly below that.

    Args:
        objects: The objects of a run, of a data set or of a folder of runs. A run has the name "".
    """
    found: dict[str, dict[str, Listed]] = {}
    for name, listed in objects.list_below().items():
        folder, _, file = name.rpartition("/")
        if manifest_numbers([file]) or file == WRITER:
            found.setdefault(folder, {})[file] = listed
    return {name: files for name, files in found.items() if name.count("/") < 2}


def is_current(path: Path, listed: Mapping[str, Listed]) -> bool:
    """Tell whether a run's folder is up to date, given what is listed at its URL."""
    state = read_state(path)
    if state.mark != _mark(listed) or state.writer != _writer_mark(listed):
        return False
    folders = ((path, state.run), (partial_path(path), state.training))
    return all(
        Stamp.of(folder / name) == stamp or (name == NOTES_FILE and (folder / name).exists())
        for folder, stamps in folders
        for name, stamp in stamps.items()
    )


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait until nobody of this machine brings a run up to date, and keep others from it.

    Args:
        path: The run's folder; nothing is waited for if it is a plain one.

    Yields:
        Nothing.
    """
    with contextlib.nullcontext() if address_of(path) is None else file_lock(turn_path(path)):
        yield


def pull(path: Path, *, whole: bool = False, show: bool = True) -> None:
    """Bring the folder of one run up to date, unless a command of this machine works on it.

    Args:
        path: The folder; a plain one is left alone.
        whole: See :func:`named`. Defaults to False.
        show: Whether to show a bar. Defaults to True.

    Raises:
        UserError: The store cannot be reached, the manifest is damaged, or the disk is full.
    """
    if address_of(path) is None:
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(turn(path))
        try:
            stack.enter_context(file_lock(lock_path(path), wait=False))
        except TimeoutError:
            return
        recover_folder(path, old_path(path))
        bring(path, whole=whole, show=show)


def bring(path: Path, *, whole: bool, show: bool = True) -> State:
    """Bring the folder of a run up to date; call it under the run's lock.

    What a command of this machine made and could not publish is kept, as long as nobody has
    published anything else meanwhile.

    Args:
        path: The folder.
        whole: See :func:`named`.
        show: Whether to show a bar. Defaults to True.

    Returns:
        What is on this machine now.

    Raises:
        UserError: See :func:`pull`.
    """
    objects = Objects(str(address_of(path)))
    for _ in range(TRIES):
        with contextlib.suppress(FileNotFoundError):  # superseded, and removed while it was fetched
            return _bring(path, objects, whole=whole, show=show)
    raise UserError(f"{objects.url}: its files are missing there: publish the run again")


def _bring(path: Path, objects: Objects, *, whole: bool, show: bool) -> State:
    listed = objects.list()
    present, state = newest(objects, listed), read_state(path)
    if state.is_open and is_same_but_notes(present, state.manifest):
        return dataclasses.replace(state, manifest=present)
    if not present.number and WRITER not in listed and not state_path(path).exists():
        return state  # nothing is there and nothing was: whatever is here is not of this URL
    run, training = present.run, present.training
    wanted = [(path, run, state.run, state.manifest.run)]
    wanted += [(partial_path(path), training, state.training, state.manifest.training)]
    plans = [_plan(*each, whole=whole) for each in wanted]
    missing = [each for plan in plans for each in plan.missing.values()]
    if missing:
        check_space(path.parent, sum(entry.bytes for entry in missing))
    live = None
    if WRITER in listed:
        with contextlib.suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            live = json.loads(objects.read(WRITER))["live"]
    with _bytes_bar(f"fetch {objects.url}", missing, show=show) as advance:
        for plan in plans:
            _carry_out(plan, path, objects, advance, keep=live is not None)
    if live is not None:
        write_text(partial_path(path) / LIVE_FILE, json.dumps(live))
    state = State(
        present,
        _mark(listed),
        _writer_mark(listed),
        run=stamps_of(path, run),
        training=stamps_of(partial_path(path), training),
    )
    if present.number or WRITER in listed:
        write_state(path, state)
    else:
        remove(state_path(path))
    return state


@dataclass(frozen=True)
class _Plan:
    """How one folder is brought up to date: what it should hold, what is here, what is missing."""

    folder: Path
    files: Files | None
    here: tuple[str, ...]
    missing: Files
    is_same: bool  # whether it holds the same files already, so that only missing ones are added


def _plan(
    folder: Path, files: Files | None, stamps: Stamps, before: Files | None, *, whole: bool
) -> _Plan:
    known = before or {}
    here = tuple(
        name
        for name, entry in (files or {}).items()
        if known.get(name) == entry and name in stamps and Stamp.of(folder / name) == stamps[name]
    )
    missing = {
        name: entry
        for name, entry in (files or {}).items()
        if name not in here
        and (whole or not is_fetched_when_read(name, entry) or (folder / name).exists())
    }
    unknown = set(names_in(folder)) - set(files or {}) - {LIVE_FILE}
    return _Plan(folder, files, here, missing, files == before and not unknown)


def is_same_but_notes(one: Manifest, other: Manifest) -> bool:
    """Tell whether two manifests list the same files, apart from the notes of the app's users."""
    return (without_notes(one.run), one.training) == (without_notes(other.run), other.training)


def without_notes(files: Files | None) -> Files | None:
    """Return the files of a run apart from the notes of the app's users."""
    return None if files is None else {k: v for k, v in files.items() if k != NOTES_FILE}


def is_fetched_when_read(name: str, entry: Entry) -> bool:
    """Tell whether a file of a run is fetched when it is read, rather than with the run."""
    return entry.bytes > LARGE and name.startswith(WHEN_READ)


def names_in(folder: Path) -> list[str]:
    """Return the files of a run's folder, relative to it, without hidden ones.

    Hidden are temporary files, locks, and what the workers of one machine tell each other.
    """
    found = []
    for here, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(here, name).relative_to(folder).as_posix()
            for name in names
            if not name.startswith(".")
        ]
    return sorted(found)


def stamps_of(folder: Path, files: Files | None) -> dict[str, Stamp]:
    """Return the stamps of those files of a folder that are on this machine."""
    found = {name: Stamp.of(folder / name) for name in files or {}}
    return {name: stamp for name, stamp in found.items() if stamp is not None}


def _carry_out(
    plan: _Plan, path: Path, objects: Objects, advance: Callable[[int], None], *, keep: bool
) -> None:
    folder = plan.folder
    if plan.files is None:
        if folder != path and keep:  # for a training that has published nothing but its live record
            folder.mkdir(parents=True, exist_ok=True)
        else:
            remove(folder)
        return
    if plan.is_same and folder.is_dir():
        fetch(objects, plan.missing, folder, advance)
        return
    arriving = arriving_path(folder)
    for name in set(names_in(arriving)) - set(plan.missing):
        remove(arriving / name)
    arriving.mkdir(parents=True, exist_ok=True)
    fetch(objects, plan.missing, arriving, advance)
    for name in plan.here:
        (arriving / name).parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(folder / name, arriving / name)
    with file_lock(notes_lock_path(path)):
        replace_folder(arriving, folder, leaving_path(folder))


def fetch(
    objects: Objects, files: Files, folder: Path, advance: Callable[[int], None] | None = None
) -> None:
    """Fetch files of a run into a folder; those that are there with the right content are kept.

    Args:
        objects: The run's objects.
        files: Which files.
        folder: The folder. Each file appears whole, once its digest is checked.
        advance: Called with the number of bytes just read. Defaults to None, no call.

    Raises:
        FileNotFoundError: An object is missing.
        UserError: An object is damaged, or the store cannot be reached.
    """
    tell = advance or (lambda _: None)
    remove_temporaries(folder)  # of a killed process

    def one(name: str) -> None:
        entry, file = files[name], folder / name
        if file.exists() and sha256(file) == entry.sha256:
            tell(entry.bytes)
            return
        for _ in range(2):
            arrived = folder / f"{TEMPORARY}{entry.sha256}-{abs(hash(name)):x}"
            try:
                objects.download(entry.object, arrived, tell)
                if sha256(arrived) == entry.sha256:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(arrived, file)
                    return
            finally:
                arrived.unlink(missing_ok=True)
        raise UserError(
            f"{objects.url}/{entry.object}: damaged: it is not what the manifest lists as {name}; "
            "publish the run again"
        )

    with ThreadPoolExecutor(thread_count()) as pool:
        list(pool.map(one, sorted(files)))
    for parent in {(folder / name).parent for name in files}:
        sync(parent)


def fetch_when_read(path: Path, start: str) -> None:
    """Fetch files of a finished run that are about to be read, if they are not here.

    Args:
        path: The run's folder; of a plain one, nothing is fetched.
        start: What their names start with, e.g. ``embeddings.npy`` or ``checkpoints/``.

    Raises:
        UserError: The store cannot be reached, or the disk is full.
    """
    if not away(path, start):
        return
    with turn(path):
        if missing := away(path, start):
            objects = Objects(str(address_of(path)))
            check_space(path.parent, sum(entry.bytes for entry in missing.values()))
            with (
                contextlib.suppress(FileNotFoundError),  # replaced by now: the reader will notice
                _bytes_bar(f"fetch {objects.url}/{start}", list(missing.values())) as advance,
            ):
                fetch(objects, missing, path, advance)
            state = read_state(path)
            write_state(path, dataclasses.replace(state, run=stamps_of(path, state.manifest.run)))


def away(path: Path, start: str) -> Files:
    """Return the files of a finished run that its manifest lists and that are not here.

    Args:
        path: The run's folder; a plain one lacks none.
        start: What their names start with.
    """
    if address_of(path) is None:
        return {}
    return {
        name: entry
        for name, entry in (read_state(path).manifest.run or {}).items()
        if name.startswith(start) and not (path / name).exists()
    }


def mend(path: Path) -> bool:
    """Fetch files of a finished run again whose content is not what its manifest lists.

    Args:
        path: The run's folder; a plain one is left alone.

    Returns:
        Whether there were any.

    Raises:
        UserError: The store cannot be reached.
    """
    if address_of(path) is None:
        return False
    with turn(path):
        if (state := read_state(path)).is_open:
            return False
        damaged = {
            name: entry
            for name, entry in (state.manifest.run or {}).items()
            if (path / name).exists() and sha256(path / name) != entry.sha256
        }
        if not damaged:
            return False
        for name in damaged:
            (path / name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            fetch(Objects(str(address_of(path))), damaged, path)
        write_state(path, dataclasses.replace(state, run=stamps_of(path, state.manifest.run)))
    return True


def entries_of(folder: Path, stamps: Stamps, before: Files | None) -> dict[str, Entry]:
    """Return what a folder holds; the digests of files that are as they were are not computed.

    Args:
        folder: The finished folder of a run, or its partial one.
        stamps: The stamps of files whose content is known.
        before: Their content.
    """
    found = {}
    for name in names_in(folder):
        stamp = Stamp.of(folder / name)
        if before and name in before and stamps.get(name) == stamp:
            found[name] = before[name]
        elif stamp is not None:
            found[name] = Entry.of_content(sha256(folder / name), stamp.bytes)
    return found


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file's content, hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextlib.contextmanager
def _bytes_bar(
    title: str, entries: list[Entry], *, show: bool = True
) -> Iterator[Callable[[int], None]]:
    total = sum(entry.bytes for entry in entries)
    with progress_bar(title, total, show=show, unit="B", quiet=QUIET, scaled=True) as advance:
        yield advance


def _mark(listed: Mapping[str, Listed]) -> str:
    numbers = manifest_numbers(listed)
    return f"{numbers[-1]} {listed[manifest_name(numbers[-1])].mark}" if numbers else ""


def _writer_mark(listed: Mapping[str, Listed]) -> str:
    return listed[WRITER].mark if WRITER in listed else ""


def _states(path: Path) -> list[Path]:
    """Return the state files of the run or runs that a folder stands for."""
    own = state_path(path)
    below = [*path.glob(".*.remote.json"), *path.glob("*/.*.remote.json")]
    return [*([own] if own.exists() else []), *below]


def _run_of(file: Path, path: Path) -> str:
    """Return the name of the run that a state file belongs to, relative to a folder of runs."""
    name = file.name[1:].removesuffix(".remote.json")
    return file.with_name(name).relative_to(path).as_posix()


def copy_tree_for_sending(folder: Path, copy: Path) -> None:
    """Copy the partial folder of a training that goes on, so that its files can be sent.

    The checkpoints come first and are linked, as none is ever changed; what is written after them
    can then only be newer.

    Args:
        folder: The partial folder.
        copy: The copy, which is made anew.
    """
    remove(copy)
    names = names_in(folder)
    checkpoints = [name for name in names if name.startswith("checkpoints/")]
    rest = [name for name in names if name not in checkpoints and name != LIVE_FILE]
    for name in (*checkpoints, *rest):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        if name in checkpoints:
            link_or_copy(folder / name, copy / name)
        else:
            shutil.copy2(folder / name, copy / name)

"""Publish a run at its URL: claim it, send its files, and write the manifest last.

Whoever makes or changes a run holds a claim, the object ``writer.json``, which is renewed every ten
seconds and tells readers how a training goes. A claim that is not renewed for a minute belongs to a
machine that is gone, and is taken over. The claim saves two machines from making the same run; what
keeps the run whole is that a manifest is only created if it follows the one that its writer began
with.

While a training goes on, every checkpoint is published, so that another machine can continue it.
"""

import contextlib
import dataclasses
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from retrieval.errors import UserError
from retrieval.failures import as_user_error
from retrieval.files import atomic_path, file_lock, remove
from retrieval.progress import progress_bar
from retrieval.runs.mirrors import (
    QUIET,
    WRITER,
    Stamp,
    State,
    bring,
    copy_tree_for_sending,
    entries_of,
    fetch,
    is_same_but_notes,
    read_state,
    sha256,
    stamps_of,
    turn,
    write_state,
)
from retrieval.runs.places import (
    LIVE_FILE,
    NOTES_FILE,
    leaving_path,
    notes_lock_path,
    partial_path,
)
from retrieval.runs.process import Process
from retrieval.storage.addresses import address_of
from retrieval.storage.manifests import (
    Entry,
    Files,
    Manifest,
    create_manifest,
    newest,
    remove_superseded,
)
from retrieval.storage.objects import Objects, thread_count

RENEWED_EVERY = 10.0  # seconds
EXPIRES = 60.0  # seconds without renewal after which a claim is taken over
LOOKS_EVERY = 2.0  # seconds between two looks at a claim, or at the checkpoints of a training
TRIES = 20  # to publish a note while others do


class _Stopped(Exception):
    """The sending of a checkpoint is broken off, as the whole run is to be sent."""


@contextlib.contextmanager
def publishing(path: Path) -> Iterator[None]:
    """Claim a run for the block, bring it up to date, and publish what the block makes of it.

    What is published: the finished run and the training that is not finished, as they are at the
    end of the block, also if it fails or is interrupted; and every checkpoint meanwhile. If the
    store cannot be reached at the end, the files stay on this machine, and the next command that
    makes or changes the run publishes them.

    Args:
        path: The run's folder, under its lock. If it is a plain one, nothing is done.

    Yields:
        Nothing.

    Raises:
        UserError: Another process makes or changes the run, or has changed it meanwhile; or the
            store cannot be reached.
    """
    url = address_of(path)
    if url is None:
        yield
        return
    objects = Objects(url)
    with _claimed(objects, path) as claim:
        with turn(path):  # nobody fetches single files meanwhile
            remove(leaving_path(partial_path(path)))  # what a killed process was sending
            state = bring(path, whole=True)
            was_open = state.is_open
            sender = _Sender(path, objects, dataclasses.replace(state, is_open=True))
            write_state(path, sender.state)
        if was_open:  # what a killed command could not publish
            sender.send_all()
        saver = threading.Thread(target=sender.save_checkpoints, args=(claim,), daemon=True)
        saver.start()
        failed = True
        try:
            yield
            failed = False
        finally:
            sender.stopping.set()
            saver.join()
            claim.check()
            try:
                sender.send_all()
                sender.close()
            except Exception as error:
                shown = as_user_error(error)
                if shown is None:
                    raise
                # Not where: its path is shown as the URL, see `retrieval.cli.paths.showing_urls`.
                line = (
                    f"not published, and kept on this machine: {shown}; the same command "
                    "publishes it"
                )
                if not failed:
                    raise UserError(line) from error
                tqdm.write(f"{url}: {line}")


@dataclasses.dataclass
class _Claim:
    """The claim on a run.

    Attributes:
        objects: The run's objects.
        path: The run's folder, whose training is told of.
        token: Tells this claim from any other.
        count: How often it was renewed.
        lost: Who took it over; empty if nobody did.
        renewing: Held while it is renewed.
    """

    objects: Objects
    path: Path
    token: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)
    count: int = 0
    lost: str = ""
    renewing: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def content(self) -> bytes:
        """Return what the object holds now."""
        live = None
        with contextlib.suppress(OSError, ValueError):
            live = json.loads((partial_path(self.path) / LIVE_FILE).read_bytes())
        self.count += 1
        process = asdict(Process.of_this_one())
        words = {"token": self.token, "process": process, "renewed": self.count, "live": live}
        return json.dumps(words).encode()

    def check(self) -> None:
        """Refuse to go on without the claim.

        Raises:
            UserError: Another process has taken it over.
        """
        if self.lost:
            raise UserError(
                f"{self.objects.url} was taken over by {self.lost}, as nothing was heard from this "
                f"process for more than {EXPIRES:.0f} s: what it made is not published"
            )

    def renew(self, stopping: threading.Event) -> None:
        """Renew the claim until the event is set."""
        while not (stopping.wait(RENEWED_EVERY) or self.lost):
            with contextlib.suppress(UserError, OSError):  # the network may come back
                self.renew_now()

    def renew_now(self) -> None:
        """Renew the claim, or learn who has taken it over."""
        with self.renewing:
            try:
                found = self.objects.read(WRITER)
            except FileNotFoundError:
                found = b"{}"
            if _read(found).get("token") != self.token:
                self.lost = _who(found)
                return
            self.objects.write(WRITER, self.content())

    def release(self) -> None:
        """Remove the claim, if it is still held."""
        with contextlib.suppress(UserError, OSError):
            if _read(self.objects.read(WRITER)).get("token") == self.token:
                self.objects.remove([WRITER])


class _Sender:
    """Sends the files of a run, under its claim.

    Attributes:
        state: What is on this machine and what was published last.
        stopping: Set when the block of :func:`publishing` ends.
    """

    def __init__(self, path: Path, objects: Objects, state: State) -> None:
        self.path, self.objects, self.state = path, objects, state
        self.stopping = threading.Event()
        self._index = partial_path(path) / "checkpoints" / "index.json"
        self._sent = Stamp.of(self._index)  # of the checkpoint that was there before

    def send_all(self) -> None:
        """Publish the finished run and the unfinished training, if they have changed."""
        path, partial, before = self.path, partial_path(self.path), self.state.manifest
        run = training = None
        if path.is_dir():
            run = entries_of(path, self.state.run, before.run)
        if (partial / "config.yaml").exists():
            training = entries_of(partial, self.state.training, before.training)
        self._send(run, training, {path: run, partial: training})
        self.state = dataclasses.replace(
            self.state,
            run=stamps_of(path, run),
            training=stamps_of(partial, training),
        )
        write_state(path, self.state)

    def close(self) -> None:
        """Record that nothing is on this machine that is not published."""
        self.state = dataclasses.replace(self.state, is_open=False)
        write_state(self.path, self.state)

    def save_checkpoints(self, claim: _Claim) -> None:
        """Publish the training whenever it has saved a checkpoint, until it ends.

        The claim is renewed with it, so that whoever finds the checkpoint is told of its process.
        """
        told = False
        while not self.stopping.wait(LOOKS_EVERY):
            found = Stamp.of(self._index)
            if found is None or found == self._sent:
                continue
            try:
                claim.renew_now()
                self._send_checkpoint()
                self._sent, told = found, False
            except _Stopped:
                return
            except FileNotFoundError:  # superseded while it was copied: the next one is there
                continue
            except Exception as error:
                shown = as_user_error(error)
                if shown is None:
                    raise
                if not told:
                    tqdm.write(f"a checkpoint could not be published, training goes on: {shown}")
                told = True

    def _send_checkpoint(self) -> None:
        partial = partial_path(self.path)
        copy = leaving_path(partial)
        try:
            copy_tree_for_sending(partial, copy)
            training = entries_of(copy, {}, None)
            self._send(self.state.manifest.run, training, {copy: training}, show=False)
        finally:
            remove(copy)

    def _send(
        self,
        run: Files | None,
        training: Files | None,
        folders: dict[Path, Files | None],
        *,
        show: bool = True,
    ) -> None:
        """Send what is not there yet, and write the manifest."""
        before = self.state.manifest
        if before.has_content_of(Manifest(run=run, training=training)):
            return
        there = before.objects()
        files = {
            entry.object: (folder / name, entry)
            for folder, entries in folders.items()
            for name, entry in (entries or {}).items()
            if entry.object not in there
        }
        self._upload(files, show=show)
        self._write(before, run, training)

    def _upload(self, files: dict[str, tuple[Path, Entry]], *, show: bool) -> None:
        total = sum(entry.bytes for _, entry in files.values())
        with (
            progress_bar(
                f"send {self.objects.url}", total, show=show, unit="B", quiet=QUIET, scaled=True
            ) as advance,
            ThreadPoolExecutor(thread_count()) as pool,
        ):

            def tell(count: int) -> None:
                if not show and self.stopping.is_set():
                    raise _Stopped
                advance(count)

            def send(item: tuple[str, tuple[Path, Entry]]) -> None:
                tell(0)
                self.objects.upload(item[1][0], item[0], tell)

            list(pool.map(send, files.items()))

    def _write(self, before: Manifest, run: Files | None, training: Files | None) -> None:
        """Write the manifest, which takes over the notes that were written meanwhile."""
        for _ in range(TRIES):
            if run is not None and before is not self.state.manifest:
                run = {k: v for k, v in run.items() if k != NOTES_FILE}
                notes = (before.run or {}).get(NOTES_FILE)
                run |= {NOTES_FILE: notes} if notes is not None else {}
            try:
                made = create_manifest(self.objects, before, run, training)
            except FileExistsError:
                present = newest(self.objects)
                if not is_same_but_notes(present, self.state.manifest):
                    raise UserError(
                        f"{self.objects.url} was changed by another process meanwhile: look at "
                        "what is there now, and run the command again if you want to replace it"
                    ) from None
                before = present
                continue
            self.state = dataclasses.replace(self.state, manifest=made)
            write_state(self.path, self.state)
            remove_superseded(self.objects, made)
            return
        raise UserError(f"{self.objects.url}: is changed all the time: try again")


@contextlib.contextmanager
def _claimed(objects: Objects, path: Path) -> Iterator[_Claim]:
    claim = _Claim(objects, path)
    _wait_for_claim(claim)
    stopping = threading.Event()
    renewer = threading.Thread(target=claim.renew, args=(stopping,), daemon=True)
    renewer.start()
    try:
        yield claim
    finally:
        stopping.set()
        renewer.join()
        claim.release()


def _wait_for_claim(claim: _Claim) -> None:
    """Get the claim, after waiting whether the one who has it still lives.

    Raises:
        UserError: It does.
    """
    objects, seen, since = claim.objects, b"", 0.0
    while True:
        try:
            objects.create(WRITER, claim.content())
            return
        except FileExistsError:
            try:
                found = objects.read(WRITER)
            except FileNotFoundError:
                continue
        gone = _is_gone(found)
        if gone is False or (seen and found != seen):
            raise UserError(
                f"{objects.url} is being made or changed by {_who(found)}: wait for it, or choose "
                "another name"
            )
        if gone or (seen and time.monotonic() - since > EXPIRES):
            objects.remove([WRITER])
            continue
        if not seen:
            seen, since = found, time.monotonic()
            tqdm.write(
                f"{objects.url}: waiting for up to {EXPIRES:.0f} s to see whether "
                f"{_who(found)} still works on it"
            )
        time.sleep(LOOKS_EVERY)


def _read(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _process_in(content: bytes) -> Process | None:
    try:
        return Process(**_read(content)["process"])
    except (KeyError, TypeError):
        return None


def _is_gone(content: bytes) -> bool | None:
    process = _process_in(content)
    return None if process is None else process.is_gone()


def _who(content: bytes) -> str:
    process = _process_in(content)
    return "another process" if process is None else f"process {process.pid} on {process.host}"


@contextlib.contextmanager
def notes_lock(path: Path) -> Iterator[None]:
    """Lock the notes on a run for the block, against other processes of this machine.

    Args:
        path: The run's folder.

    Yields:
        Nothing.
    """
    with turn(path), file_lock(notes_lock_path(path)):
        yield


def change_notes(path: Path, change: Callable[[], None]) -> None:
    """Change the notes on a run, and publish them; call it under :func:`notes_lock`.

    Notes that others have published meanwhile are fetched first, so that none is lost.

    Args:
        path: The run's folder; of a plain one, nothing is published.
        change: Reads, changes and writes the file of the notes.

    Raises:
        UserError: The store cannot be reached; the notes on this machine are then as they were.
    """
    url = address_of(path)
    if url is None:
        change()
        return
    objects, file = Objects(url), path / NOTES_FILE
    before = file.read_bytes() if file.exists() else None
    try:
        for _ in range(TRIES):
            present = newest(objects)
            if present.run is None:
                raise UserError(f"{url} is not there any more: the note was not saved")
            if (entry := present.run.get(NOTES_FILE)) is not None:
                fetch(objects, {NOTES_FILE: entry}, path)
            else:
                file.unlink(missing_ok=True)
            change()
            run = {k: v for k, v in present.run.items() if k != NOTES_FILE}
            if (stamp := Stamp.of(file)) is not None:
                made = Entry.of_content(sha256(file), stamp.bytes)
                if made != entry:
                    objects.upload(file, made.object, lambda _: None)
                run[NOTES_FILE] = made
            try:
                written = create_manifest(objects, present, run, present.training)
            except FileExistsError:
                continue
            _record_notes(path, present, written, stamp)
            return
        raise UserError(f"{url}: is changed all the time: try again")
    except BaseException:
        if before is None:
            file.unlink(missing_ok=True)
        else:
            with atomic_path(file) as restored:
                restored.write_bytes(before)
        raise


def _record_notes(path: Path, before: Manifest, written: Manifest, stamp: Stamp | None) -> None:
    """Record that this machine has the notes, so that the run is not brought up to date again."""
    state = read_state(path)
    if state.is_open or state.manifest.id != before.id:
        return
    run = {k: v for k, v in state.run.items() if k != NOTES_FILE}
    run |= {NOTES_FILE: stamp} if stamp is not None else {}
    write_state(path, dataclasses.replace(state, manifest=written, run=run))

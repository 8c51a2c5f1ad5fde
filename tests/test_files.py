"""Atomic writes: the old file survives whatever happens to the new one."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from retrieval import files
from retrieval.errors import UserError
from retrieval.files import (
    atomic_folder,
    atomic_path,
    build_once,
    digest,
    file_lock,
    file_stamps,
    link_or_copy,
    recover_folder,
    remove_temporaries,
    replace_folder,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_no_temporary_file(tmp_path):
    target = tmp_path / "metrics.json"
    write_text(target, "old")

    def interrupted_write():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        interrupted_write()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_json_with_nan_is_refused_before_anything_is_replaced(tmp_path):
    target = tmp_path / "metrics.json"
    write_json(target, {"recall@1": 0.5})
    with pytest.raises(ValueError, match="JSON"):
        write_json(target, {"recall@1": float("nan")})
    assert "0.5" in target.read_text()


def test_a_folder_appears_only_when_it_is_complete(tmp_path):
    target = tmp_path / "images"

    def interrupted_write():
        with atomic_folder(target) as temporary:
            (temporary / "first.png").write_bytes(b"1")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        interrupted_write()
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(target) as temporary:
        (temporary / "first.png").write_bytes(b"1")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["first.png"]


def test_a_file_of_the_users_is_not_replaced_by_a_folder(tmp_path):
    target = tmp_path / "images"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    with pytest.raises(OSError, match="images"), atomic_folder(target) as temporary:
        (temporary / "first.png").write_bytes(b"1")
    assert (target / "mine.txt").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [target]


def test_names_as_long_as_the_file_system_allows_are_written(tmp_path):
    target = tmp_path / ("x" * 250 + ".json")
    write_json(target, 1)
    assert list(tmp_path.iterdir()) == [target]


def folder_of(path, text):
    path.mkdir()
    for name in "ab":
        (path / name).write_text(text)
    return path


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_replaced_as_a_whole(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:  # a network file system
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    path, new, old = folder_of(tmp_path / "x", "old"), tmp_path / ".new", tmp_path / ".old"
    replace_folder(folder_of(new, "new"), path, old)
    assert {file.read_text() for file in path.iterdir()} == {"new"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_finds_the_folder_at_any_moment_of_its_replacement(tmp_path):
    path = folder_of(tmp_path / "x", "0")
    seen, done = set(), threading.Event()

    def read():
        while not done.is_set():
            seen.add(tuple((path / name).read_text() for name in "a"))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 200):
        replace_folder(folder_of(tmp_path / ".new", str(number)), path, tmp_path / ".old")
    done.set()
    reader.join()
    assert len(seen) > 1


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_a_replacement_that_was_killed_is_completed_or_undone(tmp_path, moment):
    path, old = tmp_path / "x", tmp_path / ".old"
    if moment != "between":
        folder_of(path, "new" if moment == "after" else "old")
    if moment != "before":
        folder_of(old, "old")
    recover_folder(path, old)
    assert {file.read_text() for file in path.iterdir()} == {"new" if moment == "after" else "old"}
    assert not old.exists()


def test_what_a_killed_process_left_is_removed_by_name(tmp_path):
    for name in ("metrics.json", "items.parquet"):
        (tmp_path / f".tmp-abcd_123-{name}").touch()
    (tmp_path / "metrics.json").touch()
    remove_temporaries(tmp_path, "metrics.json")
    assert {p.name for p in tmp_path.iterdir()} == {"metrics.json", ".tmp-abcd_123-items.parquet"}
    remove_temporaries(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"metrics.json"}


def test_a_second_name_takes_the_place_of_another_file_in_one_step(tmp_path):
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "a"
    assert {p.name for p in tmp_path.iterdir()} == {"a", "b"}


BUILD = """
import sys, time
from pathlib import Path
from retrieval.files import build_once, write_text
target = Path(sys.argv[1])

def build():
    with open(target.parent / "builds", "a") as file:
        file.write("x")
    time.sleep(0.3)
    write_text(target, "whole")

build_once(target, build, lambda: target.exists() and target.read_text() == "whole")
print(target.read_text())
"""


@pytest.mark.parametrize("before", [None, "half"])
def test_of_several_processes_one_builds_and_the_others_wait(tmp_path, before):
    target = tmp_path / "entry"
    if before is not None:
        target.write_text(before)
    command = [sys.executable, "-c", BUILD, str(target)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(5)]
    assert [process.communicate()[0] for process in processes] == [b"whole\n"] * 5
    assert (tmp_path / "builds").read_text() == "x"
    assert {p.name for p in tmp_path.iterdir()} == {"entry", "builds"}


def test_what_another_process_removes_while_it_is_checked_is_built(tmp_path):
    target = tmp_path / "entry"
    checks = iter([FileNotFoundError(target), False, True])

    def is_valid():
        found = next(checks)
        if isinstance(found, FileNotFoundError):
            raise found
        return found

    build_once(target, lambda: write_text(target, "whole"), is_valid)
    assert target.read_text() == "whole"


def test_a_cache_that_cannot_be_written_is_one_line_with_the_fix(tmp_path):
    def build():
        raise PermissionError(13, "Permission denied", str(tmp_path / "entry" / "x"))

    with pytest.raises(UserError, match="RETRIEVAL_CACHE"):
        build_once(tmp_path / "entry", build, lambda: False)


def test_a_lock_is_waited_for_and_says_so(tmp_path):
    waited = []
    with file_lock(tmp_path / "x"):
        with pytest.raises(TimeoutError), file_lock(tmp_path / "x", wait=False):
            pass
        thread = threading.Thread(
            target=lambda: file_lock(tmp_path / "x", on_wait=lambda: waited.append(1)).__enter__()
        )
        thread.start()
        while not waited:
            pass
    thread.join()
    assert waited == [1]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_a_disk_without_locks_is_locked_by_a_second_file(tmp_path, monkeypatch, number):
    def refuse(handle, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with file_lock(tmp_path / "x"):
        with pytest.raises(TimeoutError), file_lock(tmp_path / "x", wait=False):
            pass
        with file_lock(tmp_path / "y", wait=False):
            pass
    with file_lock(tmp_path / "x", wait=False):
        pass
    assert list(tmp_path.iterdir()) == []


OF_ANOTHER_MACHINE = """
import fcntl, os, pathlib, sys
import filelock._marker
from retrieval import files
filelock._marker.host_name = lambda: "node7"
def refuse(handle, operation):
    raise OSError(38, "no locks here")
fcntl.flock = refuse
files.LEASE = float(sys.argv[2])
files._acquire(pathlib.Path(sys.argv[1]), wait=False, on_wait=None)
os._exit(9)  # the machine is lost
"""


def test_the_lock_of_a_lost_machine_counts_for_nothing_after_a_while(tmp_path, monkeypatch):
    def refuse(handle, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    lease = 1.0
    command = [sys.executable, "-c", OF_ANOTHER_MACHINE, str(tmp_path / "x"), str(lease)]
    assert subprocess.run(command, check=False).returncode == 9
    assert "host=node7" in (tmp_path / "x.soft").read_text()
    monkeypatch.setattr("fcntl.flock", refuse)
    monkeypatch.setattr("retrieval.files.LEASE", lease)
    with pytest.raises(TimeoutError), file_lock(tmp_path / "x", wait=False):
        pass
    waited = []
    with file_lock(tmp_path / "x", on_wait=lambda: waited.append(1)):
        assert waited == [1]
    assert list(tmp_path.iterdir()) == []


def test_stamps_tell_files_apart_by_time_or_by_content(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_text("same")
        os.utime(path, ns=(5, 5))
    assert file_stamps([*paths, tmp_path / "missing"]) == [(4, 5), (4, 5), (-1, 0)]
    paths[1].write_text("else")
    os.utime(paths[1], ns=(5, 5))
    assert len(set(file_stamps(paths))) == 1
    monkeypatch.setenv("RETRIEVAL_STAMPS", "content")
    assert len(set(file_stamps(paths))) == 2


def test_a_digest_changes_with_the_content_of_a_large_file(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_READ", 1000)
    monkeypatch.setattr(files, "PART_BYTES", 100)
    path = tmp_path / "x"
    path.write_bytes(bytes(100_000))
    before = digest(path)
    path.write_bytes(bytes(99_999) + b"x")
    assert digest(path) != before

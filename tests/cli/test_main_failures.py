"""Whatever file operation or allocation fails, a command ends in one line and leaves nothing."""

import contextlib
import errno
import os
import re
import shutil
import sys
from typing import ClassVar

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.failures import FIXES, as_user_error
from tests.cli.helpers import nothing_was_left, one_line, train


@pytest.fixture
def embeddings(tmp_path):
    """Twenty embeddings with items, and the words that import them."""
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(5), 4)
    np.save(tmp_path / "clip.npy", rng.standard_normal((20, 3)))
    (tmp_path / "items.csv").write_text("\n".join(["label", *map(str, labels)]))
    return "import", "--embeddings", "clip.npy", "--items", "items.csv"


@pytest.mark.parametrize("number", FIXES, ids=errno.errorcode.get)
def test_an_error_of_the_system_is_one_line_with_path_and_fix(number):
    shown = str(as_user_error(OSError(number, os.strerror(number), "/some/where")))
    assert shown.startswith("/some/where: ")
    assert FIXES[number] in shown


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOTRECOVERABLE, "State not recoverable", "/x"), "/x: .*State not"),
        (OSError(errno.ENOSPC, "No space left", "/a", None, "/b"), "/a -> /b: the disk is full"),
        (OSError("Unable to open file (unable to open file: name = '/x/y.h5', errno = 28, error "
                 "message = 'No space left on device')"), "/x/y.h5: the disk is full"),
        (RuntimeError("Problems closing file (file write failed: time = Mon\n errno = 28)"),
         "the disk is full"),
        (OSError("[Errno 13] Failed to open local file '/x/y.parquet'. Detail: [errno 13]"),
         "/x/y.parquet: permission denied"),
        (MemoryError(), "not enough memory"),
        (np._core._exceptions._ArrayMemoryError((10**6, 10**6), np.dtype("float64")), "7.28 TiB"),
        (RuntimeError("std::bad_alloc"), "not enough memory"),
        (RuntimeError("Could not determine home directory."), "HOME"),
        (ValueError("embedded null byte"), "null"),
        (RecursionError("maximum recursion depth exceeded"), "nested"),
        (UnicodeEncodeError("utf-8", "\udcff.jpg", 0, 1, "surrogates not allowed"), "dcff"),
    ],
    ids=range(12),
)  # fmt: skip
def test_errors_of_libraries_are_one_line_too(error, words):
    shown = as_user_error(error)
    assert isinstance(shown, UserError)
    assert "\n" not in str(shown)
    assert re.search(words, str(shown)), str(shown)


def test_errors_of_tensorflow_are_one_line():
    import tensorflow as tf

    for kind in (tf.errors.ResourceExhaustedError, tf.errors.InvalidArgumentError):
        error = kind(
            None, None, "Graph execution error:\n\nDetected at node a\nOOM when allocating"
        )
        assert "\n" not in str(as_user_error(error))


def test_a_mistake_of_the_program_keeps_its_traceback(retrieval, embeddings, monkeypatch):
    assert as_user_error(KeyError("x")) is None
    monkeypatch.setattr("retrieval.runs.importing.import_run", lambda *_, **__: {}["x"])
    with pytest.raises(KeyError):
        retrieval(*embeddings)


@pytest.mark.parametrize("case", ["file", "dead link", "circle", "long", "name"])
def test_a_runs_folder_that_cannot_be_one_is_refused_in_one_line(
    retrieval, embeddings, tmp_path, case
):
    runs = tmp_path / "place"
    if case == "file":
        runs.write_text("x")
    elif case == "dead link":
        runs.symlink_to(tmp_path / "nothing")
    elif case == "circle":
        runs.symlink_to(runs)
    elif case == "long":
        runs = runs.joinpath(*["d" * 200] * 25)
    else:
        runs = tmp_path / ("n" * 256)
    found = one_line(retrieval(*embeddings, "--runs", runs))
    assert str(tmp_path) in found
    assert sorted(p.name for p in tmp_path.iterdir() if p.name not in ("place", "cache")) == [
        "clip.npy", "items.csv"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "words"),
    [("..", "leading dot"), ("a/b", "slashes"), ("a\nb", "control"), ("\x1b[31m", "control"),
     ("\udcff", "control"), ("n" * 256, "256 bytes"), ("", "slashes"), (" ", "slashes")],
)  # fmt: skip
def test_a_name_that_no_folder_can_have_is_refused(retrieval, embeddings, name, words):
    assert words in one_line(retrieval(*embeddings, "--name", name))


class Failing:
    """Fails the k-th file operation that would write below a folder, and counts them."""

    EVENTS = ("open", "os.mkdir", "os.rename", "os.link", "os.symlink", "os.chmod")
    hooked: ClassVar[list] = []

    def __init__(self, folder, number, at):
        self.folder, self.number, self.at, self.count = str(folder), number, at, 0

    def __call__(self, event, arguments):
        if event not in self.EVENTS or not isinstance(arguments[0], str | bytes):
            return
        path = os.fsdecode(arguments[0])
        if not path.startswith(self.folder):
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        self.count += 1
        if self.count == self.at:
            raise OSError(self.number, os.strerror(self.number), path)


@contextlib.contextmanager
def failing(folder, number, at):
    """Install one audit hook for all tests: Python cannot remove one again."""
    hook = Failing(folder, number, at)
    if not Failing.hooked:
        sys.addaudithook(
            lambda event, arguments: [each(event, arguments) for each in Failing.hooked]
        )
    Failing.hooked[:] = [hook]
    try:
        yield hook
    finally:
        Failing.hooked[:] = []


def files_of(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_import_and_evaluate_fail_whole_at_file_operations(retrieval, embeddings, tmp_path):
    """At two points each here; the sweep of ``tests/faults`` takes every one."""
    number = errno.ENOSPC
    runs, place = tmp_path / "runs", tmp_path / "runs/imported/clip"
    with failing(runs, number, -1) as counted:
        assert retrieval(*embeddings, "--overwrite")[0] == 0
    whole, operations = files_of(place), counted.count
    assert operations > 10
    for at in (operations // 3, operations - 1):
        shutil.rmtree(runs)
        with failing(runs, number, at) as hook:
            code, _, err = retrieval(*embeddings)
        if code == 0:  # an operation that the command does without, such as a hard link
            assert files_of(place).keys() == whole.keys()
            continue
        assert hook.count >= at
        assert err.count("\n") == 1, err
        assert err.startswith("error: ")
        assert "Traceback" not in err
        assert FIXES[number] in err
        assert not place.exists()
        assert retrieval(*embeddings)[0] == 0
        assert not [p for p in runs.rglob(".tmp-*")]
    with failing(runs, number, -1) as counted:
        assert retrieval("evaluate", place)[0] == 0
    before = files_of(place)
    for at in (counted.count // 3, counted.count - 1):
        with failing(runs, number, at):
            code, _, err = retrieval("evaluate", place)
        assert (code == 0) or (err.count("\n") == 1 and FIXES[number] in err), err
        assert files_of(place).keys() == before.keys()
        assert files_of(place)["metrics.json"] == before["metrics.json"]


def test_no_memory_is_one_line(retrieval, embeddings, monkeypatch):
    def none(*_, **__):
        raise MemoryError

    monkeypatch.setattr("retrieval.runs.importing.import_run", none)
    assert "not enough memory" in one_line(retrieval(*embeddings))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--embedding-size", 100_000), "embedding_size = 100000: give a whole number at most"),
        (("--image-size", 100_000), "image_size = 100000: give a whole number at most"),
        (("--steps", 10**12), "steps = 1000000000000: give a whole number at most"),
        (("--samples-per-class", 10**6), "GiB of memory"),
        (("--seeds", 10**9), "--seeds"),
    ],
)
def test_sizes_that_no_machine_has_are_refused(retrieval, photos, tmp_path, words, message):
    found = one_line(train(retrieval, "--dataset", "folder", "--data", photos, *words))
    assert message in found
    assert nothing_was_left(tmp_path)


def test_free_space_is_looked_at_before_the_first_step(retrieval, photos, monkeypatch):
    from retrieval import files

    usage = shutil._ntuple_diskusage(10**9, 10**9, 1000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    found = one_line(train(retrieval, "--dataset", "folder", "--data", photos))
    assert "free on this disk" in found

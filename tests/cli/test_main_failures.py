"""Whatever fails on a machine, a command ends in one line and leaves nothing.

That it does at every file operation is what ``tests/faults`` checks.
"""

import errno
import os
import re
import shutil

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
    monkeypatch.setattr("retrieval.runs.importing.import_files", lambda *_, **__: {}["x"])
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


def test_no_memory_is_one_line(retrieval, embeddings, monkeypatch):
    def none(*_, **__):
        raise MemoryError

    monkeypatch.setattr("retrieval.runs.importing.import_files", none)
    assert "not enough memory" in one_line(retrieval(*embeddings))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--embedding-size", 100_000),
            "embedding_size = 100000: give a whole number from 1 to",
        ),
        (("--image-size", 100_000), "image_size = 100000: give a whole number from 1 to 4096"),
        (("--steps", 10**12), "steps = 1000000000000: give a whole number from 1 to 100000000"),
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

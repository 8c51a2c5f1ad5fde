"""Runs at a URL, as readers on any machine find them."""

import collections
import os
import shutil
import threading
import time

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.runs import mirrors, publication
from retrieval.runs.lock import run_lock
from retrieval.runs.mirrors import away, named, read_state, refresh
from retrieval.runs.places import arriving_path, partial_path, state_path
from retrieval.runs.store import BrokenRun, changed_run, list_runs, locked_run, open_run
from retrieval.storage import manifests
from retrieval.storage.objects import Objects
from tests.runs.at_url import add_file, begin_training, contents, publish_copy, write

RUN = "birds/one"


@pytest.fixture(params=["memory_root", "s3_root"])
def any_root(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def downloads(monkeypatch):
    """Count the objects that are fetched."""
    counted = collections.Counter()
    download = Objects.download

    def counting(self, name, file, advance):
        counted[name] += 1
        download(self, name, file, advance)

    monkeypatch.setattr(Objects, "download", counting)
    return counted


@pytest.fixture
def lazy(monkeypatch):
    """Fetch even small embeddings when they are read."""
    monkeypatch.setattr(mirrors, "LARGE", 16)


def test_another_machine_reads_what_was_published(any_root, machine, small_run):
    publish_copy(small_run, machine("a", f"{any_root}/{RUN}"))
    machine("b", any_root)
    [run] = list_runs(any_root)
    assert (run.dataset, run.name) == ("birds", "one")
    assert contents(run.path) == contents(small_run)
    assert np.array_equal(run.embeddings, open_run(small_run).embeddings)
    assert open_run(f"{any_root}/{RUN}").results.keys() == run.results.keys()


def test_what_has_not_changed_is_not_fetched_again(memory_root, machine, small_run, downloads):
    publish_copy(small_run, machine("a", f"{memory_root}/{RUN}"))
    path = machine("b", f"{memory_root}/{RUN}")
    list_runs(memory_root)
    fetched = downloads.total()
    assert fetched == len(contents(small_run))
    number = path.stat().st_ino
    list_runs(memory_root)
    assert downloads.total() == fetched
    add_file(machine("a", f"{memory_root}/{RUN}"), "extra.txt", "more")
    machine("b", memory_root)
    list_runs(memory_root)
    assert downloads.total() == fetched + 1
    assert path.stat().st_ino != number, "the whole folder is replaced"
    assert (path / "extra.txt").read_text() == "more"


def test_large_files_are_fetched_when_they_are_read(
    memory_root, machine, small_run, downloads, lazy
):
    publish_copy(small_run, machine("a", f"{memory_root}/{RUN}"))
    path = machine("b", f"{memory_root}/{RUN}")
    run = open_run(f"{memory_root}/{RUN}", neighbors=True)
    assert set(away(path, "")) == {"embeddings.npy"}
    assert run.is_away("embeddings.npy")
    before = downloads.total()
    assert np.array_equal(run.embeddings, np.load(small_run / "embeddings.npy"))
    assert downloads.total() == before + 1
    assert not away(path, "")
    refresh(path)
    assert downloads.total() == before + 1


def test_a_command_that_needs_the_whole_run_gets_it(memory_root, machine, small_run, lazy):
    publish_copy(small_run, machine("a", f"{memory_root}/{RUN}"))
    path = machine("b", f"{memory_root}/{RUN}")
    assert contents(named(f"{memory_root}/{RUN}", whole=True)) == contents(small_run)
    shutil.rmtree(path.parent)
    with locked_run(path):
        assert contents(path) == contents(small_run)


def test_a_damaged_file_of_this_machine_is_fetched_again(memory_root, machine, small_run):
    publish_copy(small_run, machine("a", f"{memory_root}/{RUN}"))
    path = machine("b", f"{memory_root}/{RUN}")
    refresh(path)
    (path / "items.parquet").write_bytes(b"short")
    refresh(path)
    assert contents(path) == contents(small_run)
    (path / "metrics.json").unlink()
    refresh(path)
    assert contents(path) == contents(small_run)


def test_damage_that_changes_neither_size_nor_time_is_found_when_the_run_is_opened(
    memory_root, machine, small_run
):
    publish_copy(small_run, machine("a", f"{memory_root}/{RUN}"))
    path = machine("b", f"{memory_root}/{RUN}")
    refresh(path)
    file = path / "items.parquet"
    status, content = file.stat(), file.read_bytes()
    file.write_bytes(content[:100] + bytes(100) + content[200:])
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(open_run(path).items) == 20
    assert contents(path) == contents(small_run)


def test_an_object_that_is_damaged_in_the_store_is_named(memory_root, machine, small_run):
    publish_copy(small_run, machine("a", f"{memory_root}/{RUN}"))
    objects = Objects(f"{memory_root}/{RUN}")
    entry = manifests.newest(objects).run["metrics.json"]
    objects.write(entry.object, b"other")
    path = machine("b", f"{memory_root}/{RUN}")
    with pytest.raises(UserError, match=r"^memory://.*/objects/\w+: damaged: .* as metrics.json"):
        refresh(path)
    assert not path.exists(), "nothing of it is shown"


def test_an_interrupted_download_goes_on(memory_root, machine, small_run, downloads, monkeypatch):
    publish_copy(small_run, machine("a", f"{memory_root}/{RUN}"))
    path = machine("b", f"{memory_root}/{RUN}")
    with monkeypatch.context() as patch:

        def killed(*_):
            raise KeyboardInterrupt

        patch.setattr(mirrors, "replace_folder", killed)
        with pytest.raises(KeyboardInterrupt):
            refresh(path)
    assert not path.exists()
    fetched = downloads.total()
    refresh(path)
    assert downloads.total() == fetched
    assert contents(path) == contents(small_run)
    assert not arriving_path(path).exists()


def test_a_run_that_was_removed_from_the_store_goes(memory_root, machine, small_run):
    path = machine("a", f"{memory_root}/{RUN}")
    publish_copy(small_run, path)
    objects = Objects(f"{memory_root}/{RUN}")
    objects.remove(objects.list_below())
    assert list_runs(memory_root) == []
    assert not path.exists()
    assert not state_path(path).exists()


def test_a_run_is_not_touched_while_a_command_of_this_machine_works_on_it(
    memory_root, machine, small_run
):
    publish_copy(small_run, machine("a", f"{memory_root}/{RUN}"))
    path = machine("b", f"{memory_root}/{RUN}")
    refresh(path)
    add_file(machine("a", f"{memory_root}/{RUN}"), "extra.txt", "more")
    machine("b", memory_root)
    with run_lock(path):
        refresh(path)
        assert not (path / "extra.txt").exists()
    refresh(path)
    assert (path / "extra.txt").exists()


def test_readers_find_a_whole_run_while_it_is_replaced(
    memory_root, machine, small_run, monkeypatch
):
    """One machine replaces two files that belong together; another one reads without pause."""
    writer = machine("a", f"{memory_root}/{RUN}")
    publish_copy(small_run, writer)
    add_file(writer, "one.txt", "0")
    add_file(writer, "two.txt", "0")
    seen, ended = [], threading.Event()
    reader = machine("b", f"{memory_root}/{RUN}")
    refresh(reader)

    def read() -> None:
        while not ended.is_set():
            refresh(reader, show=False)
            folder = os.open(reader, os.O_RDONLY)  # one folder, also if it is replaced
            try:
                texts = []
                for name in ("one.txt", "two.txt"):
                    file = os.open(name, os.O_RDONLY, dir_fd=folder)
                    texts.append(os.read(file, 9))
                    os.close(file)
                seen.append(tuple(texts))
            except FileNotFoundError:
                pass  # the folder that was opened is removed by now
            finally:
                os.close(folder)

    # The environment names one cache for all threads: the writer works by its absolute path.
    for module in (mirrors, publication):
        monkeypatch.setattr(module, "address_of", lambda _: f"{memory_root}/{RUN}")
    thread = threading.Thread(target=read)
    thread.start()
    for number in range(1, 7):
        with locked_run(writer), changed_run(writer) as folder:
            write(folder, "one.txt", str(number))
            write(folder, "two.txt", str(number))
    while not seen or seen[-1] != (b"6", b"6"):
        assert thread.is_alive()
        time.sleep(0.01)
    ended.set()
    thread.join()
    assert all(one == two for one, two in seen)
    assert len(set(seen)) > 2


def test_a_reader_whose_objects_are_removed_begins_again(
    memory_root, machine, small_run, monkeypatch
):
    writer = machine("a", f"{memory_root}/{RUN}")
    publish_copy(small_run, writer)
    objects = Objects(f"{memory_root}/{RUN}")
    old = manifests.newest(objects)
    add_file(writer, "config.yaml", (small_run / "config.yaml").read_bytes() + b"# more\n")
    objects.remove([old.run["config.yaml"].object])
    newest, answers = manifests.newest, [old]
    monkeypatch.setattr(
        mirrors, "newest", lambda *given: answers.pop() if answers else newest(*given)
    )
    reader = machine("b", f"{memory_root}/{RUN}")
    refresh(reader)
    assert (reader / "config.yaml").read_bytes().endswith(b"# more\n")


def test_a_training_of_another_machine_is_seen_without_its_weights(
    memory_root, machine, monkeypatch
):
    monkeypatch.setattr(mirrors, "LARGE", 20)
    path = machine("a", f"{memory_root}/{RUN}")
    with locked_run(path):
        begin_training(path, 10)
    seen = machine("b", f"{memory_root}/{RUN}")
    refresh(seen)
    assert set(contents(partial_path(seen))) == {
        "config.yaml",
        "history.csv",
        "checkpoints/index.json",
    }
    with locked_run(seen):
        assert "checkpoints/step-000010/model.weights.h5" in contents(partial_path(seen))


def test_a_full_disk_is_noticed_before_anything_is_fetched(
    memory_root, machine, small_run, monkeypatch, downloads
):
    publish_copy(small_run, machine("a", f"{memory_root}/{RUN}"))
    machine("b", memory_root)
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 0))
    with pytest.raises(UserError, match=r" 0\.0 kB free on this disk: make room"):
        list_runs(memory_root)
    assert not downloads


def test_a_run_that_is_damaged_for_everybody_is_listed_as_such(memory_root, machine, small_run):
    path = machine("a", f"{memory_root}/{RUN}")
    publish_copy(small_run, path)
    add_file(path, "metrics.json", "{")
    machine("b", memory_root)
    [run] = list_runs(memory_root)
    assert isinstance(run, BrokenRun)
    assert read_state(run.path).manifest.number == 2

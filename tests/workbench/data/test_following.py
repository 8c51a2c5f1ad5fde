"""Runs at a URL, as the app follows them."""

import shutil
import time

import pytest

from retrieval.errors import UserError
from retrieval.runs.places import NOTES_FILE
from retrieval.storage.addresses import located
from retrieval.storage.manifests import newest
from retrieval.storage.objects import Objects
from tests.object_store import machine, memory_root
from tests.runs.at_url import add_file, publish_copy
from workbench.data import following
from workbench.data.following import follow, problem_of
from workbench.data.loading import find_run, load_runs
from workbench.data.notes import note_of, write_note

__all__ = ["machine", "memory_root"]


@pytest.fixture
def published(memory_root, runs_root, machine, monkeypatch):
    """Publish one run, and look at it as the app of another machine."""
    [run] = [path for path in runs_root.glob("*/*") if path.name.startswith("lifted")]
    url = f"{memory_root}/{run.parent.name}/{run.name}"
    publish_copy(run, machine("a", url))
    machine("app", memory_root)
    monkeypatch.setenv("RETRIEVAL_RUNS", memory_root)
    monkeypatch.setattr(following, "EVERY", 0.0)
    following._follower.clear()
    return url


def test_the_runs_at_a_url_are_there_when_the_app_looks(published):
    runs, broken = load_runs()
    assert [run.name for run in runs] == [published.rpartition("/")[2]]
    assert broken == []
    assert find_run(*published.split("/")[-2:]) is not None


def test_a_changed_run_is_shown_without_a_restart(published, machine, memory_root):
    load_runs()
    add_file(machine("a", published), "extra.txt", "new")
    path = machine("app", published)
    until = time.monotonic() + 20
    while not (path / "extra.txt").exists():
        assert time.monotonic() < until
        load_runs()
        time.sleep(0.02)


def test_without_the_store_the_app_goes_on_with_what_it_has(published, monkeypatch):
    root = located(published).parents[1]
    assert load_runs()[0]
    assert problem_of(root) == ""
    monkeypatch.setattr(following, "refresh", _fails)
    until = time.monotonic() + 20
    while not problem_of(root):
        assert time.monotonic() < until
        assert load_runs()[0]
        time.sleep(0.02)
    assert problem_of(root) == "memory://lab: cannot be reached"


def _fails(*_, **__):
    raise UserError("memory://lab: cannot be reached")


def test_a_plain_folder_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(following, "refresh", _fails)
    follow(tmp_path)
    assert problem_of(tmp_path) == ""


def test_a_note_is_published(published, machine):
    run = load_runs()[0][0]
    write_note(run, 3, "duplicate", "of the next")
    found = newest(Objects(published))
    assert NOTES_FILE in found.run
    reader = machine("b", published)
    follow(reader.parents[1])
    other = load_runs()[0][0]
    assert other.path == reader
    assert note_of(other, 3) == ("duplicate", "of the next")
    write_note(other, 3, "", "")
    assert NOTES_FILE not in newest(Objects(published)).run
    shutil.rmtree(reader.parents[1])

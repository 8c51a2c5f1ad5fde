"""Runs at a URL, as they are made and changed."""

import dataclasses
import json
import threading
import time
from datetime import timedelta

import pytest

from retrieval.errors import UserError
from retrieval.runs import publication
from retrieval.runs.live import Live, list_trainings
from retrieval.runs.mirrors import read_state, refresh
from retrieval.runs.places import LIVE_FILE, NOTES_FILE, partial_path
from retrieval.runs.process import Process
from retrieval.runs.publication import change_notes, notes_lock
from retrieval.runs.store import changed_run, list_runs, locked_run, publish, settle
from retrieval.storage import manifests
from retrieval.storage.manifests import newest
from retrieval.storage.objects import Objects
from tests.runs.at_url import add_file, begin_training, contents, publish_copy, write

RUN = "birds/one"
ELSEWHERE = dataclasses.replace(Process.of_this_one(), host="gpu-17")


@pytest.fixture
def url(memory_root):
    return f"{memory_root}/{RUN}"


@pytest.fixture
def objects(url):
    return Objects(url)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(publication, "LOOKS_EVERY", 0.02)
    monkeypatch.setattr(publication, "RENEWED_EVERY", 0.05)
    monkeypatch.setattr(publication, "EXPIRES", 0.5)


def claim_of(process, count=1, live=None) -> bytes:
    words = {"token": "other", "process": vars(process), "renewed": count, "live": live}
    return json.dumps(words).encode()


def test_a_block_that_changes_nothing_publishes_nothing(url, machine, objects, small_run):
    path = machine("a", url)
    publish_copy(small_run, path)
    before = newest(objects)
    with locked_run(path):
        pass
    assert newest(objects) == before
    assert set(objects.list()) == {"manifest-00000001.json", "objects"}


def test_a_file_of_an_equal_content_is_sent_once(url, machine, objects, small_run, monkeypatch):
    path = machine("a", url)
    publish_copy(small_run, path)
    sent = []
    upload = Objects.upload
    monkeypatch.setattr(
        Objects, "upload", lambda self, *given: (sent.append(given[1]), upload(self, *given))
    )
    with locked_run(path), changed_run(path) as folder:
        write(folder, "one.txt", "new")
        write(folder, "two.txt", "new")
    assert len(sent) == 1


def test_a_second_process_of_this_machine_is_refused_at_once(url, machine, small_run):
    path = machine("a", url)
    publish_copy(small_run, path)
    with locked_run(path):
        other = machine("b", url)  # another cache of the same machine
        with (
            pytest.raises(UserError, match=r"^memory://.* is being made or changed by process \d+"),
            locked_run(other),
        ):
            pass
        machine("a", url)


def test_another_machine_that_works_on_the_run_is_named(url, machine, objects):
    path = machine("a", url)
    ended = threading.Event()

    def renew() -> None:
        count = 0
        while not ended.wait(0.05):
            count += 1
            objects.write("writer.json", claim_of(ELSEWHERE, count))

    objects.write("writer.json", claim_of(ELSEWHERE))
    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with (
            pytest.raises(UserError, match=r"by process \d+ on gpu-17: wait for it"),
            locked_run(path),
        ):
            pass
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("content", [claim_of(ELSEWHERE), b"{", b"[]", b'{"process": 3}'])
def test_the_claim_of_a_machine_that_is_gone_is_taken_over(url, machine, objects, content):
    objects.write("writer.json", content)
    path = machine("a", url)
    begun = time.monotonic()
    with locked_run(path):
        assert time.monotonic() - begun > publication.EXPIRES
        begin_training(path, 10)
    assert newest(objects).training is not None
    assert "writer.json" not in objects.list()


def test_the_claim_of_a_killed_process_of_this_machine_counts_for_nothing(url, machine, objects):
    gone = dataclasses.replace(Process.of_this_one(), begun=1.0)
    objects.write("writer.json", claim_of(gone))
    begun = time.monotonic()
    with locked_run(machine("a", url)):
        assert time.monotonic() - begun < publication.EXPIRES


def test_who_lost_the_claim_publishes_nothing(url, machine, objects, small_run):
    path = machine("a", url)
    publish_copy(small_run, path)
    before = newest(objects)

    def change() -> None:
        with locked_run(path), changed_run(path) as folder:
            write(folder, "extra.txt", "lost")
            objects.write("writer.json", claim_of(ELSEWHERE))
            time.sleep(0.3)

    with pytest.raises(UserError, match=r"was taken over by process \d+ on gpu-17"):
        change()
    assert newest(objects) == before
    assert json.loads(objects.read("writer.json"))["token"] == "other"


def test_of_two_publishers_the_second_is_refused_and_the_first_stays(
    url, machine, objects, small_run, monkeypatch
):
    """The claim is ignored here, as if the clock or the network had failed."""
    monkeypatch.setattr(publication, "RENEWED_EVERY", 60)
    path = machine("a", url)
    publish_copy(small_run, path)

    def change() -> None:
        with locked_run(path), changed_run(path) as folder:
            write(folder, "extra.txt", "second")
            objects.remove(["writer.json"])
            add_file(machine("b", url), "extra.txt", "first")
            machine("a", url)

    with pytest.raises(UserError, match=r"was changed by another process meanwhile: look at"):
        change()
    reader = machine("c", url)
    refresh(reader)
    assert (reader / "extra.txt").read_text() == "first"
    machine("a", url)
    refresh(path)
    assert (path / "extra.txt").read_text() == "first"


def test_every_checkpoint_is_published_while_the_training_goes_on(url, machine, objects):
    path = machine("a", url)
    with locked_run(path):
        for step in (10, 20):
            begin_training(path, step)
            until = time.monotonic() + 20
            name = f"checkpoints/step-{step:06d}/model.weights.h5"
            while name not in (newest(objects).training or {}):
                assert time.monotonic() < until
                time.sleep(0.02)
    assert newest(objects).run is None


def test_another_machine_continues_where_the_last_checkpoint_was_published(url, machine, objects):
    path = machine("a", url)
    with locked_run(path):
        begin_training(path, 10)
    lost = contents(partial_path(path))
    other = machine("b", url)
    with locked_run(other):
        assert contents(partial_path(other)) == lost
        begin_training(other, 20)
    with locked_run(machine("a", url)):
        assert contents(partial_path(path)) == contents(partial_path(other))
    assert newest(objects).number == 2


def test_a_training_that_ends_leaves_the_store_with_the_finished_run(
    url, machine, objects, small_run
):
    path = machine("a", url)
    with locked_run(path):
        begin_training(path, 10)
    with locked_run(path):
        for name, content in contents(small_run).items():
            write(partial_path(path), name, content)
        publish(path)
    found = newest(objects)
    assert found.training is None
    assert "checkpoints/index.json" in found.run
    reader = machine("b", url)
    refresh(reader)
    assert not partial_path(reader).exists()
    assert contents(reader) == contents(path)


def test_what_could_not_be_published_is_published_by_the_next_command(
    url, machine, objects, small_run, monkeypatch
):
    path = machine("a", url)

    def broken(*_):
        raise UserError("no network")

    with monkeypatch.context() as patch:
        patch.setattr(publication, "create_manifest", broken)
        with pytest.raises(
            UserError, match=r"^not published, and kept on this machine: no network; the same"
        ):
            publish_copy(small_run, path)
    assert newest(objects) == manifests.NOTHING
    assert contents(path) == contents(small_run)
    refresh(path)
    assert contents(path) == contents(small_run), "kept, as nobody else has published anything"
    settle(path)
    assert not read_state(path).is_open
    reader = machine("b", url)
    refresh(reader)
    assert contents(reader) == contents(small_run)


def test_a_failed_block_publishes_the_training_and_raises_its_own_error(url, machine, objects):
    path = machine("a", url)

    def train() -> None:
        with locked_run(path):
            begin_training(path, 10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    assert "checkpoints/index.json" in newest(objects).training


def test_superseded_objects_go_after_the_grace(url, machine, objects, small_run, monkeypatch):
    path = machine("a", url)
    publish_copy(small_run, path)
    for number in range(3):
        add_file(path, "extra.txt", str(number))
    assert len(manifests.manifest_numbers(objects.list())) == 4
    monkeypatch.setattr(manifests, "GRACE", timedelta(seconds=-1))
    add_file(path, "extra.txt", "last")
    assert manifests.manifest_numbers(objects.list()) == [5]
    kept = {f"objects/{name}" for name in objects.list("objects")}
    assert kept == newest(objects).objects()


def test_a_live_training_of_another_machine_is_listed(url, machine, objects, memory_root):
    path = machine("a", url)
    live = Live(ELSEWHERE, 1.0, time.time(), 60.0, steps=100, step=7)
    with locked_run(path):
        write(partial_path(path), LIVE_FILE, json.dumps(live.to_mapping()))
        time.sleep(0.2)
        reader = machine("b", memory_root)
        refresh(reader)
        [training] = list_trainings(reader)
        assert (training.state, training.live.step, training.name) == ("running", 7, "one")
        machine("a", url)
        partial_path(path).joinpath(LIVE_FILE).unlink()
    refresh(machine("b", memory_root))
    assert list_trainings(reader) == []


def note(path, text: str) -> None:
    file = path / NOTES_FILE

    def change() -> None:
        file.write_text((file.read_text() if file.exists() else "") + f"{text}\n")

    with notes_lock(path):
        change_notes(path, change)


def test_notes_of_two_machines_are_all_kept(url, machine, objects, small_run):
    path = machine("a", url)
    publish_copy(small_run, path)
    note(path, "of a")
    other = machine("b", url)
    refresh(other)
    note(other, "of b")
    machine("a", url)
    note(path, "again of a")
    refresh(machine("c", url))
    assert (machine("c", url) / NOTES_FILE).read_text() == "of a\nof b\nagain of a\n"


def test_notes_that_are_written_while_a_run_is_made_anew_are_kept(url, machine, small_run):
    path = machine("a", url)
    publish_copy(small_run, path)
    with locked_run(path), changed_run(path) as folder:
        write(folder, "extra.txt", "new")
        other = machine("b", url)
        refresh(other)
        note(other, "meanwhile")
        machine("a", url)
    reader = machine("c", url)
    refresh(reader)
    assert (reader / NOTES_FILE).read_text() == "meanwhile\n"
    assert (reader / "extra.txt").read_text() == "new"


def test_a_note_that_cannot_be_published_is_not_kept_here_either(
    url, machine, small_run, monkeypatch
):
    path = machine("a", url)
    publish_copy(small_run, path)
    note(path, "before")

    def refused(*_):
        raise UserError("permission denied")

    monkeypatch.setattr(publication, "create_manifest", refused)
    with pytest.raises(UserError, match="permission denied"):
        note(path, "lost")
    assert (path / NOTES_FILE).read_text() == "before\n"


def test_a_note_does_not_make_others_fetch_the_run_again(url, machine, small_run):
    path = machine("a", url)
    publish_copy(small_run, path)
    refresh(path)
    number = path.stat().st_ino
    note(path, "one")
    refresh(path)
    assert path.stat().st_ino == number
    assert len(list_runs(url.removesuffix(f"/{RUN}"))) == 1

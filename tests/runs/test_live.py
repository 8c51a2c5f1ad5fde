"""Trainings that are not finished: what the reader makes of the files that they leave."""

import dataclasses
import json
import os
import time

import pytest

from retrieval.errors import UserError
from retrieval.runs.live import finished_names, forget, history_of, list_trainings, read_live
from retrieval.runs.lock import run_lock
from retrieval.runs.places import LIVE_FILE, partial_path
from retrieval.runs.process import Process
from tests.runs.unfinished import live, process_elsewhere, process_gone, write_queue, write_training


@pytest.fixture
def run(tmp_path):
    return tmp_path / "runs" / "photos" / "one"


def only(path):
    (found,) = list_trainings(path.parents[1])
    assert found.path == path
    return found


def test_a_training_whose_process_lives_and_moves_is_running(run):
    write_training(run, live())
    found = only(run)
    assert (found.state, found.command, found.is_alive) == ("running", None, True)
    assert (found.dataset, found.name, found.live.step) == ("photos", "one", 437)


@pytest.mark.parametrize("process", [Process.of_this_one, process_elsewhere])
def test_one_that_has_not_moved_for_longer_than_it_expects_is_stalled(run, process):
    now = time.time()
    write_training(run, live(process=process(), updated=now - 119, patience=120.0))
    assert list_trainings(run.parents[1], now=now)[0].state == "running"
    assert list_trainings(run.parents[1], now=now + 2)[0].state == "stalled"


def test_one_whose_process_is_gone_is_interrupted_and_says_how_to_go_on(run):
    write_training(run, live(process=process_gone(), evaluate=False))
    found = only(run)
    assert (found.state, found.is_alive) == ("interrupted", False)
    assert found.command == f"retrieval train --resume {run} --no-evaluate"


def test_the_number_of_a_process_that_was_used_again_is_another_process(run):
    long_ago = dataclasses.replace(Process.of_this_one(), begun=Process.of_this_one().begun - 60)
    write_training(run, live(process=long_ago))
    assert only(run).state == "interrupted"


def test_a_process_of_another_computer_or_container_is_not_asked(run):
    elsewhere = dataclasses.replace(process_gone(), space="pid:[1]")
    write_training(run, live(process=elsewhere))
    assert only(run).state == "running"
    assert process_elsewhere().is_gone() is None


def test_a_stalled_one_of_another_computer_may_have_died_so_its_command_is_shown(run):
    write_training(run, live(process=process_elsewhere(), updated=time.time() - 500))
    found = only(run)
    assert (found.state, found.command) == ("stalled", f"retrieval train --resume {run}")


def test_one_that_replaces_a_finished_run_is_continued_with_overwrite(run):
    write_training(run, live(process=process_gone(), overwrite=True))
    assert only(run).command == f"retrieval train --resume {run}"
    run.mkdir()
    assert only(run).command == f"retrieval train --resume {run} --overwrite"


def test_a_failed_one_says_why_also_before_its_first_checkpoint(run):
    said = live(state="failed", error="step 3: the loss is nan", checkpoint=None, step=3, recent=())
    write_training(run, said, saved=0)
    found = only(run)
    assert (found.state, found.error) == ("failed", "step 3: the loss is nan")
    assert found.command == f"retrieval train --resume {run}"
    assert len(history_of(found)) == 0


def test_a_failed_one_without_settings_is_begun_again_by_its_own_command(run):
    write_training(run, live(state="failed", error="x"), saved=0, config=False)
    assert only(run).command == "retrieval train --loss npairs_loss"


def test_a_folder_that_says_nothing_is_in_its_first_moment_or_of_an_older_version(run):
    folder = write_training(run, None)
    assert (only(run).state, only(run).live) == ("running", None)
    os.utime(folder, (time.time() - 60,) * 2)
    assert only(run).state == "interrupted"
    assert only(run).command == f"retrieval train --resume {run}"


def test_the_folder_of_an_import_in_progress_is_no_training(run):
    write_training(run, None, saved=0, config=False)
    assert list_trainings(run.parents[1]) == []


def test_no_folder_of_runs_has_no_trainings(tmp_path):
    assert list_trainings(tmp_path / "nowhere") == []
    assert finished_names(tmp_path / "nowhere") == frozenset()


@pytest.mark.parametrize(
    "text", ["", "{", '{"process": {}}', "[]", '{"process": 3}', "\udcff", "null"]
)
def test_a_torn_or_foreign_file_says_nothing_and_harms_nothing(run, text):
    folder = write_training(run, live())
    (folder / LIVE_FILE).write_bytes(text.encode(errors="surrogateescape"))
    assert read_live(folder) is None
    assert only(run).live is None


HOSTILE = [
    {"updated": "noon"}, {"patience": None}, {"recent": [[1, 10**400]]}, {"step": "a"},
    {"process": {"pid": "x", "host": "", "space": "", "begun": 0.0}},
]  # fmt: skip


@pytest.mark.parametrize("changes", HOSTILE, ids=lambda changes: next(iter(changes)))
def test_values_of_another_kind_say_nothing_and_harm_nothing(run, changes):
    folder = write_training(run, live(), config=False)
    values = json.loads((folder / LIVE_FILE).read_text())
    (folder / LIVE_FILE).write_text(json.dumps(values | changes))
    assert read_live(folder) is None
    assert list_trainings(run.parents[1]) == []


def test_a_file_without_end_or_of_endless_depth_is_not_read(run):
    folder = write_training(run, live(), config=False)
    (folder / LIVE_FILE).write_text("[" * 200_000)
    assert read_live(folder) is None
    with (folder / LIVE_FILE).open("wb") as file:
        file.truncate(1 << 40)  # takes no space on the disk
    assert read_live(folder) is None


def test_no_process_has_a_number_below_zero():
    assert dataclasses.replace(Process.of_this_one(), pid=-1).is_gone()


def test_a_file_of_a_later_version_is_read_as_far_as_it_is_understood(run):
    folder = write_training(run, live())
    values = json.loads((folder / LIVE_FILE).read_text()) | {"mood": "fine"}
    (folder / LIVE_FILE).write_text(json.dumps(values))
    assert read_live(folder) == live_at(folder, values)


def live_at(folder, values):
    del values["mood"]
    (folder / LIVE_FILE).write_text(json.dumps(values))
    return read_live(folder)


def test_the_history_is_what_is_saved_and_then_what_the_training_says(run):
    write_training(run, live(recent=((398, 0.1), (402, 0.2), (410, 0.3))), saved=400)
    history = history_of(only(run))
    assert history["step"].tolist() == [*range(1, 401), 402, 410]
    assert history["loss"].tolist()[-2:] == [0.2, 0.3]
    assert history["recall@1"].notna().sum() == 4


@pytest.mark.parametrize(
    ("text", "rows"),
    [("", 0), ("step,loss\n1,0.5\n2", 1), ("a,b\n1,2\n", 0), ("step,loss\nx,y\n3,1\n", 1)],
)
def test_a_torn_history_has_the_rows_that_are_whole(run, text, rows):
    folder = write_training(run, live(recent=()), saved=0)
    (folder / "history.csv").write_text(text)
    assert len(history_of(only(run))) == rows


def test_looking_takes_no_lock_and_changes_nothing(run):
    write_training(run, live())
    with run_lock(run):
        before = sorted((p, p.stat().st_mtime_ns) for p in run.parent.rglob("*"))
        assert only(run).state == "running"
        assert sorted((p, p.stat().st_mtime_ns) for p in run.parent.rglob("*")) == before


def test_runs_of_a_queue_that_were_not_begun_wait(run):
    root = run.parents[1]
    write_training(run, live())
    states = {"photos/one": "waiting", "photos/two": "waiting", "photos/made": "done"}
    write_queue(root, states, process=Process.of_this_one())
    one, two = list_trainings(root)
    assert (one.name, one.state) == ("one", "running")
    assert (two.name, two.state, two.command, two.is_alive) == ("two", "waiting", None, True)


def test_runs_of_a_queue_whose_process_is_gone_wait_for_its_command(run):
    root = run.parents[1]
    (root / "photos" / "made").mkdir(parents=True)
    states = {"photos/made": "waiting", "photos/two": "waiting", "photos/bad": "failed"}
    write_queue(root, states, process=process_gone(), errors={"photos/bad": "no memory"})
    bad, two = list_trainings(root)
    assert (bad.state, bad.error) == ("failed", "no memory")
    assert (two.name, two.state, two.is_alive) == ("two", "waiting", False)
    assert bad.command == two.command == "retrieval sweep grid.yaml"


@pytest.mark.parametrize("process", [Process.of_this_one, process_gone])
def test_a_command_that_still_reads_its_data_set_is_running_until_it_is_killed(run, process):
    said = live(stage="preparing", task="checking images", done=30, total=120, step=0)
    root, who = run.parents[1], process()
    file = write_queue(root, {"photos/one": "waiting"}, process=who)
    said = dataclasses.replace(said, process=who)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"live": dataclasses.asdict(said)}))
    found = list_trainings(root)
    if who.is_gone():
        assert found == []  # it had begun nothing
    else:
        assert [each.state for each in found] == ["running"]
        assert found[0].live.stage_words() == "preparing: checking images, 30 of 120"
        assert found[0].live.share() == 0.25


def test_a_damaged_queue_is_ignored(tmp_path):
    for text in ("", "{}", '{"process": 1, "runs": [], "errors": {}, "command": ""}'):
        (tmp_path / ".queue-x.json").write_text(text)
        assert list_trainings(tmp_path) == []


def test_a_run_that_is_replaced_counts_as_another(run):
    run.mkdir(parents=True)
    first = finished_names(run.parents[1])
    (run.parent / ".hidden").mkdir()
    assert finished_names(run.parents[1]) == first
    again = run.with_name("new")
    again.mkdir()
    run.rmdir()
    again.rename(run)
    assert finished_names(run.parents[1]) != first


def test_what_nobody_works_on_can_be_forgotten(run):
    root = run.parents[1]
    write_training(run, live(process=process_gone()))
    queue = write_queue(
        root, {"photos/one": "failed", "photos/two": "waiting"}, process=process_gone()
    )
    forget(run)
    assert not partial_path(run).exists()
    assert [each.name for each in list_trainings(root)] == ["two"]
    forget(root / "photos" / "two")
    assert list_trainings(root) == []
    assert not queue.exists()


def test_a_living_training_is_not_forgotten_and_neither_is_what_is_not_there(run):
    write_training(run, live())
    with pytest.raises(UserError, match="one is running: stop its process first"):
        forget(run)
    with pytest.raises(UserError, match=f"no training at .*two that is not finished: {run}"):
        forget(run.with_name("two"))
    assert partial_path(run).exists()

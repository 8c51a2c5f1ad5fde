"""A finished run changes as a whole: readers see one evaluation or the next, never a mixture."""

import errno
import json
import shutil
import threading

import numpy as np
import pytest

from retrieval.errors import UserError
from retrieval.experiment.pipeline import embed
from retrieval.files import making_lock
from retrieval.runs.evaluate import evaluate_run
from retrieval.runs.lock import run_lock
from retrieval.runs.places import final_path, next_path, old_path, partial_path
from retrieval.runs.run import ChangedRun, Run
from retrieval.runs.store import changed_run, check_free, list_runs, locked_run, open_run
from tests.experiment.helpers import files_of

ALL = "leave_one_out"


@pytest.fixture
def run(made):
    return open_run(made)


def test_a_change_that_fails_leaves_the_run_as_it_was(run):
    before = files_of(run.path)

    def change():
        with locked_run(run.path), changed_run(run.path) as folder:
            (folder / "metrics.json").unlink()
            raise KeyError

    with pytest.raises(KeyError):
        change()
    assert files_of(run.path) == before
    assert {p.name for p in run.path.parent.iterdir()} == {run.name}


def test_a_change_appears_at_once_and_keeps_the_other_files(run):
    checkpoint = run.path / "checkpoints" / "step-000001" / "state.npz"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"state")
    with locked_run(run.path), changed_run(run.path) as folder:
        (folder / "history.csv").unlink(missing_ok=True)
        (folder / "history.csv").write_text("step,loss\n1,2\n")
        assert open_run(run.path).history.empty
    again = open_run(run.path)
    assert again.history["loss"].tolist() == [2]
    assert checkpoint.read_bytes() == b"state"
    np.testing.assert_array_equal(again.embeddings, run.embeddings)


def test_parts_of_two_evaluations_are_never_mixed(run):
    opened = Run(run.path)
    _ = opened.items
    evaluate_run(run.path, progress=False)
    with pytest.raises(ChangedRun, match=str(run.path)):
        _ = opened.embeddings
    assert len(open_run(run.path).embeddings) == len(opened.items)


def test_a_lock_that_could_not_be_removed_is_not_published(run):
    with locked_run(run.path), changed_run(run.path) as folder:
        making_lock(folder / "step-000001").touch()
    assert not list(run.path.glob(".*"))


def test_maps_of_the_old_evaluation_stay_readable(run):
    opened = open_run(run.path)
    embeddings, ids = opened.embeddings, opened.neighbors().ids
    wanted = np.array(embeddings), np.array(ids)
    evaluate_run(run.path, progress=False)
    np.testing.assert_array_equal(embeddings, wanted[0])
    np.testing.assert_array_equal(ids, wanted[1])


def test_readers_find_a_whole_run_while_it_is_evaluated_again(run):
    problems, done = [], threading.Event()

    def read():
        while not done.is_set():
            try:
                opened = open_run(run.path)
                assert len(opened.embeddings) == len(opened.items) == len(opened.neighbors(ALL).ids)
            except ChangedRun:
                continue
            except Exception as error:
                problems.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(5):
        evaluate_run(run.path, progress=False)
    done.set()
    reader.join()
    assert problems == []


@pytest.mark.parametrize("name", ["embeddings.npy", "items.parquet", "neighbours.npz"])
def test_a_file_of_another_evaluation_is_damage_and_the_command_mends_it(run, name):
    metrics = json.loads((run.path / "metrics.json").read_text())
    metrics["computed_from"][name] += 1  # as if the file had been copied from elsewhere
    (run.path / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(UserError, match=f"{name}.*`retrieval evaluate {run.path}`"):
        open_run(run.path)
    evaluate_run(run.path, progress=False)
    open_run(run.path)


def test_every_change_takes_the_lock(run):
    with run_lock(run.path), pytest.raises(UserError, match="another process"):
        evaluate_run(run.path, progress=False)


def test_what_a_killed_process_left_is_cleaned_by_the_next(run):
    shutil.copytree(run.path, next_path(run.path))
    shutil.copytree(run.path, old_path(run.path))
    (run.path.parent / f".{run.name}.lock").touch()
    evaluate_run(run.path, progress=False)
    assert {p.name for p in run.path.parent.iterdir()} == {run.name}


def test_a_run_whose_replacement_was_killed_between_two_renames_is_found(run):
    run.path.rename(old_path(run.path))
    (found,) = list_runs(run.path.parents[1])
    assert found.path == run.path
    run.path.rename(old_path(run.path))
    assert open_run(run.path).name == run.name
    run.path.rename(old_path(run.path))
    assert evaluate_run(run.path, progress=False).name == run.name


@pytest.mark.parametrize("suffix", ["old", "next"])
@pytest.mark.parametrize("beside", [None, "", "photo.jpg"])
def test_a_hidden_folder_of_the_users_is_left_as_it_is(tmp_path, suffix, beside):
    path = tmp_path / "home" / "config"
    theirs = path.parent / f".config.{suffix}"
    theirs.mkdir(parents=True)
    (theirs / "thesis.txt").write_text("theirs")
    if beside is not None:
        path.mkdir()
    if beside:
        (path / beside).touch()
    for command in (open_run, evaluate_run):
        with pytest.raises(UserError):
            command(path)
    list_runs(tmp_path)
    assert (theirs / "thesis.txt").read_text() == "theirs"


def test_a_command_for_a_run_that_does_not_exist_makes_no_folder(tmp_path):
    for command in (open_run, evaluate_run, embed):
        with pytest.raises(UserError, match="no run at"):
            command(tmp_path / "mistyped" / "cub200" / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_moved_to_another_disk_stays_linked(run, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "index.json").write_text("{}")
    (run.path / "checkpoints").symlink_to(tmp_path / "disk")
    evaluate_run(run.path, progress=False)
    assert (run.path / "checkpoints").readlink() == tmp_path / "disk"
    assert (tmp_path / "disk" / "index.json").exists()


def test_a_disk_that_is_full_halfway_through_the_copy_keeps_nothing_of_it(run, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("retrieval.runs.store.link_or_copy", full)
    with pytest.raises(OSError, match="No space"):
        evaluate_run(run.path, progress=False)
    assert {p.name for p in run.path.parent.iterdir()} == {run.name}


def test_a_hidden_folder_tells_its_run(run):
    for hidden in (partial_path, next_path, old_path):
        assert final_path(hidden(run.path)) == run.path
    assert final_path(run.path) == run.path


@pytest.mark.parametrize("config", [None, "name: of another program\n", ""])
def test_a_folder_that_is_not_a_run_is_never_replaced(tmp_path, config):
    path = tmp_path / "runs" / "mine"
    path.mkdir(parents=True)
    (path / "thesis.txt").write_text("mine")
    if config is not None:
        (path / "config.yaml").write_text(config)
    for overwrite in (False, True):
        with pytest.raises(UserError, match="is not a run"):
            check_free(path, overwrite=overwrite)
    assert (path / "thesis.txt").read_text() == "mine"


def test_a_run_with_a_damaged_record_may_be_replaced(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    check_free(path, overwrite=True)  # an empty folder is nobody's
    for name in ("config.yaml", "items.parquet"):
        (path / name).write_bytes(b"")
    check_free(path, overwrite=True)
    with pytest.raises(UserError, match="--overwrite"):
        check_free(path, overwrite=False)

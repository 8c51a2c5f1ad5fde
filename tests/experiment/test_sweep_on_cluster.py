"""A sweep on a cluster: the same runs as here, whatever fails or is lost."""

import contextlib
import dataclasses
import os
import subprocess
import sys

import pytest

from retrieval.cluster import Node, Outcome, Resources
from retrieval.cluster.worker import environment
from retrieval.datasets import load_catalog
from retrieval.errors import UserError
from retrieval.experiment import session, tasks
from retrieval.experiment.session import FailedRuns, run_session
from retrieval.experiment.sweep import sweep
from retrieval.experiment.tasks import Place
from retrieval.runs.writing import describe_dataset
from tests.experiment.helpers import files_of


@pytest.fixture
def base(tiny):
    return {k: v for k, v in tiny.to_mapping().items() if v is not None} | {"steps": 4}


@pytest.mark.usefixtures("machines", "_apart_and_quick")
def test_a_sweep_on_a_cluster_makes_the_runs_that_it_makes_here(write, base, tmp_path):
    path = write({"base": base, "grid": {"learning_rate": [0.01, 1e30]}})
    lines, failures, views = [], {}, []
    options = {"announce": lines.append, "on_failure": failures.__setitem__}
    with pytest.raises(FailedRuns, match="1 of 2 runs failed"):
        sweep(path, runs=tmp_path / "there", place=Place("ray"), watch=views.append, **options)
    (failed,) = failures
    assert failed.endswith("learning_rate1e+30")
    assert lines[0].startswith("2 runs with 1 CPU each on 3 nodes: ")
    assert (views[-1].total, views[-1].finished, views[-1].failed) == (2, 1, 1)
    # In a process of as many threads as a task has: their number decides how sums are rounded.
    alone = subprocess.run(
        [sys.executable, "-m", "retrieval.cli", "sweep", path, "--runs", tmp_path / "here"],
        env=os.environ | environment(Resources()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert alone.returncode == 1, alone.stderr
    (there,), (here,) = ((tmp_path / name / "folder").glob("s*0.01") for name in ("there", "here"))
    there, here = files_of(there), files_of(here)
    assert set(there) == set(here)
    for name in ("embeddings.npy", "metrics.json", "history.csv"):
        assert there[name] == here[name]


@pytest.fixture
def _tasks_here(monkeypatch):
    """Let this process stand for the cluster: calls of the task, one after the other."""

    def run_tasks(function, calls, **_):
        for index, arguments in enumerate(calls):
            try:
                yield Outcome(index, function(**arguments))
            except Exception as error:
                yield Outcome(index, error=error)

    for module in (session, tasks):
        monkeypatch.setattr(module, "nodes", lambda: [Node("ab", "10.0.0.1", 8, 2, 1e9)])
    monkeypatch.setattr(session, "connected", lambda on: contextlib.nullcontext())
    monkeypatch.setattr(tasks, "run_tasks", run_tasks)
    monkeypatch.setattr(tasks, "check_shared", lambda folder, **_: None)
    monkeypatch.setattr(tasks, "import_tensorflow", lambda: None)


@pytest.mark.usefixtures("_tasks_here", "_apart_and_quick")
def test_a_failed_run_stops_no_other_and_finished_ones_are_kept(write, base, tmp_path):
    path = write({"base": base, "grid": {"learning_rate": [1e30, 0.01]}})
    lines, failures, views = [], {}, []
    options = {
        "runs": tmp_path / "runs", "announce": lines.append, "place": Place("ray", gpus=0.5),
        "on_failure": failures.__setitem__, "watch": views.append,
    }  # fmt: skip
    for _ in range(2):
        with pytest.raises(FailedRuns, match="1 of 2 runs failed") as caught:
            sweep(path, **options)
        assert [folder.name for folder in caught.value.folders] == [
            "semi_hard_triplet-learning_rate0.01"
        ]
    assert list(failures) == ["semi_hard_triplet-learning_rate1e+30"]
    first = "2 runs with 1 CPU and 0.5 GPUs each on 1 node: 10.0.0.1 (8 CPUs and 2 GPUs); up to 4"
    assert lines[0] == f"{first} at a time"
    assert any(line.endswith("rate0.01 exists; kept") for line in lines)
    assert (views[-1].total, views[-1].finished, views[-1].failed) == (2, 1, 1)


@pytest.mark.usefixtures("_tasks_here")
def test_a_mistake_of_the_program_is_shown_with_its_traceback_and_stops_no_other(
    write, base, tmp_path, monkeypatch
):
    path = write({"base": base, "grid": {"seed": [0, 1]}})

    def fails(*_, **__):
        error = ZeroDivisionError("division by zero")
        error.add_note("on node 10.0.0.2")
        raise error

    monkeypatch.setattr(tasks, "train_planned", fails)
    lines = []
    with pytest.raises(FailedRuns, match="2 of 2 runs failed") as caught:
        sweep(path, runs=tmp_path / "runs", announce=lines.append, place=Place("ray"))
    assert "on node 10.0.0.2" in lines
    assert {str(error) for error in caught.value.failed.values()} == {
        "ZeroDivisionError: division by zero (a mistake of this program)"
    }


@pytest.mark.usefixtures("_tasks_here")
def test_an_interrupted_sweep_says_what_is_left(write, base, tmp_path, monkeypatch):
    path = write({"base": base, "grid": {"seed": [0, 1, 2]}})

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(tasks, "train_planned", interrupted)
    with pytest.raises(KeyboardInterrupt, match="Not finished: 3 runs; the same command goes on"):
        sweep(path, runs=tmp_path / "runs", place=Place("ray"))


def test_a_node_with_other_data_is_named(shapes, tiny, tmp_path):
    other = describe_dataset(load_catalog("folder", shapes))
    with pytest.raises(UserError, match=r"has other data in .* \(items differ\)"):
        tasks.make_run(
            tiny, str(tmp_path / "runs/folder/one"), dataclasses.replace(other, items="other"),
            overwrite=False, evaluate=False,
        )  # fmt: skip


def test_numbers_that_cannot_be_meant_are_refused():
    with pytest.raises(UserError, match="--cpus 0: give a number above 0"):
        Place("ray", cpus=0)
    with pytest.raises(UserError, match=r"--gpus 1.5: give a whole number"):
        Place("ray", gpus=1.5)
    with pytest.raises(UserError, match="--retries -1: give 0 or more"):
        Place("ray", retries=-1)
    with pytest.raises(UserError, match="--on 'slurm': give local, ray"):
        Place("slurm")


def test_what_is_asked_of_a_cluster_is_refused_where_there_is_none(tiny, tmp_path):
    with pytest.raises(UserError, match="without --on, --cpus, --retries would have no effect"):
        Place(cpus=2, retries=5)
    with pytest.raises(UserError, match=r"share the whole cluster equally.*: drop --gpus"):
        run_session(
            tiny.to_mapping() | {"distribute": "workers", "workers": 2}, runs=tmp_path,
            place=Place("ray", gpus=2),
        )  # fmt: skip
    with pytest.raises(UserError, match=r"share the whole cluster equally.*: drop --retries"):
        run_session({}, runs=tmp_path, resume_path=tmp_path, place=Place("ray", retries=9))

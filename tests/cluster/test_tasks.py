"""Independent calls as Ray tasks."""

import threading
import time

import pytest

from retrieval.cluster import Resources, run_tasks
from retrieval.errors import UserError
from tests.cluster.functions import (
    die,
    die_once,
    fail_at,
    fill_the_disk,
    raise_awkward,
    square,
    variables,
    wait_for_interrupt,
    wait_on_first_node,
)

pytestmark = pytest.mark.usefixtures("machines")


def ordered(outcomes):
    return sorted(outcomes, key=lambda outcome: outcome.index)


def test_every_call_yields_its_value_with_its_index():
    found = ordered(run_tasks(square, [{"number": n} for n in range(5)]))
    assert [(each.index, each.value, each.error) for each in found] == [
        (n, n * n, None) for n in range(5)
    ]


def test_no_calls_are_no_outcomes():
    assert list(run_tasks(square, [])) == []


@pytest.mark.parametrize("kind", ["user", "other"])
def test_an_exception_is_the_outcome_of_its_call_and_stops_no_other(kind):
    found = ordered(run_tasks(fail_at, [{"number": n, "bad": 1, "kind": kind} for n in range(3)]))
    assert [each.value for each in found] == [0, None, 2]
    assert [each.error is None for each in found] == [True, False, True]


def test_a_user_error_arrives_as_one_line():
    (found,) = run_tasks(fail_at, [{"number": 1, "bad": 1, "kind": "user"}])
    assert isinstance(found.error, UserError)
    assert str(found.error) == "row 1 is bad"


def test_another_exception_keeps_its_type_and_names_the_node():
    (found,) = run_tasks(fail_at, [{"number": 1, "bad": 1, "kind": "other"}])
    assert isinstance(found.error, ValueError)
    assert str(found.error) == "a mistake"
    assert found.error.__notes__[0].startswith("on node ")
    assert "in fail_at" in found.error.__notes__[1]


def test_an_exception_that_cannot_be_unpickled_arrives_with_its_words():
    (found,) = run_tasks(raise_awkward, [{}])
    assert str(found.error) == "Awkward: left right"


def test_an_error_of_the_machine_names_the_node():
    (found,) = run_tasks(fill_the_disk, [{}])
    assert isinstance(found.error, UserError)
    assert str(found.error).startswith("/scratch/file: the disk is full")
    assert "[node " in str(found.error)


def test_a_killed_process_is_tried_again(tmp_path):
    (found,) = run_tasks(die_once, [{"marker": tmp_path / "died", "value": 7}])
    assert (found.value, found.error) == (7, None)


def test_a_process_that_is_killed_every_time_is_an_error_of_its_call():
    found = ordered(run_tasks(die, [{}], retries=1))
    assert "lost its node or process 2 times" in str(found[0].error)


def test_a_caller_that_stops_early_interrupts_the_tasks_as_ctrl_c_does(tmp_path):
    calls = [{"folder": tmp_path, "is_first": first} for first in (True, False)]
    outcomes = run_tasks(wait_for_interrupt, calls)
    assert next(outcomes).index == 0
    outcomes.close()
    assert (tmp_path / "interrupted").exists()


def test_a_task_of_a_lost_node_is_done_by_another(tmp_path, machines):
    def lose_it():
        file = tmp_path / "node"
        while not file.exists():
            time.sleep(0.05)
        lost = next(n for n in machines.added if n.node_id == file.read_text())
        machines.lose(lost)

    loser = threading.Thread(target=lose_it)
    loser.start()
    # The head, which cannot be lost here, has less than the others.
    (found,) = run_tasks(
        wait_on_first_node, [{"folder": tmp_path}], resources=Resources(cpus=machines.cpus)
    )
    loser.join()
    machines.keep(2)
    assert found.error is None
    assert found.value != (tmp_path / "node").read_text()


def test_threads_follow_the_processors_of_a_task_and_variables_of_ours_are_handed_on(monkeypatch):
    monkeypatch.setenv("RETRIEVAL_CACHE", "/shared/cache")
    names = ["OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "RETRIEVAL_CACHE", "CUDA_VISIBLE_DEVICES"]
    (found,) = run_tasks(variables, [{"names": names}], resources=Resources(cpus=2))
    assert found.value == {
        "OMP_NUM_THREADS": "2",
        "TF_NUM_INTRAOP_THREADS": "2",
        "RETRIEVAL_CACHE": "/shared/cache",
        "CUDA_VISIBLE_DEVICES": "",
    }


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (Resources(cpus=99), "99 CPUs asked for, but the cluster has 3 nodes"),
        (Resources(gpus=0.5), "1 CPU and 0.5 GPUs asked for"),
    ],
)
def test_what_no_node_has_is_refused(resources, words, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_CLUSTER_PATIENCE", "0")
    with pytest.raises(UserError, match=words):
        list(run_tasks(square, [{"number": 1}], resources=resources))

"""What a task may ask for, and how long to wait for it."""

import pytest

from retrieval.cluster import resources
from retrieval.cluster.nodes import Node
from retrieval.cluster.resources import DEFAULT_PATIENCE, PATIENCE, Resources, patience
from retrieval.errors import UserError


@pytest.mark.parametrize("cpus", [0, -1, float("nan"), float("inf")])
def test_processors_that_nothing_can_have_are_refused(cpus):
    with pytest.raises(UserError, match=f"--cpus {cpus:g}: give a number above 0"):
        Resources(cpus)


@pytest.mark.parametrize("gpus", [-0.5, 1.5, float("nan"), float("inf")])
def test_gpus_that_nothing_can_have_are_refused(gpus):
    with pytest.raises(UserError, match=f"--gpus {gpus:g}: give a whole number, or a fraction"):
        Resources(gpus=gpus)


@pytest.mark.parametrize("given", ["soon", "", "-1", "nan", "inf"])
def test_a_wait_for_nodes_without_an_end_is_refused(monkeypatch, given):
    monkeypatch.setenv(PATIENCE, given)
    with pytest.raises(UserError, match=f"{PATIENCE}={given}: give a number of seconds, 0 or more"):
        patience()


def test_nodes_are_waited_for_as_long_as_the_variable_says(monkeypatch):
    monkeypatch.setenv(PATIENCE, "0.5")
    assert patience() == 0.5
    monkeypatch.delenv(PATIENCE)
    assert patience() == DEFAULT_PATIENCE


@pytest.mark.parametrize("is_alone", [True, False])
def test_only_a_cluster_that_may_grow_is_waited_for(monkeypatch, is_alone):
    asked = []
    monkeypatch.setattr(resources, "nodes", lambda: [Node("ab", "10.0.0.2", 2, 0, 1e9, is_alone)])
    monkeypatch.setattr(resources, "wait_until", lambda _, seconds: asked.append(seconds))
    monkeypatch.setenv(PATIENCE, "7")
    with pytest.raises(UserError, match="99 CPUs asked for, but the cluster has 1 node") as caught:
        resources.check_possible(Resources(99))
    assert ("add nodes" in str(caught.value)) != is_alone
    assert asked == ([] if is_alone else [7.0])

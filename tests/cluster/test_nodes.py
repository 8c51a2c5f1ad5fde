"""What is asked of every node, also while nodes are lost."""

import dataclasses
import importlib

import pytest

from retrieval.cluster.nodes import nodes, on_every_node
from retrieval.errors import UserError

pytestmark = pytest.mark.usefixtures("machines")


def double(number):
    return 2 * number


def fail(number):
    raise ValueError(f"no {number}")


def test_every_node_answers():
    assert on_every_node(double, 4) == dict.fromkeys(nodes(), 8)
    assert len(nodes()) == 3
    with pytest.raises(UserError, match=r"node [0-9.]+ cannot work: .*no 4"):
        on_every_node(fail, 4)


def test_a_node_that_is_lost_before_it_is_asked_is_left_out(monkeypatch):
    living = nodes()
    lost = dataclasses.replace(living[0], identity="ab" * 28, address="192.0.2.77")
    seen = iter([[lost, *living]])
    module = importlib.import_module("retrieval.cluster.nodes")
    monkeypatch.setattr(module, "nodes", lambda: next(seen, living))
    assert on_every_node(double, 4) == dict.fromkeys(living, 8)

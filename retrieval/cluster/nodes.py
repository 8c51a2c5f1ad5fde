"""The machines of a cluster and what they have."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from retrieval.errors import UserError, counted

ANSWER = 120.0  # seconds for a node to start a process and answer
ALONE = "retrieval_alone"  # resource of the node of a cluster that `--on ray` starts here
LOST = 30.0  # seconds for the cluster to miss a node that it has lost, by default after 15


@dataclass(frozen=True)
class Node:
    """A living machine of the cluster.

    Attributes:
        identity: Ray's identity of it, hexadecimal digits.
        address: Its IP address.
        cpus: Processors that tasks may ask for.
        gpus: GPUs that tasks may ask for.
        memory: Bytes that tasks may ask for.
        is_alone: Whether it is, and stays, the only one. Defaults to False.
    """

    identity: str
    address: str
    cpus: float
    gpus: float
    memory: float
    is_alone: bool = False

    def __str__(self) -> str:
        return f"{self.address} ({amounts(self.cpus, self.gpus)})"


def nodes() -> list[Node]:
    """Return the living nodes of the cluster that this process is connected to, by address."""
    import ray

    found = [
        Node(
            identity=each["NodeID"],
            address=each["NodeManagerAddress"],
            cpus=each["Resources"].get("CPU", 0.0),
            gpus=each["Resources"].get("GPU", 0.0),
            memory=each["Resources"].get("memory", 0.0),
            is_alone=ALONE in each["Resources"],
        )
        for each in ray.nodes()
        if each["Alive"]
    ]
    return sorted(found, key=lambda node: (node.address, node.identity))


def on_every_node(function: Callable[..., Any], *arguments: Any) -> dict[Node, Any]:
    """Call a short function in a process of every node.

    Args:
        function: It; one that is made within another function is sent as it is, so that it runs
            where this package is missing.
        *arguments: Its arguments.

    Returns:
        What it returned there; a node that was lost meanwhile is left out.

    Raises:
        UserError: A node does not answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote = ray.remote(function)
    asked = {}
    for node in nodes():
        here = NodeAffinitySchedulingStrategy(node.identity, soft=False)
        options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": here}
        asked[remote.options(**options).remote(*arguments)] = node
    done, silent = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER)
    for node in (asked[reference] for reference in silent):
        if not _is_lost(node, within=0):
            raise UserError(
                f"node {node.address} does not answer within {ANSWER:.0f} s: see `ray status`, and "
                "whether this machine reaches it"
            )
    found = {}
    for reference in done:
        node = asked[reference]
        try:
            found[node] = ray.get(reference)
        except ray.exceptions.RayError as error:
            # Ray has many errors for a node that is lost: on its way there, at work, unschedulable.
            failed = isinstance(error, ray.exceptions.RayTaskError)
            if not failed and _is_lost(node, within=LOST):
                continue
            words = " ".join(str(error).split())[-300:]
            raise UserError(f"node {node.address} cannot work: {words}") from error
    return found


def _is_lost(node: Node, within: float) -> bool:
    """Return whether the cluster misses a node, or comes to miss it within some seconds."""
    deadline = time.monotonic() + within
    while node in nodes():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)
    return True


def amounts(cpus: float, gpus: float) -> str:
    """Return processors and GPUs in words.

    >>> amounts(1, 0), amounts(8, 0.5)
    ('1 CPU', '8 CPUs and 0.5 GPUs')
    """
    words = _amount(cpus, "CPU")
    return f"{words} and {_amount(gpus, 'GPU')}" if gpus else words


def _amount(number: float, noun: str) -> str:
    return counted(int(number), noun) if number == int(number) else f"{number:g} {noun}s"

"""A Ray cluster of several nodes on this machine, so that losing a node is a test."""

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

OBJECT_STORE = 80 << 20  # bytes of every node; Ray takes no less than 75 MiB
# Milliseconds: a killed node, which refuses to answer, is noticed after about two seconds, by
# default after fifteen. One that is only slow has a minute: a test machine has much to do.
NOTICED_SOON = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 20_000,
    "health_check_failure_threshold": 3,
}


@dataclass
class Machines:
    """The nodes; the first one is the head, which is never lost.

    Attributes:
        cluster: Ray's cluster.
        cpus: Processors that every node claims to have.
        added: The nodes beside the head.
    """

    cluster: Any
    cpus: int
    added: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        """``HOST:PORT`` of the head."""
        return self.cluster.address

    def add(self, **more: Any) -> Any:
        """Start a node and wait until the cluster has it."""
        node = self.cluster.add_node(
            num_cpus=self.cpus, object_store_memory=OBJECT_STORE, wait=True, **more
        )
        self.added.append(node)
        return node

    def lose(self, node: Any) -> None:
        """Kill a node with all its processes, as a power cut does."""
        self.added.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)

    def keep(self, number: int) -> None:
        """Have so many nodes beside the head."""
        while len(self.added) < number:
            self.add()
        while len(self.added) > number:
            self.lose(self.added[-1])


@contextlib.contextmanager
def started(nodes: int = 3, cpus: int = 2, head_cpus: int | None = None) -> Iterator[Machines]:
    """Run a cluster for the block; ``RAY_ADDRESS`` names it, for this and for child processes.

    Args:
        nodes: Number of nodes, with the head. Defaults to 3.
        cpus: Processors that every node claims to have. Defaults to 2.
        head_cpus: Those of the head. Defaults to None, as many.

    Yields:
        The nodes.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # By default, Ray gives workers so low a priority that beside other work they hardly run.
    os.environ.setdefault("RAY_worker_niceness", "0")
    from ray.cluster_utils import Cluster

    logging.getLogger("ray").setLevel(logging.ERROR)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": cpus if head_cpus is None else head_cpus,
            "object_store_memory": OBJECT_STORE,
            "include_dashboard": False,
            "_system_config": NOTICED_SOON,
        },
    )
    machines = Machines(cluster, cpus)
    before = os.environ.get("RAY_ADDRESS")
    os.environ["RAY_ADDRESS"] = machines.address
    try:
        machines.keep(nodes - 1)
        yield machines
    finally:
        if before is None:
            del os.environ["RAY_ADDRESS"]
        else:
            os.environ["RAY_ADDRESS"] = before
        cluster.shutdown()

"""What one task or actor needs of its node."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from retrieval.cluster.nodes import Node, amounts, nodes
from retrieval.errors import UserError, counted

PATIENCE = "RETRIEVAL_CLUSTER_PATIENCE"  # seconds to wait for nodes, e.g. of an autoscaler
DEFAULT_PATIENCE = 60.0
POLL = 0.5  # seconds between two looks at the nodes


@dataclass(frozen=True)
class Resources:
    """What one task or actor needs of its node.

    Attributes:
        cpus: Processors, which also bounds its threads. Defaults to 1.
        gpus: GPUs; a fraction shares one, with that part of its memory. Defaults to 0.

    Raises:
        UserError: A number of these that nothing can have.
    """

    cpus: float = 1
    gpus: float = 0

    def __post_init__(self) -> None:
        if not 0 < self.cpus < math.inf:  # nor nan, of which no comparison holds
            raise UserError(f"--cpus {self.cpus:g}: give a number above 0")
        if not 0 <= self.gpus < math.inf or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise UserError(
                f"--gpus {self.gpus:g}: give a whole number, or a fraction below 1 that shares one"
            )

    def __str__(self) -> str:
        return amounts(self.cpus, self.gpus)

    def copies(self, node: Node) -> int:
        """Return how many tasks of this size a node takes at a time."""
        by_cpus = int(node.cpus / self.cpus + 1e-6)
        if not self.gpus:
            return by_cpus
        if self.gpus < 1:
            return min(by_cpus, int(node.gpus) * int(1 / self.gpus + 1e-6))
        return min(by_cpus, int(node.gpus / self.gpus + 1e-6))


def check_possible(resources: Resources, size: int = 1) -> None:
    """Refuse work that the cluster could never begin; Ray itself would wait for ever.

    A cluster that may grow on demand is given ``$RETRIEVAL_CLUSTER_PATIENCE`` seconds, 60 by
    default, to come up with the nodes; the one that ``--on ray`` starts here gets no others.

    Args:
        resources: What one task needs.
        size: How many must run at the same time. Defaults to 1.

    Raises:
        UserError: Says what was asked for and what the cluster has.
    """
    _wait_for_nodes(resources, size)
    if _fits(resources, size):
        return
    found = nodes()
    asked = f"{counted(size, 'worker')} of {resources} each" if size > 1 else f"{resources}"
    more = f"add nodes (the variable {PATIENCE} sets how many seconds to wait for them)"
    if _is_alone(found):
        more = "give --on the address of a larger cluster"
    raise UserError(
        f"{asked} asked for, but the cluster has {counted(len(found), 'node')}: "
        f"{', '.join(map(str, found)) or 'none'}: lower --cpus, --gpus or the number of workers, "
        f"or {more}"
    )


def largest_possible(resources: Resources, sizes: Sequence[int]) -> int:
    """Return the first of some numbers of workers that the cluster has room for.

    Args:
        resources: What one worker needs.
        sizes: Numbers of workers, the wanted one first, which is waited for; see
            :func:`check_possible`.

    Returns:
        The number; the wanted one if there is room for none.
    """
    _wait_for_nodes(resources, sizes[0])
    return next((size for size in sizes if _fits(resources, size)), sizes[0])


def fair_share(size: int) -> Resources:
    """Return the most that every one of so many workers can have at the same time.

    A cluster with GPUs for all of them gives each the same number of GPUs, of one node.

    Args:
        size: How many workers.

    Returns:
        Whole CPUs and GPUs; one CPU if there is not enough for all.
    """
    found = nodes()
    most_gpus = max((int(node.gpus) for node in found), default=0)
    gpus = next(
        (n for n in range(most_gpus, 0, -1) if sum(int(d.gpus) // n for d in found) >= size), 0
    )
    most_cpus = max((int(node.cpus) for node in found), default=1)
    shares = (Resources(cpus, gpus) for cpus in range(most_cpus, 0, -1))
    return next((share for share in shares if _fits(share, size)), Resources(1, gpus))


def _fits(resources: Resources, size: int) -> bool:
    return sum(map(resources.copies, nodes())) >= size


def _is_alone(found: Sequence[Node]) -> bool:
    return any(node.is_alone for node in found)


def _wait_for_nodes(resources: Resources, size: int) -> None:
    seconds = patience()
    if not _is_alone(nodes()):
        wait_until(lambda: _fits(resources, size), seconds)


def patience() -> float:
    """Return how many seconds to wait for nodes that are not there yet.

    Raises:
        UserError: The variable is no number of seconds.
    """
    given = os.environ.get(PATIENCE)
    if given is None:
        return DEFAULT_PATIENCE
    with contextlib.suppress(ValueError):
        if 0 <= (seconds := float(given)) < math.inf:
            return seconds
    raise UserError(f"{PATIENCE}={given}: give a number of seconds, 0 or more")


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds; return whether it did within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL)
    return True

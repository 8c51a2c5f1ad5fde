"""Workers that run at the same time and talk to each other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from retrieval.cluster.resources import Resources, check_possible, largest_possible, patience
from retrieval.cluster.tasks import lost
from retrieval.cluster.worker import Result, call, environment, free_address, packed
from retrieval.errors import UserError

# Where one worker is lost, the others often notice first, and raise. Only if none is found to be
# lost within so many seconds, what they raise is taken for a mistake of the function.
GRACE = 45.0


class Member:
    """Runs in an actor: one worker of a group."""

    def address(self) -> str:
        """Return ``HOST:PORT`` at which the others reach this worker."""
        return free_address()

    def run(self, function: bytes, arguments: bytes) -> Result:
        """Call the function of the group."""
        return call(function, arguments)


class _MemberLost(Exception):
    """A node or process of the group was lost; the cause is Ray's error."""


def run_group(
    function: Any,
    arguments: Mapping[str, Any],
    *,
    size: int,
    resources: Resources | None = None,
    restarts: int = 3,
    smaller: Sequence[int] = (),
    led: bool = False,
    on_loss: Callable[[str], None] | None = None,
) -> list[Any]:
    """Call a function in several workers that run at the same time.

    Within :func:`connected`. Each worker is a fresh process. If a node or a process is lost, all
    workers are stopped and the group starts again, on the nodes that are left or were added; the
    function then continues from what it saved.

    Args:
        function: A module-level function, called as ``function(rank, addresses, **arguments)``,
            with the rank from 0 on and ``"HOST:PORT"`` of every rank, where the port is free.
        arguments: Its other keyword arguments.
        size: How many workers.
        resources: What each worker needs. Defaults to one CPU.
        restarts: How often the group may start again. Defaults to 3.
        smaller: Sizes, the largest first, that the group may start again with if a lost node is
            not replaced in time. Defaults to none.
        led: Whether the group is done as soon as rank 0 is; the others are then stopped. Defaults
            to False: all have to return.
        on_loss: Called with what was lost, before the group starts again. Defaults to None.

    Returns:
        What each rank returned; None for one that was stopped.

    Raises:
        Exception: What the function raised in one of the workers.
        UserError: The cluster has no room for so many, or lost workers too often.
    """
    resources = resources or Resources()
    for attempt in range(restarts + 1):
        if attempt and smaller:
            size = largest_possible(resources, (size, *(n for n in smaller if n < size)))
        check_possible(resources, size)
        try:
            return _run_once(function, arguments, size, resources, led)
        except _MemberLost as error:
            if attempt == restarts:
                raise lost(error, restarts) from error
            if on_loss is not None:
                on_loss(next(iter(str(error).splitlines()), "a worker was lost"))
    raise AssertionError("unreachable")


def _run_once(
    function: Any, arguments: Mapping[str, Any], size: int, resources: Resources, led: bool
) -> list[Any]:
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    bundle = {"CPU": resources.cpus, "GPU": resources.gpus}
    places = placement_group([{k: v for k, v in bundle.items() if v}] * size, strategy="SPREAD")
    members: list[Any] = []
    try:
        if not places.wait(timeout_seconds=max(1.0, patience())):
            raise UserError(
                f"no room for {size} workers of {resources} each at the same time: other work "
                "holds it; wait until that is done, or lower the number of workers"
            )
        actor = ray.remote(Member)
        members = [
            actor.options(
                num_cpus=resources.cpus,
                num_gpus=resources.gpus,
                scheduling_strategy=PlacementGroupSchedulingStrategy(places, rank),
                runtime_env={"env_vars": environment(resources)},
            ).remote()
            for rank in range(size)
        ]
        try:
            addresses = ray.get([member.address.remote() for member in members])
        except ray.exceptions.RayError as error:
            raise _MemberLost(str(error)) from error
        shipped = packed(function)
        shared = {**arguments, "addresses": addresses}
        running = [
            member.run.remote(shipped, packed({**shared, "rank": rank}))
            for rank, member in enumerate(members)
        ]
        return _values(running, led)
    finally:
        if ray.is_initialized():
            for member in members:
                ray.kill(member)
            remove_placement_group(places)


def _values(running: Sequence[Any], led: bool) -> list[Any]:
    """Return the value of every rank; raise as soon as one has failed for sure."""
    import ray

    found: dict[Any, Result] = {}
    failed: Exception | None = None
    waiting = list(running)
    while waiting:
        done, waiting = ray.wait(waiting, num_returns=1, timeout=GRACE if failed else None)
        if not done:
            break
        try:
            result: Result = ray.get(done[0])
        except ray.exceptions.RayError as error:
            raise _MemberLost(str(error)) from error
        if isinstance(result.error, UserError):
            raise result.error
        failed = failed or result.error
        found[done[0]] = result
        if led and result.error is None and done[0] == running[0]:
            break
    if failed is not None:
        raise failed
    return [found[each].value if each in found else None for each in running]

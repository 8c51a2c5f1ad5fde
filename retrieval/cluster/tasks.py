"""Independent calls of one function, as Ray tasks."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrieval.cluster.resources import Resources, check_possible
from retrieval.cluster.worker import Result, call, environment, packed
from retrieval.errors import UserError

IN_FLIGHT = 1000  # tasks handed to Ray at a time; the others wait here
STOPPING = 60.0  # seconds that cancelled tasks have to save what they did


@dataclass(frozen=True)
class Outcome:
    """What one call or item came to.

    Attributes:
        index: Its position in the sequence.
        value: What the function returned.
        error: What it raised, or why it could not be run; None if it succeeded.
    """

    index: int
    value: Any = None
    error: Exception | None = None


def run_tasks(
    function: Any,
    calls: Sequence[Mapping[str, Any]],
    *,
    resources: Resources | None = None,
    retries: int = 3,
) -> Generator[Outcome, None, None]:
    """Call a function once for each set of arguments, each in a process of some node.

    Within :func:`connected`. If the caller stops early (Ctrl-C), the tasks are interrupted as by
    Ctrl-C and given a minute to save their state.

    Args:
        function: A module-level function.
        calls: The keyword arguments of every call.
        resources: What each call needs. Defaults to one CPU.
        retries: How often a call is repeated whose node or process was lost. Defaults to 3.

    Yields:
        One outcome per call, in the order in which they finish. An exception of the function is
        the outcome of that call, and stops no other.

    Raises:
        UserError: No node could ever run such a task.
    """
    import ray

    resources = resources or Resources()
    check_possible(resources)
    remote = ray.remote(call).options(
        num_cpus=resources.cpus,
        num_gpus=resources.gpus,
        max_retries=retries,
        scheduling_strategy="SPREAD",
        runtime_env={"env_vars": environment(resources)},
        name=getattr(function, "__name__", "task"),
    )
    shipped = packed(function)
    waiting = iter(enumerate(calls))
    running: dict[Any, int] = {}
    try:
        while True:
            while len(running) < IN_FLIGHT and (following := next(waiting, None)) is not None:
                running[remote.remote(shipped, packed(dict(following[1])))] = following[0]
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1)
            for reference in done:
                yield _outcome(running.pop(reference), reference, retries)
    finally:
        stop(list(running))


def _outcome(index: int, reference: Any, retries: int) -> Outcome:
    import ray

    try:
        result: Result = ray.get(reference)
    except ray.exceptions.RayError as error:
        return Outcome(index, error=lost(error, retries))
    return Outcome(index, result.value, result.error)


def lost(error: Exception, retries: int) -> UserError:
    """Return the error of work that its nodes or processes did not survive."""
    import ray

    if isinstance(error, ray.exceptions.OutOfMemoryError):
        why = "ran out of memory on its node: give each task more --cpus, so that fewer share one"
    elif isinstance(error, ray.exceptions.TaskCancelledError):
        why = "was cancelled"
    else:
        words = next(iter(str(error).splitlines()), "")[:200]
        why = f"lost its node or process {retries + 1} times (the last time: {words})"
    return UserError(f"{why}: run the same command to continue")


def stop(references: Sequence[Any]) -> None:
    """Interrupt tasks as by Ctrl-C, and end those that have not stopped after a minute."""
    import ray

    if not references or not ray.is_initialized():
        return
    for reference in references:
        ray.cancel(reference, force=False, recursive=True)
    _, left = ray.wait(list(references), num_returns=len(references), timeout=STOPPING)
    for reference in left:
        ray.cancel(reference, force=True)

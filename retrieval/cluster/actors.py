"""Many items through a few actors, which load what they need once."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

from retrieval.cluster.resources import Resources, check_possible
from retrieval.cluster.tasks import Outcome, lost
from retrieval.cluster.worker import Result, attempt, environment, packed, unpacked


class Server:
    """Runs in an actor: makes the function once, then calls it for one item after the other."""

    def __init__(self) -> None:
        self.function: Callable[[Any], Any] | None = None

    def make(self, function: bytes, arguments: bytes) -> Result:
        """Make the function of one item; return nothing, or what this raised."""
        result = attempt(lambda: unpacked(function)(**unpacked(arguments)))
        self.function = result.value
        return Result(error=result.error)

    def handle(self, item: bytes) -> Result:
        """Call the function for an item."""
        function = self.function
        assert function is not None, "make comes first"
        return attempt(lambda: function(unpacked(item)))


def run_on_actors(
    make: Any,
    arguments: Mapping[str, Any],
    items: Sequence[Any],
    *,
    actors: int,
    resources: Resources | None = None,
    retries: int = 3,
) -> Generator[Outcome, None, None]:
    """Call a function for every item, in actors that make it once, e.g. load a network.

    Within :func:`connected`. A lost actor is replaced, and its item handed out again.

    Args:
        make: A module-level function; ``make(**arguments)`` returns a function of one item.
        arguments: Its keyword arguments.
        items: The items.
        actors: How many actors; those that find no room wait, and the others do their work.
        resources: What each actor needs. Defaults to one CPU.
        retries: How often an item is handed out again whose actor was lost. Defaults to 3.

    Yields:
        One outcome per item, in the order in which they finish. An exception of the function is the
        outcome of that item, and stops no other.

    Raises:
        Exception: What ``make`` raised.
        UserError: No node could ever run such an actor.
    """
    check_possible(resources or Resources())
    pool = _Pool(make, arguments, resources or Resources(), retries)
    try:
        yield from pool.run(items, min(actors, len(items)))
    finally:
        pool.stop()


class _Pool:
    """The actors of one :func:`run_on_actors`, and what each of them is at."""

    def __init__(
        self, make: Any, arguments: Mapping[str, Any], resources: Resources, retries: int
    ) -> None:
        import ray

        self.actor = ray.remote(Server).options(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            max_restarts=0,  # a new actor takes the place of a lost one, on any node
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": environment(resources)},
        )
        self.make, self.arguments = packed(make), packed(dict(arguments))
        self.retries = retries
        self.unmade = 0  # actors lost in a row before one was made
        self.making: dict[Any, Any] = {}  # reference -> actor
        self.handling: dict[Any, tuple[Any, int]] = {}  # reference -> actor, index of its item

    def run(self, items: Sequence[Any], actors: int) -> Iterator[Outcome]:
        """Yield the outcome of every item."""
        import ray

        waiting = deque(range(len(items)))
        losses = [0] * len(items)
        idle: list[Any] = []
        for _ in range(actors):
            self.add()
        while waiting or self.handling:
            while waiting and idle:
                actor, index = idle.pop(), waiting.popleft()
                self.handling[actor.handle.remote(packed(items[index]))] = actor, index
            done, _ = ray.wait([*self.making, *self.handling], num_returns=1)
            reference = done[0]
            if reference in self.making:
                actor = self.making.pop(reference)
                if self.is_made(reference):
                    idle.append(actor)
                continue
            actor, index = self.handling.pop(reference)
            try:
                result: Result = ray.get(reference)
            except ray.exceptions.RayError as error:
                losses[index] += 1
                self.add()
                if losses[index] > self.retries:
                    yield Outcome(index, error=lost(error, self.retries))
                else:
                    waiting.append(index)
                continue
            idle.append(actor)
            yield Outcome(index, result.value, result.error)

    def add(self) -> None:
        """Start one more actor."""
        actor: Any = self.actor.remote()
        self.making[actor.make.remote(self.make, self.arguments)] = actor

    def is_made(self, reference: Any) -> bool:
        """Tell whether an actor is ready; start another if it was lost, raise what it raised."""
        import ray

        try:
            result: Result = ray.get(reference)
        except ray.exceptions.RayError as error:
            self.unmade += 1
            if self.unmade > self.retries:
                raise lost(error, self.retries) from error
            self.add()
            return False
        if result.error is not None:
            raise result.error
        self.unmade = 0
        return True

    def stop(self) -> None:
        """End all actors, those too that have found no room yet."""
        import ray

        if ray.is_initialized():
            for actor in (*self.making.values(), *(actor for actor, _ in self.handling.values())):
                ray.kill(actor)
        # Idle ones end with their last handle.

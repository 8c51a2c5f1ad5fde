"""Workers that run at the same time on this machine, without Ray: one process each."""

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from retrieval.cluster.resources import Resources
from retrieval.cluster.worker import Result, environment
from retrieval.errors import UserError
from retrieval.failures import as_user_error
from retrieval.files import atomic_path

GRACE = 5.0  # seconds in which the loss of a process explains what another one raises
POLL = 0.1  # seconds between two looks at the processes
NO_GPU = "-1"


class _ProcessLost(Exception):
    """A process ended before its function had returned."""


def run_processes(
    function: Any,
    arguments: Mapping[str, Any],
    *,
    size: int,
    resources: Resources | None = None,
    restarts: int = 3,
    led: bool = False,
    on_loss: Callable[[str], None] | None = None,
) -> list[Any]:
    """Call a function in several processes of this machine that run at the same time.

    It is :func:`retrieval.cluster.groups.run_group` for one machine and without Ray: if a process
    is lost, all are stopped and the group starts again. The processes end with this one, however it
    ends. They do not hear Ctrl-C on the terminal.

    Args:
        function: A module-level function, called as ``function(rank, addresses, **arguments)``.
        arguments: Its other keyword arguments, which can be pickled.
        size: How many processes.
        resources: What each has: threads, and GPUs of its own. Defaults to one CPU.
        restarts: How often the group may start again. Defaults to 3.
        led: Whether the group is done as soon as rank 0 is; the others are then stopped. Defaults
            to False: all have to return.
        on_loss: Called with what was lost, before the group starts again. Defaults to None.

    Returns:
        What each rank returned; None for one that was stopped.

    Raises:
        Exception: What the function raised in one of the processes.
        UserError: Processes were lost too often.
    """
    for attempt in range(restarts + 1):
        try:
            return _run_once(function, arguments, size, resources or Resources(), led)
        except _ProcessLost as error:
            if attempt == restarts:
                raise UserError(
                    f"{error}; the workers were started {restarts + 1} times: is there enough "
                    "memory for all of them?"
                ) from error
            if on_loss is not None:
                on_loss(str(error))
    raise AssertionError("unreachable")


def _run_once(
    function: Any, arguments: Mapping[str, Any], size: int, resources: Resources, led: bool
) -> list[Any]:
    with tempfile.TemporaryDirectory(prefix="retrieval-workers-") as name:
        folder, addresses = Path(name), _free_addresses(size)
        for rank in range(size):
            call = function, {**arguments, "rank": rank, "addresses": addresses}
            _call_file(folder, rank).write_bytes(pickle.dumps(call))
        with _started(folder, size, resources) as processes:
            return _values(folder, processes, led)


@contextlib.contextmanager
def _started(
    folder: Path, size: int, resources: Resources
) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Start the processes; they are gone after the block."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(size):
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", __name__, str(folder), str(rank)],
                    stdin=subprocess.PIPE,  # closed when this process ends, which ends the other
                    env={**os.environ, **_variables(rank, resources)},
                    start_new_session=True,
                )
            )
        yield processes
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
            if process.stdin is not None:
                process.stdin.close()


def _variables(rank: int, resources: Resources) -> dict[str, str]:
    """Return what a process finds in its environment: threads, and the GPUs of its own."""
    count = int(resources.gpus)
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = given.split(",") if given else [str(n) for n in range(count * (rank + 1))]
    own = ",".join(visible[rank * count : (rank + 1) * count]) if count else NO_GPU
    path = os.pathsep.join(sys.path)  # of a checkout that is not installed
    return environment(resources) | {"CUDA_VISIBLE_DEVICES": own, "PYTHONPATH": path}


def _values(folder: Path, processes: list["subprocess.Popen[bytes]"], led: bool) -> list[Any]:
    """Return the value of every rank; raise as soon as one has failed for sure."""
    found: dict[int, Result] = {}
    failed: Exception | None = None
    deadline = float("inf")
    while len(found) < len(processes):
        for rank, process in enumerate(processes):
            file = _result_file(folder, rank)
            if rank in found:
                continue
            if file.exists():
                found[rank] = result = pickle.loads(file.read_bytes())
                if isinstance(result.error, UserError):
                    raise result.error
                if result.error is not None and failed is None:
                    failed, deadline = result.error, time.monotonic() + GRACE
            elif (code := process.poll()) is not None and not file.exists():
                raise _ProcessLost(f"worker {rank}, process {process.pid}, {_ended(code)}")
        if led and 0 in found and found[0].error is None:
            break
        if time.monotonic() > deadline:
            break
        time.sleep(POLL)
    if failed is not None:
        raise failed
    return [found[rank].value if rank in found else None for rank in range(len(processes))]


def _ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _free_addresses(size: int) -> list[str]:
    """Return ``HOST:PORT`` of so many ports of this machine that are free at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(size)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def _call_file(folder: Path, rank: int) -> Path:
    return folder / f"call-{rank}.pickle"


def _result_file(folder: Path, rank: int) -> Path:
    return folder / f"result-{rank}.pickle"


def main(folder: Path, rank: int) -> None:
    """Be one of the processes: make the call, leave its result, wait to be ended."""
    watcher = threading.Thread(target=_end_with_parent, daemon=True)
    watcher.start()
    function, arguments = pickle.loads(_call_file(folder, rank).read_bytes())
    try:
        result = Result(function(**arguments))
    except Exception as error:
        result = Result(error=_portable(error, rank))
    with atomic_path(_result_file(folder, rank)) as temporary:
        temporary.write_bytes(pickle.dumps(result))
    watcher.join()  # the others may still need what this process holds


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _portable(error: Exception, rank: int) -> Exception:
    """Return an exception that can be pickled; of one of the machine, the line that users read."""
    if (known := as_user_error(error)) is not None:
        return UserError(str(known))
    error.add_note(f"in worker {rank}:\n{''.join(traceback.format_exception(error)).rstrip()}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        told = RuntimeError(f"{type(error).__name__}: {error}")
        told.add_note(error.__notes__[-1])
        return told
    return error


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

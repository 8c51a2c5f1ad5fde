"""What runs in a worker process: it is prepared before anything heavy is imported, then called."""

import contextlib
import math
import os
import signal
import socket
import subprocess
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from retrieval.cluster.resources import PATIENCE, Resources
from retrieval.errors import UserError
from retrieval.failures import as_user_error
from retrieval.quiet import LEVEL, quiet_import

# Libraries read these when they are loaded, so they are set before the process begins.
THREADS = (
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "NUMBA_NUM_THREADS",
    "RETRIEVAL_THREADS",
)
OURS = "RETRIEVAL_"  # every variable of this package is handed on to the workers
FOLDER = "RETRIEVAL_CLUSTER_FOLDER"  # where the command was started: paths may be relative to it
SHARE = "RETRIEVAL_CLUSTER_GPUS"  # GPUs of this process; below 1, its share of one
HANDED_ON = ("KERAS_BACKEND", "KERAS_HOME", "TF_DETERMINISTIC_OPS", "TF_ENABLE_ONEDNN_OPTS")


@dataclass(frozen=True)
class Result:
    """What a call came to: a value, or an exception that can be pickled."""

    value: Any = None
    error: Exception | None = None


def environment(resources: Resources) -> dict[str, str]:
    """Return the variables that the processes of a task or actor of this size begin with."""
    threads = str(max(1, math.floor(resources.cpus)))
    found = {name: threads for name in THREADS}
    found[LEVEL] = os.environ.get(LEVEL, "2")
    if resources.gpus:
        found["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # or the first process would take all memory
        found[SHARE] = f"{resources.gpus:g}"
    else:
        found["CUDA_VISIBLE_DEVICES"] = ""  # others have asked for the node's GPUs
    found[FOLDER] = os.getcwd()
    for name, value in os.environ.items():
        if (
            name.startswith(OURS) and name not in (FOLDER, PATIENCE, SHARE, *THREADS)
        ) or name in HANDED_ON:
            found[name] = value
    return found


def packed(value: Any) -> bytes:
    """Return a function or its arguments as bytes, for :func:`call` to unpack."""
    from ray import cloudpickle

    return cloudpickle.dumps(value)


def call(function: bytes, arguments: bytes) -> Result:
    """Call a function in this worker process.

    Its exceptions come back as values, so Ray retries what a lost node or process has interrupted
    and nothing else.

    Args:
        function: The packed function.
        arguments: Its packed keyword arguments.

    Returns:
        What it returned or raised.
    """
    return attempt(lambda: unpacked(function)(**unpacked(arguments)))


def unpacked(data: bytes) -> Any:
    """Return what :func:`packed` was given; its modules are imported only now."""
    from ray import cloudpickle

    return cloudpickle.loads(data)


def limit_gpu() -> None:
    """Let TensorFlow take no more of a shared GPU's memory than the share of this process.

    It must be called before TensorFlow has begun to use the GPU, and does nothing otherwise.
    """
    share = float(os.environ.get(SHARE, 1))
    if share >= 1:
        return
    with quiet_import():
        import tensorflow as tf

    memory = gpu_memory_here()
    if memory is None:
        return
    for gpu in tf.config.list_physical_devices("GPU"):
        limit = tf.config.LogicalDeviceConfiguration(memory_limit=int(memory * share))
        with contextlib.suppress(RuntimeError):  # it has begun: an earlier task of this process did
            tf.config.set_logical_device_configuration(gpu, [limit])


def gpu_memory_here() -> float | None:
    """Return the MiB of memory of the first GPU that this process may use; None if unknown."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(
            [*command, f"--id={visible}"], capture_output=True, text=True, check=True, timeout=20
        )
        return float(said.stdout.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def attempt(function: Callable[[], Any]) -> Result:
    """Call a function; return what it returned, or what it raised with the name of the node."""
    with contextlib.suppress(OSError):  # not there: paths are not relative, or the error says so
        os.chdir(os.environ.get(FOLDER, "."))
    heed_interrupts()
    try:
        limit_gpu()
        return Result(function())
    except Exception as error:
        return Result(error=portable(error))


def heed_interrupts() -> None:
    """Let an interrupt of this task raise ``KeyboardInterrupt``.

    Ray interrupts as Ctrl-C does, which a process ignores whose node was started in the background
    of a script (``ray start ... &``): it has inherited that from the shell.
    """
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    ):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def portable(error: Exception) -> Exception:
    """Return an exception that the driver can unpickle, and that names this node.

    A :class:`UserError` is handed on as it is: it is about the user's input. One of this machine (a
    full disk) becomes a :class:`UserError` that names the node. Any other one keeps its type, if it
    can be pickled, and has node and traceback as notes.
    """
    here = f"node {socket.gethostname()} ({node_address()}), process {os.getpid()}"
    if isinstance(error, UserError):
        folder = os.environ.get(FOLDER, ".")
        lacks = "" if os.path.isdir(folder) else f" [{here}; it has no folder {folder}]"
        return UserError(f"{error}{lacks}")
    if (found := as_user_error(error)) is not None:
        return UserError(f"{found} [{here}]")
    trace = "".join(traceback.format_exception(error)).rstrip()
    error.add_note(f"on {here}")
    error.add_note(trace)
    try:
        copy = unpacked(packed(error))
    except Exception:
        copy = None
    if type(copy) is type(error):
        return error
    told = RuntimeError(f"{type(error).__name__}: {error}")
    for note in error.__notes__:
        told.add_note(note)
    return told


def node_address() -> str:
    """Return the IP address by which the other nodes reach this one."""
    import ray

    return str(ray.util.get_node_ip_address())


def free_address() -> str:
    """Return ``HOST:PORT`` of a port of this node that is free at the moment."""
    with socket.socket() as found:
        found.bind(("", 0))
        return f"{node_address()}:{found.getsockname()[1]}"

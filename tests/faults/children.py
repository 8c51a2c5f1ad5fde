"""Do work in a child that may be killed, without paying for its imports each time."""

import contextlib
import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

TRACEBACK = 70  # exit status of work that raised
TIMED_OUT = -signal.SIGALRM


def start(work: Callable[[], object], log: Path) -> int:
    """Fork a child that does some work, and return its process id.

    The parent must have imported what the work needs, but not have run TensorFlow or OpenMP code,
    whose threads a fork leaves behind.

    Args:
        work: Returns an exit status; None is 0.
        log: File that the child's stdout and stderr are appended to.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = TRACEBACK
    try:
        os.setpgid(0, 0)  # its own children end with it
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the tests
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        try:
            result = work()
            code = result if isinstance(result, int) else 0
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def wait(child: int, seconds: float = 300) -> int:
    """Wait for a child and return its exit status, or minus the signal that ended it.

    Args:
        child: Its process id.
        seconds: Kill it after so many, and return :data:`TIMED_OUT`. Defaults to 300.
    """
    end = time.monotonic() + seconds
    pause = 0.001
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    kill(child)
    os.waitpid(child, 0)
    return TIMED_OUT


def kill(child: int) -> None:
    """Kill a child, which may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def run(work: Callable[[], object], log: Path, seconds: float = 300) -> int:
    """Do some work in a child and return its exit status; see :func:`start` and :func:`wait`."""
    return wait(start(work, log), seconds)

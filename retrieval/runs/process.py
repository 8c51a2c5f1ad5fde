"""Which process works on a run, and whether it still does."""

import os
import socket
from dataclasses import dataclass

import psutil

BEGUN_APART = 5.0  # seconds by which two clocks may tell the start of one process differently


@dataclass(frozen=True)
class Process:
    """Which process works on something.

    Attributes:
        pid: Its number.
        host: Name of its computer.
        space: Which numbers it is known by there: a container has its own. Empty if unknown.
        begun: When it began, in seconds since 1970: numbers are used again.
    """

    pid: int
    host: str
    space: str
    begun: float

    @classmethod
    def of_this_one(cls) -> "Process":
        """Return what this process is known by."""
        own = psutil.Process()
        return cls(own.pid, socket.gethostname(), _space(), own.create_time())

    @property
    def is_here(self) -> bool:
        """Whether it is of this computer, so that it can be asked for."""
        return (self.host, self.space) == (socket.gethostname(), _space())

    def is_gone(self) -> bool | None:
        """Tell whether it has ended; None if it is of another computer, which is not asked."""
        if not self.is_here:
            return None
        try:
            found = psutil.Process(self.pid)
            if found.status() == psutil.STATUS_ZOMBIE:
                return True
            return abs(found.create_time() - self.begun) > BEGUN_APART
        except psutil.AccessDenied:
            return False
        except (psutil.Error, ValueError):  # no process has a number below 0
            return True


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""

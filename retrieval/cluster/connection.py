"""Connect to a Ray cluster, or start one of this machine's processors."""

import contextlib
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from retrieval.cluster.agreement import check_nodes_agree
from retrieval.cluster.nodes import ALONE
from retrieval.errors import UserError, how_to_install

LOCAL = "local"  # what `--on` means without Ray: this process
RAY, ADDRESS = "ray", "RAY_ADDRESS"
CLIENT = "ray://"
STARTED, NONE = "auto", "local"  # what RAY_ADDRESS may also be: one of this machine, or none yet
AUTH_MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
TOKEN_FILE = "~/.ray/auth_token"
STARTS = 3  # tries: Ray gives a node 30 seconds to start, which a busy machine may exceed
# Of a cluster of this machine: results of tasks are small, as files carry the rest.
OBJECT_STORE = 256 << 20  # bytes
REACH = 10.0  # seconds to wait for an answer of an address
_HOST = re.compile(r"(?:ray://)?(\[[^\]]+\]|[^:/\s]+):(\d{1,5})")


def check_on(on: str) -> str:
    """Check a value of ``--on``.

    Args:
        on: ``local``, ``ray``, ``ray://HOST:PORT`` or ``HOST:PORT``.

    Returns:
        The value.

    Raises:
        UserError: It is none of these.
    """
    if on in (LOCAL, RAY) or _HOST.fullmatch(on):
        return on
    raise UserError(
        f"--on {on!r}: give {LOCAL}, {RAY} (the cluster of ${ADDRESS}, or else one of this "
        f"machine), {CLIENT}HOST:10001, or HOST:6379 on a machine of the cluster"
    )


@contextlib.contextmanager
def connected(on: str = RAY) -> Iterator[None]:
    """Connect to a cluster for the block.

    A connection that this process has already is used, and left open.

    Args:
        on: ``ray`` for the cluster that ``$RAY_ADDRESS`` names or, without it, a new one of this
            machine that ends with the block; ``ray://HOST:PORT`` or ``HOST:PORT``.

    Yields:
        Nothing.

    Raises:
        UserError: Ray is not installed, the cluster is not reached, or a node has another version
            of Python, Ray or this package.
    """
    check_on(on)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    named = os.environ.get(ADDRESS, "") if on == RAY else on
    address = None if named in ("", NONE) else named
    if address is not None and address.startswith(CLIENT):
        _show_token()
    try:
        import ray
    except ImportError as error:
        raise UserError(f"--on {on}: Ray is not installed: {how_to_install('cluster')}") from error
    if ray.is_initialized():
        yield
        return
    try:
        with _own_sigterm():
            if address is None:
                _start()
            else:
                _join(address)
        if address is not None:
            check_nodes_agree(address)
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep what SIGTERM does in this process, for which Ray installs a handler as it starts.

    Ray's ends the process without a word. It stays where SIGTERM would end the process anyway.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and before not in (None, signal.SIG_DFL):
            signal.signal(signal.SIGTERM, before)


def _start() -> None:
    """Start a cluster of this machine, which ends with this process."""
    import ray

    for left in reversed(range(STARTS)):
        try:
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=OBJECT_STORE,
                resources={ALONE: 1},
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            return
        except Exception as error:
            ray.shutdown()
            if not left or "timed out" not in str(error):
                raise UserError(
                    f"Ray does not start on this machine: {_words(error)}: close programs, and try "
                    "again"
                ) from error


def _join(address: str) -> None:
    """Connect to the cluster at an address."""
    import ray

    _check_reached(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        words = _words(error)
        if "ersion" in words:
            fix = "install the same versions of Python and Ray on every machine"
        elif address.startswith(CLIENT):
            fix = (
                "does a Ray client server listen there (`ray start --head` starts one at 10001), "
                f"and does this machine have the cluster's token ({TOKEN_FILE} of its head)?"
            )
        else:
            fix = (
                "this machine must be a node of the cluster (`ray start --address=HOST:6379`); "
                f"from elsewhere, give {CLIENT}HOST:10001"
            )
        raise UserError(f"Ray cluster {address}: {words}: {fix}") from error


def _show_token() -> None:
    """Have Ray show its token to the cluster, if this machine has one.

    Since Ray 2.59, a cluster asks for a token by default. A node shows its own, but the client does
    so only if it is told to before Ray is imported, and otherwise waits until it gives up.
    """
    has_token = os.environ.get(TOKEN) or os.environ.get(TOKEN_PATH)
    if AUTH_MODE not in os.environ and (has_token or Path(TOKEN_FILE).expanduser().is_file()):
        os.environ[AUTH_MODE] = "token"


def _check_reached(address: str) -> None:
    """Refuse an address that nobody answers at; Ray itself would try for minutes."""
    if address == STARTED:
        return
    found = _HOST.fullmatch(address)
    if found is None:  # --on is checked before
        raise UserError(f"{ADDRESS}={address}: give {STARTED}, {CLIENT}HOST:10001 or HOST:6379")
    host, port = found[1].strip("[]"), int(found[2])
    try:
        socket.create_connection((host, port), timeout=REACH).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"Ray cluster {address}: not reached ({error}): check host and port, and that "
            f"`ray status` shows the cluster there; {CLIENT} takes the client's port, 10001"
        ) from error


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(" .:")

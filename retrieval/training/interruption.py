"""Stop on SIGINT and SIGTERM without losing anything: Ctrl-C, and the end of a cluster job.

Within :func:`stoppable`, the first of these signals raises :class:`Interrupted`, a
``KeyboardInterrupt``. Where that would lose work, :func:`deferred` holds it back: a training
finishes its step and then asks :func:`check_stop`. A second signal acts as it did before the block,
at once.

This module does not load TensorFlow.
"""

import _thread
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tqdm.auto import tqdm

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# What a shell reports about a process that a signal has ended: this, plus the signal's number.
EXIT_CODE = 128

_Handler = Callable[[int, FrameType | None], Any] | int | None


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to stop; its text says what is saved and how to go on.

    Attributes:
        signal: The signal.
    """

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(f"stopped by {self.signal.name}")


@dataclass
class _Stop:
    """What signals have asked for in a block of :func:`stoppable`."""

    number: int | None = None
    is_deferred: bool = False


_stop: _Stop | None = None  # one per process, as signal handlers are


@contextlib.contextmanager
def stoppable(*, ends_process: bool = False) -> Iterator[None]:
    """Raise :class:`Interrupted` in the block when SIGINT or SIGTERM arrives.

    The handlers are restored afterwards. If SIGTERM would have ended the process, it does so at the
    end of the block, after one line on stderr. Outside the main thread, which alone gets signals,
    and within another such block, this does nothing.

    Args:
        ends_process: Whether the caller ends the process when it is interrupted, as a command does.
            A second signal then ends it even in the middle of a long operation of TensorFlow.
            Defaults to False.

    Yields:
        Nothing.
    """
    global _stop
    if _stop is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[signal.Signals, _Handler] = {each: signal.getsignal(each) for each in SIGNALS}
    stop = _stop = _Stop()

    def restore() -> None:
        for each, handler in before.items():
            if handler is not None:  # None: one that was not installed from Python
                signal.signal(each, handler)

    def on_signal(number: int, _: FrameType | None) -> None:
        restore()
        stop.number = number
        if not stop.is_deferred:
            raise Interrupted(number)

    try:
        with _ended_by_second_signal() if ends_process else contextlib.nullcontext():
            for each in SIGNALS:
                # What is ignored stays ignored, as by `nohup` and in a shell's background.
                if before[each] not in (None, signal.SIG_IGN):
                    signal.signal(each, on_signal)
            yield
    except Interrupted as error:
        if error.signal == signal.SIGTERM and not ends_process:
            tqdm.write(str(error), file=sys.stderr)
            sys.stderr.flush()
            restore()
            signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        restore()
        _stop = None


@contextlib.contextmanager
def _ended_by_second_signal() -> Iterator[None]:
    """End the process when a second signal arrives in the block.

    Python runs a signal's handler only between two operations of its own, and a training step is
    one of them. The interpreter writes every signal to a socket as soon as it arrives, though, and
    a thread reads it.
    """
    ours, written = socket.socketpair()
    written.setblocking(False)

    def watch() -> None:
        seen = 0
        while received := ours.recv(1):
            seen += received[0] in SIGNALS
            if seen > 1:
                os.write(2, b"\nstopped at once\n")
                os._exit(EXIT_CODE + received[0])

    before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        written.close()  # which ends the thread
        watcher.join()
        ours.close()


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Hold a signal back in the block until :func:`check_stop` or :func:`at_once` is reached."""
    with _deferring(True):
        yield


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Stop at once in the block, which is within one of :func:`deferred`.

    Yields:
        Nothing.

    Raises:
        Interrupted: A signal arrives, or had arrived before.
    """
    with _deferring(False):
        check_stop()
        yield


@contextlib.contextmanager
def _deferring(on: bool) -> Iterator[None]:
    stop = _stop
    if stop is None:
        yield
        return
    before, stop.is_deferred = stop.is_deferred, on
    try:
        yield
    finally:
        stop.is_deferred = before


def stop_asked() -> int | None:
    """Return the signal that has asked this process to stop; None if there was none."""
    return None if _stop is None else _stop.number


def ask_to_stop(number: signal.Signals = signal.SIGTERM) -> None:
    """Act, from any thread, as if a signal had arrived within a block of :func:`stoppable`.

    To send the signal would not do: workers that are connected by TensorFlow never see SIGTERM, for
    which it installs a handler of its own. A second call does nothing.

    Args:
        number: The signal. Defaults to SIGTERM.
    """
    if stop_asked() is None:
        _thread.interrupt_main(number)


def interrupted(error: KeyboardInterrupt, words: str) -> KeyboardInterrupt:
    """Return an interrupt that names its signal, and says what is saved and how to go on.

    Args:
        error: What was raised. Where Ray waits, it is a bare ``KeyboardInterrupt``, whatever the
            handler of the signal raised.
        words: What to say after the name of the signal, with the punctuation between.
    """
    number = stop_asked()
    if not isinstance(error, Interrupted) and number is not None:
        error = Interrupted(number)
    error.args = (f"{str(error) or 'interrupted'}{words}",)
    return error


def check_stop() -> None:
    """Stop here if a signal has arrived.

    Raises:
        Interrupted: A signal has arrived.
    """
    if _stop is not None and _stop.number is not None:
        raise Interrupted(_stop.number)

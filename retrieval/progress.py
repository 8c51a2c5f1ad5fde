"""Show that a stage is at work: the evaluation of a large data set takes minutes.

What is shown on the screen can be listened to as well (:func:`listening`): that is how a training
tells the app what it is at.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Protocol

from tqdm.auto import tqdm

QUIET = 2.0  # seconds before anything is shown
ON_SCREEN, IN_LOG = 1.0, 8.0  # seconds between two updates; a log keeps every one of them


class Listener(Protocol):
    """Is told what this thread is at; its methods must return at once and never raise."""

    def begin(self, title: str, total: int | None) -> None:
        """Hear that a task begins, of so many parts if that is known, within the present one."""

    def advance(self, done: int) -> None:
        """Hear how many parts of the innermost task are done."""

    def end(self) -> None:
        """Hear that the innermost task has ended."""


_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell a listener of every stage and bar of the block, shown or not.

    Args:
        listener: Who is told.

    Yields:
        Nothing.
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@contextlib.contextmanager
def _told(title: str, total: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Tell the listener, if there is one, of a task; yield what tells it how much is done."""
    listener = _LISTENER.get()
    if listener is None:
        yield lambda _: None
        return
    listener.begin(title, total)
    try:
        if done:
            listener.advance(done)
        yield listener.advance
    finally:
        listener.end()


@contextlib.contextmanager
def stage(title: str, *, show: bool = True, quiet: float = QUIET) -> Iterator[None]:
    """Show the name of a stage and the seconds it has taken, as long as the block runs.

    Args:
        title: What is being done.
        show: Whether to show anything. Defaults to True.
        quiet: Seconds before anything is shown. Defaults to 2.0.

    Yields:
        Nothing.
    """
    with _told(title, None):
        if not show:
            yield
            return
        with _shown(title, quiet):
            yield


@contextlib.contextmanager
def _shown(title: str, quiet: float) -> Iterator[None]:
    ended = threading.Event()

    def tell() -> None:
        begun = time.monotonic()
        if ended.wait(quiet):
            return
        every = ON_SCREEN if sys.stderr.isatty() else IN_LOG
        with tqdm(desc=title, bar_format="{desc}", leave=False) as bar:
            while True:
                bar.set_description_str(f"{title}: {time.monotonic() - begun:.0f} s")
                if ended.wait(every):
                    return

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


@contextlib.contextmanager
def progress_bar(
    title: str,
    total: int,
    *,
    show: bool = True,
    done: int = 0,
    unit: str = "img",
    quiet: float = 0.0,
    leave: bool = False,
    scaled: bool = False,
) -> Iterator[Callable[[int], None]]:
    """Show a bar over the parts of a task, as long as the block runs.

    Args:
        title: What is being done.
        total: Number of parts.
        show: Whether to show the bar. Defaults to True.
        done: Number of parts that were done before. Defaults to 0.
        unit: What a part is. Defaults to ``img``.
        quiet: Seconds before the bar is shown. Defaults to 0.0.
        leave: Whether the bar stays on the screen at the end. Defaults to False.
        scaled: Whether numbers are shown as 1.5M, for bytes. Defaults to False.

    Yields:
        Function that is given the number of parts just done.
    """
    with (
        _told(title, total, done) as tell,
        tqdm(
            desc=title,
            total=total,
            initial=done,
            unit=unit,
            delay=quiet,
            leave=leave,
            disable=not show,
            unit_scale=scaled,
        ) as bar,
    ):

        def advance(count: int) -> None:
            nonlocal done
            done += count  # a bar that is not shown does not count
            bar.update(count)
            tell(done)

        yield advance


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> duration(0.0123), duration(95), duration(5400), duration(200_000)
    ('0.012 s', '2 min', '1.5 h', '2.3 days')
    """
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"

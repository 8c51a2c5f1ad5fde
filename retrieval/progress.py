"""Show that a stage is at work: the evaluation of a large data set takes minutes."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

from tqdm.auto import tqdm

QUIET = 2.0  # seconds before anything is shown
ON_SCREEN, IN_LOG = 1.0, 8.0  # seconds between two updates; a log keeps every one of them


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
    if not show:
        yield
        return
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

"""``retrieval app``: open the app on a folder of runs."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from retrieval.caches import home_for_child
from retrieval.cli.paths import RUNS
from retrieval.errors import UserError
from retrieval.storage.addresses import address_of

DEFAULT_RUNS = Path("runs")  # need not exist: the app then says how to make a first run
GROUP = "retrieval.apps"  # group of entry points, see pyproject.toml


def app_script(group: str = GROUP) -> str:
    """Return the script that an installed package announces as the Streamlit app.

    The script is found without being run: this package does not depend on the one that draws.

    Args:
        group: Group of entry points. Defaults to ``retrieval.apps``.

    Returns:
        Path of the script, for ``streamlit run``.

    Raises:
        UserError: No installed package announces an app.
    """
    found = entry_points(group=group, name="streamlit")
    script = importlib.util.find_spec(next(iter(found)).module) if found else None
    if script is None or script.origin is None:
        raise UserError(
            "the app needs the package workbench, which is not installed: run `pip install -e .` "
            "in the repository"
        )
    return script.origin


def open_app(runs: Path, options: Sequence[str] = ()) -> int:
    """Start the app in the place of this process and keep it running until Ctrl-C.

    A demo that has trained holds 1.7 GB of TensorFlow, which the app does not need. On Windows,
    where a process cannot be replaced, the app is a child process.

    Args:
        runs: Folder of the runs to show; that of this machine, if they are at a URL.
        options: Further options of ``streamlit run``, e.g. ``--server.port=8600``. Defaults to
            none.

    Returns:
        The exit code of Streamlit, on Windows; elsewhere this function does not return.

    Raises:
        UserError: The package with the app is not installed, or there is no such folder of runs.
    """
    url = address_of(runs)
    if url is None and not runs.is_dir() and runs != DEFAULT_RUNS:
        raise UserError(f"no folder of runs at {runs}: check --runs and $RETRIEVAL_RUNS")
    command = [sys.executable, "-m", "streamlit", "run", app_script(), *options]
    environment = os.environ | home_for_child() | {RUNS: url or str(runs)}
    if os.name == "nt":
        return subprocess.run(command, env=environment, check=False).returncode
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, environment)

"""``retrieval app``: open the web app on a folder of runs."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from retrieval.errors import UserError

SCRIPT = "workbench.shell.app"


def open_app(runs: Path, options: Sequence[str] = ()) -> int:
    """Start the app and keep it running until Ctrl-C.

    Streamlit runs the app's script in a process of its own. The script is found without being
    imported, because this package does not depend on the workbench.

    Args:
        runs: Folder of the runs to show.
        options: Further options of ``streamlit run``, e.g. ``--server.port=8600``. Defaults to
            none.

    Returns:
        The exit code of Streamlit.

    Raises:
        UserError: The workbench is not installed.
    """
    script = importlib.util.find_spec(SCRIPT)
    if script is None or script.origin is None:
        raise UserError("the package `workbench`, which holds the app, is not installed")
    command = [sys.executable, "-m", "streamlit", "run", script.origin, *options]
    environment = os.environ | {"RETRIEVAL_RUNS": str(runs)}
    return subprocess.run(command, env=environment, check=False).returncode

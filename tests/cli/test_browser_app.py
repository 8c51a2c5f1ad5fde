"""The app is found through its entry point. That it opens is tested with the built wheel."""

import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.cli.browser_app import app_script
from retrieval.errors import UserError


def test_the_script_of_the_installed_workbench_is_found_and_a_missing_one_is_named():
    assert Path(app_script()).name == "app.py"
    with pytest.raises(UserError, match="workbench"):
        app_script("retrieval.apps.of.nobody")


REPLACED = """
import os, sys
from pathlib import Path
from retrieval.cli import browser_app
print(os.getpid(), flush=True)
sys.executable = sys.argv[2]
browser_app.open_app(Path(sys.argv[1]), ["--server.port=0"])
print("not replaced")
"""


def test_the_app_takes_the_place_of_the_process_that_opens_it(tmp_path):
    """So a demo that has trained does not keep TensorFlow in memory while the app runs."""
    stand_in = tmp_path / "python"
    stand_in.write_text('#!/bin/sh\necho $$ "$RETRIEVAL_RUNS" "$@"\n')
    stand_in.chmod(0o755)
    found = subprocess.run(
        [sys.executable, "-c", REPLACED, str(tmp_path), str(stand_in)],
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = found.stdout.splitlines()
    assert after.startswith(f"{before} {tmp_path} -m streamlit run ")
    assert after.endswith("--server.port=0")

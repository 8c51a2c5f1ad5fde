"""Without a home folder and with a read-only installation, everything still runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval import caches

PACKAGE = Path(caches.__file__).parent
NO_HOME = Path(__file__)  # no folder can be made in it, not even by root
AS_NOBODY = (
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip
CODE = """
import retrieval, os
from retrieval.evaluation.search import kernels
import matplotlib
matplotlib.get_cachedir()
print(os.environ.get("NUMBA_CACHE_DIR"), kernels.CACHED)
"""


@pytest.fixture
def no_home(monkeypatch, tmp_path):
    """A process that can write to the current folder only."""
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "RETRIEVAL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(NO_HOME))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_home_that_can_be_written_to_is_left_alone(no_home, monkeypatch):
    monkeypatch.setenv("HOME", str(no_home))
    caches.use_writable_caches()
    assert "NUMBA_CACHE_DIR" not in os.environ
    assert "MPLCONFIGDIR" not in os.environ
    assert not list(no_home.iterdir())


def test_without_a_home_the_caches_lie_in_the_cache_of_the_package(no_home, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_CACHE", str(no_home / "cache"))
    caches.use_writable_caches()
    assert os.environ["NUMBA_CACHE_DIR"] == str(no_home / "cache" / "numba")
    assert Path(os.environ["MPLCONFIGDIR"]).parent == no_home / "cache"


def test_where_that_cannot_be_written_to_either_they_are_temporary(no_home, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_CACHE", str(NO_HOME))
    caches.use_writable_caches()
    assert caches.is_writable(Path(os.environ["NUMBA_CACHE_DIR"]))


def test_a_folder_that_the_user_named_is_used(no_home, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(no_home / "mine"))
    caches.use_writable_caches()
    assert os.environ["NUMBA_CACHE_DIR"] == str(no_home / "mine")


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_a_read_only_package_of_a_user_without_a_home_is_imported(no_home):
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root can write to every folder")
    installed = no_home / "installed"
    shutil.copytree(
        PACKAGE, installed / "retrieval", ignore=shutil.ignore_patterns("__pycache__", "*.npz")
    )
    for here, _, files in os.walk(installed):
        os.chmod(here, 0o555)
        for file in files:
            os.chmod(Path(here, file), 0o444)
    no_home.chmod(0o555)  # so the caches have to be temporary
    drop = AS_NOBODY if os.geteuid() == 0 else ()
    environment = {"PATH": os.environ["PATH"], "HOME": str(NO_HOME), "PYTHONPATH": str(installed)}
    try:
        done = subprocess.run(
            [*drop, sys.executable, "-c", CODE],
            cwd=no_home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        no_home.chmod(0o755)
        for here, _, _ in os.walk(installed):
            os.chmod(here, 0o755)
    assert (done.returncode, done.stderr) == (0, "")
    folder, cached = done.stdout.split()
    assert cached == "True"
    assert not Path(folder).exists()  # it ended with the process

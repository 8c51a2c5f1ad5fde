"""Run folders for the tests of ``retrieval.runs``."""

import shutil
from pathlib import Path

import pytest

from tests.object_store import machine, memory_root, s3_root, s3_server
from tests.runs.helpers import write_small_run

__all__ = ["machine", "memory_root", "s3_root", "s3_server"]


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Path:
    return write_small_run(tmp_path_factory.mktemp("whole") / "birds" / "one")


@pytest.fixture
def made(small_run, tmp_path) -> Path:
    """Return the folder of a whole run that a test may damage."""
    return Path(shutil.copytree(small_run, tmp_path / "runs" / "birds" / "one"))

"""The command line as a user types it, in an empty folder next to a few photos."""

import sys

import numpy as np
import pytest
from PIL import Image

from retrieval.cli.main import main
from tests.object_store import machine, memory_root, s3_root, s3_server

__all__ = ["machine", "memory_root", "s3_root", "s3_server"]


@pytest.fixture(autouse=True)
def away_from_home(tmp_path, monkeypatch):
    """Run in an empty folder, so that nothing of the user's is read or written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETRIEVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def retrieval(monkeypatch, capsys):
    """Type a command; get exit code, stdout and stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["retrieval", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return run


@pytest.fixture
def photos(tmp_path):
    """Six classes of three 16 px images, in ``photos/``."""
    root, rng = tmp_path / "photos", np.random.default_rng(0)
    for label in range(6):
        (root / f"class{label}").mkdir(parents=True)
        for i in range(3):
            image = Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8))
            image.save(root / f"class{label}" / f"{i}.png")
    return root

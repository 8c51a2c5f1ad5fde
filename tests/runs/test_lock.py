"""Two processes never make one run; a killed one's lock is let go of by the system."""

import signal
import subprocess
import sys

import pytest

from retrieval.errors import UserError
from retrieval.experiment.pipeline import resume, train
from retrieval.runs import lock as module
from retrieval.runs.lock import lock_path, run_lock
from retrieval.runs.store import partial_path

HOLD = """
import sys, time
from pathlib import Path
from retrieval.run_lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the run ``folder/x``, and would for ten minutes."""
    path = tmp_path / "folder" / "x"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_run_that_another_process_makes_is_refused_until_that_is_killed(tiny, tmp_path, holder):
    path = tmp_path / "folder" / "x"
    options = {"runs": tmp_path, "evaluate": False, "progress": False}
    for overwrite in (False, True):
        with pytest.raises(UserError, match=r"x is being made by another process: wait for it"):
            train(tiny.with_(steps=1), name="x", overwrite=overwrite, **options)
    assert not partial_path(path).exists()
    train(tiny.with_(loss="none"), name="y", **options)  # another run is not in its way
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert train(tiny.with_(loss="none"), name="x", **options) == path
    assert sorted(p.name for p in path.parent.iterdir()) == ["x", "y"]


def test_an_interrupted_run_is_continued_by_one_process(tiny, tmp_path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("retrieval.experiment.pipeline.publish", killed)
        with pytest.raises(KeyboardInterrupt):
            train(tiny.with_(loss="none"), runs=tmp_path, name="x", evaluate=False, progress=False)
    path = tmp_path / "folder" / "x"
    assert not lock_path(path).exists()
    with run_lock(path), pytest.raises(UserError, match="is being made by another process"):
        resume(path, evaluate=False, progress=False)
    assert resume(path, evaluate=False, progress=False) == path


def test_a_lock_file_that_its_holder_removed_meanwhile_does_not_count(tmp_path, monkeypatch):
    path, flock, calls = tmp_path / "x", module.fcntl.flock, []

    def removed_before(file, how):
        if not calls:
            lock_path(path).unlink()
        calls.append(file)
        flock(file, how)

    monkeypatch.setattr(module.fcntl, "flock", removed_before)
    with run_lock(path):
        assert len(calls) == 2
        assert lock_path(path).exists()


def test_where_the_system_has_no_such_locks_runs_are_made_without(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "fcntl", None)
    with run_lock(tmp_path / "x"):
        assert not lock_path(tmp_path / "x").exists()

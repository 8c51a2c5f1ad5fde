"""Two processes never make one run; the system releases the lock of a killed process."""

import signal
import subprocess
import sys
import threading

import pytest

from retrieval.errors import UserError
from retrieval.runs.lock import lock_path, run_lock

HOLD = """
import sys, time
from pathlib import Path
from retrieval.runs.lock import run_lock
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


def test_a_run_that_another_process_makes_is_refused_until_that_process_is_killed(tmp_path, holder):
    path = tmp_path / "folder" / "x"
    with pytest.raises(UserError, match=str(path)), run_lock(path):
        pass
    with run_lock(path.with_name("y")):  # another run is not blocked
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with run_lock(path):
        pass
    assert list(path.parent.iterdir()) == []  # no lock file is left


def test_an_error_in_the_block_releases_the_lock(tmp_path):
    with pytest.raises(KeyError), run_lock(tmp_path / "x"):
        raise KeyError
    assert not lock_path(tmp_path / "x").exists()
    with run_lock(tmp_path / "x"):
        assert lock_path(tmp_path / "x").exists()


def test_never_two_hold_the_lock_though_its_file_is_removed_each_time(tmp_path):
    path, counter = tmp_path / "x", tmp_path / "counter"
    counter.write_text("0")

    def count_to(n):
        while n:
            try:
                with run_lock(path):
                    counter.write_text(str(int(counter.read_text()) + 1))
                    n -= 1
            except UserError:
                continue

    threads = [threading.Thread(target=count_to, args=(50,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text() == "200"

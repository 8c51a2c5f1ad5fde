"""Workers that run at the same time on one machine, without Ray."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from retrieval.cluster.nodes import Node
from retrieval.cluster.processes import run_processes
from retrieval.cluster.resources import Resources, fair_share
from retrieval.errors import UserError
from tests.cluster.functions import die, fail_as_rank, lead, meet, raise_before_the_loss


def die_as_rank(rank, addresses, folder):
    die()


def test_all_processes_run_at_once_and_know_every_address(tmp_path):
    found = run_processes(meet, {"folder": tmp_path}, size=3)
    assert [rank for rank, _, _ in found] == [0, 1, 2]
    assert len({pid for _, _, pid in found} | {os.getpid()}) == 4
    assert len({*found[0][1]}) == 3
    assert all(addresses == found[0][1] for _, addresses, _ in found)


def test_a_group_that_loses_a_process_starts_again_and_says_so(tmp_path):
    said = []
    arguments = {"folder": tmp_path}
    assert run_processes(raise_before_the_loss, arguments, size=2, on_loss=said.append) == [0, 1]
    assert len(said) == 1
    assert "worker 1" in said[0]
    assert "SIGKILL" in said[0]


def test_processes_that_die_every_time_are_given_up(tmp_path):
    with pytest.raises(UserError, match="were started 2 times"):
        run_processes(die_as_rank, {"folder": tmp_path}, size=2, restarts=1)


def test_what_a_process_raises_is_raised_and_stops_the_others():
    begun = time.monotonic()
    with pytest.raises(UserError, match="the batch does not divide"):
        run_processes(fail_as_rank, {"bad": 1}, size=2)
    assert time.monotonic() - begun < 50, "the others sleep for a minute"


def test_a_group_that_is_led_is_done_when_its_first_process_is():
    assert run_processes(lead, {}, size=2, led=True) == ["done", None]


def test_processes_end_with_the_one_that_started_them(tmp_path):
    script = (
        "from retrieval.cluster.processes import run_processes\n"
        "from tests.cluster.functions import note_and_sleep\n"
        f"run_processes(note_and_sleep, {{'folder': {str(tmp_path)!r}}}, size=2)\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    while len(list(tmp_path.glob("pid-*"))) < 2:
        assert driver.poll() is None
        time.sleep(0.05)
    pids = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    psutil.wait_procs([psutil.Process(p) for p in pids if psutil.pid_exists(p)], timeout=30)
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize(
    ("nodes", "size", "expected"),
    [
        ([(8, 0)], 2, Resources(4, 0)),
        ([(8, 0), (4, 0)], 3, Resources(4, 0)),
        ([(32, 8), (32, 8)], 2, Resources(32, 8)),
        ([(32, 8)], 3, Resources(10, 2)),
        ([(2, 0)], 3, Resources(1, 0)),  # is refused by whoever starts them
    ],
)
def test_workers_share_a_cluster_equally(monkeypatch, nodes, size, expected):
    found = [Node(str(i), str(i), cpus, gpus, 0) for i, (cpus, gpus) in enumerate(nodes)]
    monkeypatch.setattr("retrieval.cluster.resources.nodes", lambda: found)
    assert fair_share(size) == expected

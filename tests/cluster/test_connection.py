"""Where work goes: what `--on` takes, and what is refused in one line."""

import os
import signal
import socket
import sys
import threading

import pytest

from retrieval.cluster import Resources, agreement, check_on, connected, connection, shared
from retrieval.cluster.nodes import ALONE, Node
from retrieval.cluster.worker import environment
from retrieval.errors import UserError
from retrieval.files import file_lock, write_text


@pytest.mark.parametrize("on", ["local", "ray", "ray://head:10001", "10.0.0.1:6379", "[::1]:6379"])
def test_a_place_is_local_ray_or_an_address(on):
    assert check_on(on) == on


@pytest.mark.parametrize("on", ["", "Ray", "slurm", "head", "head:port", "http://head:8265"])
def test_another_place_is_refused_with_all_that_there_are(on):
    with pytest.raises(UserError, match=r"give local, ray .* ray://HOST:10001, or HOST:6379"):
        check_on(on)


def test_without_ray_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    words = r"Ray is not installed: run `pip install -e '.\[cluster\]'"
    with pytest.raises(UserError, match=words), connected("ray"):
        pass


@pytest.mark.parametrize("head", ["", "ray://"])
def test_an_address_at_which_nobody_answers_is_refused_at_once(head):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"{head}127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match=f"Ray cluster {address}: not reached"):
        connection._check_reached(address)


@pytest.mark.parametrize("address", ["head", "head:port", "http://head:8265"])
def test_an_address_that_is_none_is_refused_by_the_name_of_its_variable(monkeypatch, address):
    monkeypatch.setenv(connection.ADDRESS, address)
    with pytest.raises(UserError, match=f"^RAY_ADDRESS={address}: give auto"), connected("ray"):
        pass


def test_a_node_with_another_version_is_named():
    here = {"Python": "3.11.9", "tensorflow": "2.21.0", "retrieval": "abc"}
    agreement._compare("node 10.0.0.2", here, dict(here))
    with pytest.raises(UserError, match=r"node 10.0.0.2 has tensorflow 2.20.0, this machine 2.21"):
        agreement._compare("node 10.0.0.2", here, here | {"tensorflow": "2.20.0"})
    with pytest.raises(UserError, match="has no package retrieval"):
        agreement._compare("node 10.0.0.2", here, {"retrieval": "missing"})


def test_a_folder_is_shared_if_its_file_is_seen_and_its_lock_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(shared, "LOOK", 0.0)
    file = tmp_path / ".shared-1"
    assert shared.look(file) == shared.UNSEEN
    write_text(file, file.name)
    assert shared.look(file) == shared.UNLOCKED
    found = []
    with file_lock(shared._lock(file)):
        other = threading.Thread(target=lambda: found.append(shared.look(file)))
        other.start()
        other.join()
    assert found == [shared.SEEN]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (shared.UNSEEN, "node 10.0.0.2 does not see"),
        (shared.UNLOCKED, "locks of .* do not count on node 10.0.0.2"),
    ],
)
def test_a_folder_that_is_not_shared_is_refused(tmp_path, monkeypatch, found, words):
    node = Node("ab", "10.0.0.2", 2, 0, 1e9)
    monkeypatch.setattr(shared, "on_every_node", lambda *_: {node: found})
    with pytest.raises(UserError, match=words):
        shared.check_shared(tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_cache_of_each_node_is_as_good_as_a_shared_one(tmp_path, monkeypatch):
    node = Node("ab", "10.0.0.2", 2, 0, 1e9)
    monkeypatch.setattr(shared, "on_every_node", lambda *_: {node: shared.UNSEEN})
    shared.check_shared(tmp_path, required=False)


def test_a_process_with_part_of_a_gpu_is_told_its_share():
    assert environment(Resources(gpus=0.5))["RETRIEVAL_CLUSTER_GPUS"] == "0.5"
    assert environment(Resources())["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("wanted", "cpus", "gpus", "copies"),
    [
        (Resources(), 8, 0, 8),
        (Resources(cpus=3), 8, 0, 2),
        (Resources(cpus=0.5), 8, 0, 16),
        (Resources(gpus=0.5), 8, 2, 4),
        (Resources(gpus=0.3), 8, 1, 3),
        (Resources(gpus=2), 8, 3, 1),
        (Resources(gpus=1), 8, 0, 0),
    ],
)
def test_how_many_tasks_a_node_takes(wanted, cpus, gpus, copies):
    assert wanted.copies(Node("ab", "10.0.0.2", cpus, gpus, 1e9)) == copies


@pytest.mark.parametrize("given", [None, "disabled"])
def test_the_token_of_this_machine_is_shown_to_a_client_server(monkeypatch, tmp_path, given):
    monkeypatch.setattr(connection, "TOKEN_FILE", str(tmp_path / "auth_token"))
    for name in (connection.TOKEN, connection.TOKEN_PATH):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(connection.AUTH_MODE, given or "")
    if given is None:
        monkeypatch.delenv(connection.AUTH_MODE)
    with pytest.raises(UserError, match="not reached"), connected("ray://127.0.0.1:1"):
        pass
    assert os.environ.get(connection.AUTH_MODE) == given  # there is no token
    (tmp_path / "auth_token").write_text("0" * 64)
    with pytest.raises(UserError, match="not reached"), connected("ray://127.0.0.1:1"):
        pass
    assert os.environ.get(connection.AUTH_MODE) == (given or "token")


@pytest.mark.parametrize("own", [lambda *_: None, signal.SIG_IGN, signal.SIG_DFL])
def test_sigterm_does_what_it_did_before_ray_started(monkeypatch, own):
    ray = pytest.importorskip("ray")

    def of_ray(*_):
        """Stand for the handler that Ray installs."""

    monkeypatch.delenv(connection.ADDRESS, raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: signal.signal(signal.SIGTERM, of_ray))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    before = signal.signal(signal.SIGTERM, own)
    try:
        with connected("ray"):
            # Ray's own is worth having where the process would end without stopping its nodes.
            assert signal.getsignal(signal.SIGTERM) is (of_ray if own is signal.SIG_DFL else own)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_local_in_the_variable_starts_a_cluster_as_without_it(monkeypatch):
    ray, started = pytest.importorskip("ray"), []
    monkeypatch.setenv(connection.ADDRESS, "local")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **given: started.append(given))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with connected("ray"):
        pass
    assert [set(given["resources"]) for given in started] == [{ALONE}]

"""Exports and the service from the command line: what is refused before anything is computed."""

import socket

import pytest

from tests.cli.helpers import one_line, train

pytestmark = pytest.mark.usefixtures("two_blocks")


def test_an_export_needs_to_know_what_is_exported(retrieval):
    found = one_line(retrieval("export", "runs/a/b"))
    assert "--format saved_model, onnx or litert" in found
    assert "--out FILE (.h5, .npy or .parquet)" in found


@pytest.mark.parametrize(
    "flags",
    [
        ("--precision", "float16"),
        ("--checkpoint", "best"),
        ("--images", "x"),
        ("--no-check",),
        ("--no-normalize",),
    ],
)
def test_flags_of_the_network_are_refused_for_a_table(retrieval, flags):
    found = one_line(retrieval("export", "runs/a/b", "--out", "x.npy", *flags))
    assert f"{flags[0]} is for the network: add --format" in found


@pytest.mark.slow
def test_a_run_is_exported_as_a_network_or_as_a_table(retrieval, photos, tmp_path):
    words = ("--dataset", "folder", "--data", photos, "--loss", "npairs_loss", "--name", "one")
    assert train(retrieval, *words)[0] == 0
    code, out, _ = retrieval("export", "runs/folder/one", "--format", "saved_model")
    assert code == 0
    assert "exports/folder-one.saved_model: " in out
    assert "largest difference from the run" in out
    assert (tmp_path / "exports/folder-one.saved_model.md").exists()
    found = one_line(retrieval("export", "runs/folder/one", "--format", "saved_model"))
    assert "exists; choose another --out or pass --overwrite" in found
    found = one_line(retrieval("export", "runs/folder/one", "--format", "onxx"))
    assert "did you mean 'onnx'?" in found
    assert retrieval("export", "runs/folder/one", "--out", "x.parquet")[0] == 0


def test_a_port_that_is_taken_is_said_before_anything_is_loaded(retrieval):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = one_line(retrieval("serve", "runs/a/b", "--port", port))
    assert f"--port {port}: cannot be listened at" in found
    assert "choose another --port" in found


def test_a_service_needs_a_run(retrieval):
    assert "runs/a/b" in one_line(retrieval("serve", "runs/a/b", "--port", 0))
    found = one_line(retrieval("serve", "runs/a/b", "--host", "no.such.host.invalid"))
    assert "--host no.such.host.invalid" in found

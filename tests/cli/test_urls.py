"""Commands whose runs are at a URL."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from retrieval.cli.paths import showing_urls
from retrieval.runs.places import partial_path
from retrieval.storage.addresses import located
from retrieval.storage.manifests import newest
from retrieval.storage.objects import Objects
from tests.cli.helpers import one_line, train
from tests.object_store import CREDENTIALS


@pytest.fixture
def vectors(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "vectors.npy", rng.standard_normal((24, 4)).astype(np.float32))
    (tmp_path / "items.csv").write_text("label\n" + "".join(f"{row // 4}\n" for row in range(24)))
    return ("--embeddings", "vectors.npy", "--items", "items.csv")


def test_a_run_is_imported_to_a_url_and_reported_from_it_by_another_machine(
    retrieval, s3_root, vectors, machine
):
    code, out, _ = retrieval("import", *vectors, "--runs", s3_root)
    assert code == 0
    assert "imported/vectors" in out
    machine("other", s3_root)
    code, out, err = retrieval("report", s3_root)
    assert (code, err.strip()) == (0, "")
    assert "| vectors | 1 | 4 |" in out
    code, out, _ = retrieval("report", "--runs", f"{s3_root}/imported/vectors")
    assert code == 0
    machine("third", s3_root)
    code, _, _ = retrieval("evaluate", f"{s3_root}/imported/vectors", "--ks", "3")
    assert code == 0
    assert newest(Objects(f"{s3_root}/imported/vectors")).number == 2
    code, out, _ = retrieval("thresholds", f"{s3_root}/imported/vectors")
    assert code == 0
    assert f"Written: {s3_root}/imported/vectors/thresholds.json" in out


def test_the_variable_may_be_a_url(retrieval, memory_root, vectors, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_RUNS", memory_root)
    assert retrieval("import", *vectors)[0] == 0
    code, out, _ = retrieval("trainings")
    assert (code, out) == (0, f"nothing is being trained in {memory_root}\n")
    assert retrieval("import", *vectors)[2].startswith(
        f"error: {memory_root}/imported/vectors exists; choose another --name"
    )


@pytest.mark.slow
def test_a_trained_run_is_at_the_url_with_its_checkpoints_and_is_kept(
    retrieval, memory_root, photos, machine
):
    words = ("--dataset", "folder", "--data", photos, "--runs", memory_root, "--seeds", 2)
    assert train(retrieval, *words)[0] == 0
    found = newest(Objects(f"{memory_root}/folder/semi_hard_triplet"))
    assert found.training is None
    assert {"checkpoints/index.json", "metrics.json", "config.yaml"} <= set(found.run)
    machine("other", memory_root)
    code, out, _ = train(retrieval, *words)
    assert code == 0
    assert f"[1/2] {memory_root}/folder/semi_hard_triplet exists; kept" in out
    code, out, _ = retrieval("embed", f"{memory_root}/folder/semi_hard_triplet")
    assert code == 0
    code, out, _ = retrieval(
        "export", f"{memory_root}/folder/semi_hard_triplet", "--out", "vectors.npy"
    )
    assert code == 0


def test_errors_name_the_url(retrieval, memory_root, vectors, s3_root):
    line = one_line(retrieval("report", memory_root))
    assert line == f"no run at {memory_root}: train one with `retrieval train`"
    line = one_line(retrieval("evaluate", f"{memory_root}/birds/one"))
    assert line.startswith(f"no run at {memory_root}/birds/one: ")
    line = one_line(retrieval("import", *vectors, "--runs", "s3://nobody/runs"))
    assert line == "s3://nobody/runs/imported/vectors: there is no such bucket: create it first"
    line = one_line(retrieval("report", "xyz://lab/runs"))
    assert line.startswith("xyz:// is not known: give a path, or a URL such as s3://BUCKET")
    assert retrieval("import", *vectors, "--runs", memory_root)[0] == 0
    assert retrieval("import", *vectors, "--runs", memory_root, "--name", "two")[0] == 0
    line = one_line(retrieval("evaluate", f"{memory_root}/imported"))
    assert line.startswith(f"{memory_root}/imported holds 2 runs: give one of them, e.g. memory://")


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("index", "one", "--out", "s3://lab/index"), "--out s3://lab/index"),
        (("report", "--out=gs://lab/report"), "--out gs://lab/report"),
        (("embed", "one", "--images", "s3://lab/a.txt"), "--images s3://lab/a.txt"),
        (("search", "one", "a.jpg", "--html", "s3://lab/a.html"), "--html s3://lab/a.html"),
        (("import", "--ranked", "a.csv", "--ranked", "s3://b/c.csv"), "--ranked s3://b/c.csv"),
        (("sweep", "s3://lab/grid.yaml"), "grid s3://lab/grid.yaml"),
    ],
)
def test_a_url_where_files_of_this_machine_are_is_refused(retrieval, words, fault, tmp_path):
    assert one_line(retrieval(*words)) == f"{fault}: give a path; only runs can be at a URL"
    assert not list(tmp_path.iterdir())


def test_of_a_folder_of_runs_given_in_place_of_a_run_nothing_large_is_fetched(
    retrieval, memory_root, vectors, machine, monkeypatch
):
    monkeypatch.setattr("retrieval.runs.mirrors.LARGE", 100)
    for name in ("one", "two"):
        assert retrieval("import", *vectors, "--runs", memory_root, "--name", name)[0] == 0
    folder = machine("other", f"{memory_root}/imported")
    line = one_line(retrieval("index", f"{memory_root}/imported", "--out", "index"))
    assert line == (
        f"{memory_root}/imported holds 2 runs: give one of them, e.g. {memory_root}/imported/one"
    )
    assert not (folder / "one" / "embeddings.npy").exists()
    assert retrieval("index", f"{memory_root}/imported/one", "--out", "index")[0] == 0
    assert (folder / "one" / "embeddings.npy").exists()
    assert not (folder / "two" / "embeddings.npy").exists()


def test_output_without_urls_is_left_alone(capsys):
    out = sys.stdout
    with showing_urls(["report", "runs", "--runs=runs"]):
        assert sys.stdout is out
    with showing_urls(["report", "--runs=s3://lab/runs"]):
        assert sys.stdout is not out
        print(located("s3://lab/runs"), sys.stdout.isatty())
    assert sys.stdout is out
    assert capsys.readouterr().out == "s3://lab/runs False\n"


@pytest.mark.slow
def test_a_training_that_is_killed_is_continued_by_another_machine(
    s3_root, s3_server, photos, tmp_path, monkeypatch, retrieval, machine
):
    """A real process, killed with SIGKILL after its first published checkpoint."""
    words = ["--dataset", "folder", "--data", str(photos), "--runs", s3_root, "--name", "one"]
    words += ["--backbone", "conv4", "--weights", "none", "--image-size", "16", "--steps", "40"]
    words += ["--eval-every", "2"]
    environment = CREDENTIALS | {
        "AWS_ENDPOINT_URL": s3_server,
        "RETRIEVAL_CACHE": str(tmp_path / "lost"),
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "retrieval.cli", "train", *words],
        env=os.environ | environment,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    objects = Objects(f"{s3_root}/folder/one")
    try:
        while "checkpoints/index.json" not in (newest(objects).training or {}):
            assert child.poll() is None
            time.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    path = machine("other", f"{s3_root}/folder/one")
    code, out, _ = retrieval("trainings", s3_root)
    assert code == 0
    assert "interrupted" in out
    assert f"retrieval train --resume {s3_root}/folder/one" in out
    code, out, _ = retrieval("train", "--resume", f"{s3_root}/folder/one")
    assert code == 0
    assert not partial_path(path).exists()
    history = (path / "history.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in history[1:]] == list(range(1, 41))
    assert newest(objects).training is None
    assert set(objects.list()) >= {"objects"}
    assert "writer.json" not in objects.list()

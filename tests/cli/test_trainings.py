"""``retrieval trainings``: a table of what is being trained."""

import time

import pytest

from retrieval.cli import trainings
from tests.cli.helpers import one_line
from tests.runs.unfinished import live, process_gone, write_queue, write_training


def test_each_training_has_a_line_and_what_stopped_the_command_that_continues_it(
    retrieval, tmp_path
):
    runs = tmp_path / "runs"
    write_training(runs / "photos" / "one", live())
    write_training(runs / "photos" / "cut", live(process=process_gone()))
    failed = live(state="failed", error="step 3: the loss is nan", checkpoint=None)
    write_training(runs / "photos" / "bad", failed)
    write_queue(runs, {"photos/next": "waiting"}, process=process_gone())
    code, out, _ = retrieval("trainings")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split()[:4] == ["run", "state", "at", "step"]
    assert lines[1].split()[:6] == ["photos/one", "running", "training", "437", "of", "1,000"]
    assert "812" in lines[1]
    assert "4 min" in lines[1]
    assert lines[2].split()[:2] == ["photos/bad", "failed"]
    assert lines[3].split()[:2] == ["photos/cut", "interrupted"]
    assert lines[4].split()[:2] == ["photos/next", "waiting"]
    assert lines[5:] == [
        "runs/photos/bad: step 3: the loss is nan",
        "to go on: retrieval train --resume runs/photos/bad",
        "to go on: retrieval train --resume runs/photos/cut",
        "to go on: retrieval sweep grid.yaml",
    ]


def test_nothing_is_trained(retrieval, tmp_path):
    assert (
        retrieval("trainings", tmp_path / "x")[1] == f"nothing is being trained in {tmp_path}/x\n"
    )


def test_watching_ends_with_the_training(retrieval, tmp_path, monkeypatch):
    folder = write_training(tmp_path / "runs" / "photos" / "one", live())
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 2:
            folder.rename(tmp_path / "runs" / "photos" / "one")

    monkeypatch.setattr(trainings.time, "sleep", sleep)
    code, out, _ = retrieval("trainings", "--watch")
    assert code == 0
    assert looks == [trainings.EVERY] * 2
    assert out.count("running") == 2
    assert out.endswith("nothing is being trained in runs\n")


@pytest.mark.parametrize("state", ["living", "gone"])
def test_only_what_nobody_works_on_is_forgotten(retrieval, tmp_path, state):
    said = live(updated=time.time(), **({"process": process_gone()} if state == "gone" else {}))
    folder = write_training(tmp_path / "runs" / "photos" / "one", said)
    result = retrieval("trainings", "--forget", "runs/photos/one")
    assert folder.exists() == (state == "living")
    if state == "living":
        assert "stop its process first" in one_line(result)
    else:
        assert result[1] == "runs/photos/one: what its training left is removed\n"

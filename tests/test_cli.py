"""Bad input ends in one line on stderr and exit code 1; nothing half-written, nothing lost."""

import sys

import numpy as np
import pytest
from PIL import Image

from retrieval.cli import main


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Four classes of four images, in a fresh working folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for label in "abcd":
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 256, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{i}.jpg")
    return tmp_path / "images"


def run(monkeypatch, capsys, *words: str) -> tuple[int, str, str]:
    """Run the command line; return its exit code, output and error output."""
    monkeypatch.setattr(sys, "argv", ["retrieval", *words])
    try:
        main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def train_flags(**changes: object) -> list[str]:
    flags = {"dataset": "folder", "data": "images", "backbone": "conv4", "weights": "none",
             "image-size": 16, "steps": 2, "classes-per-batch": 2, "samples-per-class": 2,
             "embedding-size": 4} | changes  # fmt: skip
    return ["train", *(f"--{k.replace('_', '-')}={v}" for k, v in flags.items())]


def spoil_empty(images):
    (images / "empty").mkdir()


def spoil_single(images):
    (images / "a" / "0.jpg").rename(images / "lone.jpg")
    for name in "123":
        (images / "a" / f"{name}.jpg").unlink()
    (images / "lone.jpg").rename(images / "a" / "0.jpg")


def spoil_truncated(images):
    path = images / "b" / "2.jpg"
    path.write_bytes(path.read_bytes()[:200])


def spoil_text(images):
    (images / "c" / "1.jpg").write_text("not an image")


def nothing(images):
    """Leave the images as they are."""


@pytest.mark.parametrize(
    ("spoil", "changes", "message"),
    [
        (nothing, {"data": "nowhere"}, "nowhere"),
        (spoil_empty, {}, "empty"),
        (spoil_single, {"train-classes": "a,b"}, "'a'"),
        (spoil_truncated, {}, "b/2.jpg"),
        (spoil_text, {}, "c/1.jpg"),
        (nothing, {"classes-per-batch": 9}, "9"),
        (nothing, {"loss": "hard_triplets"}, "did you mean 'hard_triplet'"),
        (nothing, {"backbone": "resnet5"}, "did you mean 'resnet50"),
        (nothing, {"dataset": "groceri"}, "did you mean 'grocery'"),
        (nothing, {"loss-option": "margins=1"}, "did you mean 'margin'"),
        (nothing, {"loss-option": "margin"}, "not name=value"),
        (nothing, {"dataset-option": "fraction=1"}, "valid:"),
        (nothing, {"test-fraction": "2"}, "fraction"),
        (nothing, {"schedule": "cosin"}, "did you mean 'cosine'"),
        (nothing, {"steps": 0}, "at least 1"),
        (nothing, {"weights": "nowhere.weights.h5"}, "nowhere.weights.h5"),
        (nothing, {"recipe": "cub200/nothing"}, "unknown recipe"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_run(
    images, monkeypatch, capsys, spoil, changes, message
):
    spoil(images)
    code, _, err = run(monkeypatch, capsys, *train_flags(**changes))
    lines = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("error:")]
    assert code == 1
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in err
    assert not list(images.parent.glob("runs/*/[!.]*"))


def test_a_csv_row_that_names_no_file_is_told_by_its_number(images, monkeypatch, capsys):
    rows = [f"{label},{name}/{i}.jpg" for label, name in enumerate("abcd") for i in range(4)]
    rows[6] = "1,b/missing.jpg"
    (images.parent / "list.csv").write_text("\n".join(rows))
    flags = train_flags(dataset="csv", csv="list.csv", image_root="images")
    code, _, err = run(monkeypatch, capsys, *flags)
    assert code == 1
    assert "row 7" in err
    assert "b/missing.jpg" in err


@pytest.mark.parametrize("command", ["embed", "evaluate"])
def test_a_run_that_is_not_there_is_named(images, monkeypatch, capsys, command):
    code, _, err = run(monkeypatch, capsys, command, "runs/folder/nothing")
    assert code == 1
    assert err.startswith("error: ")
    assert "runs/folder/nothing" in err


def test_one_command_gives_a_full_run_and_another_needs_a_word_to_replace_it(
    images, monkeypatch, capsys
):
    code, out, _ = run(monkeypatch, capsys, *train_flags())
    assert code == 0
    assert "folder/semi_hard_triplet" in out
    assert "leave-one-out" in out
    path = images.parent / "runs" / "folder" / "semi_hard_triplet"
    before = (path / "metrics.json").read_bytes()
    code, _, err = run(monkeypatch, capsys, *train_flags(seed=3, name="semi_hard_triplet"))
    assert code == 1
    assert "--overwrite" in err
    assert (path / "metrics.json").read_bytes() == before
    for again in ("evaluate", "embed"):
        assert run(monkeypatch, capsys, again, str(path))[0] == 0
        assert (path / "metrics.json").read_bytes() == before


def test_training_alone_can_be_embedded_later(images, monkeypatch, capsys):
    assert run(monkeypatch, capsys, *train_flags(), "--no-evaluate", "--name=later")[0] == 0
    path = images.parent / "runs" / "folder" / "later"
    assert not (path / "metrics.json").exists()
    assert run(monkeypatch, capsys, "embed", str(path))[0] == 0
    assert (path / "metrics.json").exists()


@pytest.mark.parametrize(
    "command", ["fetch", "datasets", "recipes", "train", "sweep", "embed", "evaluate", "demo"]
)
def test_every_command_has_help(monkeypatch, capsys, command):
    code, out, _ = run(monkeypatch, capsys, command, "--help")
    assert code == 0
    assert "Usage: retrieval" in out

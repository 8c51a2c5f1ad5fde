"""Runs are made, made again, imported and reported on."""

import numpy as np
import pytest

from tests.cli.helpers import nothing_was_left, one_line, train

pytestmark = pytest.mark.usefixtures("two_blocks")


def test_commands_on_a_run_that_is_not_there_say_how_to_make_one(retrieval):
    for words in (("embed", "runs/a/b"), ("evaluate", "runs/a/b"),
                  ("train", "--resume", "runs/a/b")):  # fmt: skip
        assert "runs/a/b" in one_line(retrieval(*words))


def test_a_sweep_file_is_checked_as_a_whole_before_it_starts(retrieval, tmp_path):
    grid = tmp_path / "grid.yaml"
    grid.write_text("base: {dataset: typefaces}\ngrid: {loss: [npairs_loss, tripplet]}\n")
    assert "unknown loss 'tripplet'" in one_line(retrieval("sweep", grid))
    assert "no sweep file at" in one_line(retrieval("sweep", tmp_path / "no.yaml"))
    assert nothing_was_left(tmp_path)


def test_one_command_makes_a_whole_run_and_refuses_to_replace_it(retrieval, photos, tmp_path):
    words = ("--dataset", "folder", "--data", photos, "--loss", "npairs_loss", "--name", "first")
    code, out, _ = train(retrieval, *words)
    assert code == 0
    assert "folder/first" in out
    assert "R@1" in out
    before = (tmp_path / "runs/folder/first/metrics.json").read_bytes()
    found = one_line(train(retrieval, *words))
    assert "runs/folder/first exists; choose another --name or pass --overwrite" in found
    assert (tmp_path / "runs/folder/first/metrics.json").read_bytes() == before
    found = one_line(retrieval("evaluate", "runs/folder/first", "--distance", "cosin"))
    assert "did you mean 'cosine'?" in found
    assert (tmp_path / "runs/folder/first/metrics.json").read_bytes() == before


def test_embeddings_and_items_alone_are_imported_and_reported_on(retrieval, tmp_path):
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(5), 4)
    for name in ("clip", "dino"):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((20, 3)))
    items = tmp_path / "items.csv"
    items.write_text("\n".join(["label", *map(str, labels)]))
    for name in ("clip", "dino"):
        assert retrieval("import", "--embeddings", f"{name}.npy", "--items", items)[0] == 0
        assert (tmp_path / "runs/imported" / name / "metrics.json").exists()
    for option, value in (("--name", "a/b"), ("--dataset", "../x"), ("--name", ".hidden")):
        words = ("import", "--embeddings", "clip.npy", "--items", items, option, value)
        assert f"run name {value!r}" in one_line(retrieval(*words))
    paths = [f"runs/imported/{name}" for name in ("clip", "dino")]
    texts = []
    for words in (paths, ["--runs", paths[0], "--runs", paths[1]], ["--runs", *paths]):
        assert retrieval("report", *words)[0] == 0
        texts.append((tmp_path / "report/report.md").read_text())
        assert "plotly-graph-div" in (tmp_path / "report/report.html").read_text()
    assert "| clip |" in texts[0]
    assert "| dino |" in texts[0]
    assert texts == texts[:1] * 3
    retrieval("report", *paths, "--metric", "recall@1", "--metric", "recall@10")
    assert "| Run | Seeds | d | R@1 | R@10 |" in (tmp_path / "report/report.md").read_text()
    assert "unknown metric of these runs 'recal@1': did you mean 'recall@1'" in one_line(
        retrieval("report", *paths, "--metric", "recal@1")
    )
    assert "no runs to report on" in one_line(retrieval("report"))


def test_a_finished_run_gives_the_same_figures_embedded_and_evaluated_again(
    retrieval, photos, tmp_path
):
    words = ("--dataset", "folder", "--data", photos, "--name", "again", "--no-evaluate")
    assert train(retrieval, *words)[0] == 0
    metrics = tmp_path / "runs/folder/again/metrics.json"
    assert not metrics.exists()
    assert "no embeddings; make them with" in one_line(retrieval("evaluate", "runs/folder/again"))
    assert retrieval("embed", "runs/folder/again")[0] == 0
    first = metrics.read_bytes()
    assert retrieval("evaluate", "runs/folder/again")[0] == 0
    assert metrics.read_bytes() == first

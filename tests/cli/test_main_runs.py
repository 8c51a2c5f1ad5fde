"""Runs are trained, embedded, evaluated, imported and compared, and their metrics printed."""

import json

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
    retrieval("report", *paths, *paths)  # each run is one row
    assert (tmp_path / "report/report.md").read_text() == texts[-1]
    retrieval("report", *paths, "--metric", "recall@1", "--metric", "recall@10")
    assert "| Run | Seeds | d | R@1 | R@10 |" in (tmp_path / "report/report.md").read_text()
    retrieval("report", *paths, "--metric", "map@r")  # the first metric ranks and tests the runs
    assert "Comparisons with the best (MAP@R, points" in (tmp_path / "report/report.md").read_text()
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


def test_several_runs_are_counted_shown_in_one_table_and_kept_the_next_time(retrieval, photos):
    words = ("--dataset", "folder", "--data", photos, "--loss", "npairs_loss", "--seeds", 2)
    code, out, _ = train(retrieval, *words)
    assert code == 0
    assert "[1/2] runs/folder/npairs_loss\n" in out
    assert out.count("R@1") == 1
    assert "folder/npairs_loss-seed1" in out
    assert "retrieval app" in out.splitlines()[-1]
    assert train(retrieval, *words)[1].count(" exists; kept") == 2


def test_runs_that_fail_are_named_as_they_do_and_the_others_are_shown(retrieval, photos, tmp_path):
    words = ("--dataset", "folder", "--data", photos, "--loss", "npairs_loss", "--seeds", 2)
    assert train(retrieval, *words, "--no-evaluate")[0] == 0
    (tmp_path / "runs/folder/npairs_loss/config.yaml").rename(tmp_path / "config.yaml")
    code, out, err = train(retrieval, *words)
    assert code == 1
    assert "npairs_loss exists, but was not trained" in err
    (tmp_path / "config.yaml").rename(tmp_path / "runs/folder/npairs_loss/config.yaml")
    assert retrieval("embed", "runs/folder/npairs_loss-seed1")[0] == 0
    code, out, err = train(retrieval, *words)
    assert code == 1
    assert "folder/npairs_loss-seed1" in out.split("[2/2]")[1]
    first, last = err.splitlines()
    assert first.startswith("error: npairs_loss: ")
    assert last.startswith("error: 1 of 2 runs failed: npairs_loss;")


def test_a_network_that_was_selected_on_the_test_set_is_pointed_out(retrieval, photos):
    words = ("--dataset", "folder", "--data", photos, "--loss", "npairs_loss", "--eval-every", 1)
    out = train(retrieval, *words, "--eval-split", "test", "--use-checkpoint", "best")[1]
    assert "runs/folder/npairs_loss: the checkpoint, or when to stop, was selected on" in out


def test_a_sweep_says_how_many_runs_its_combinations_are(retrieval, photos, tmp_path):
    grid = tmp_path / "grid.yaml"
    grid.write_text(
        f"base: {{dataset: folder, data: {photos}, backbone: conv4, weights: none, image_size: 16}}"
        "\ngrid: {loss: [none], seed: [0, 1, 2]}\n"
    )
    code, out, _ = retrieval("sweep", grid)
    assert code == 0
    assert f"{grid}: 3 combinations are 1 run" in out
    assert "folder/untrained" in out


def test_losses_recipes_and_settings_are_listed(retrieval):
    from retrieval.losses import LOSSES, hint
    from retrieval.settings.recipes import load_recipe, recipe_names

    lines = retrieval("losses")[1].splitlines()
    assert {line.split()[0] for line in lines if not line.startswith(" ")} == set(LOSSES)
    assert any("margin=0.2" in line for line in lines)
    assert sum(line.strip() == hint("contrastive_loss", {}) for line in lines) == 1
    lines = retrieval("recipes")[1].splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == recipe_names()
    first = next(i for i, line in enumerate(lines) if line.startswith("cub200/resnet50_proxy"))
    assert "tjddus9597/Proxy-Anchor-CVPR2020" in lines[first + 1]
    assert "R@1 69.9" in lines[first + 2]
    assert "leave-one-out" in lines[first + 2]
    printed = " ".join(" ".join(lines).split())
    for name in recipe_names():
        assert " ".join(load_recipe(name).note.split()) in printed
    assert max(map(len, lines[first + 3 : first + 5])) <= 100
    assert json.loads(retrieval("settings")[1])["properties"]["steps"]["default"] == 500


def test_flags_of_other_images_go_with_images_and_a_file(retrieval, tmp_path):
    assert "--images needs --out" in one_line(retrieval("embed", "runs/a/b", "--images", "x"))
    found = one_line(retrieval("embed", "runs/a/b", "--out", "x.h5"))
    assert "`retrieval export runs/a/b --out x.h5`" in found
    of_cluster = (("--actors", 2), ("--cpus", 2), ("--gpus", 0.5))
    for words in (("--image-root", "x"), ("--strict",), ("--overwrite",), *of_cluster):
        assert f"{words[0]} goes with --images" in one_line(retrieval("embed", "runs/a/b", *words))
    for words in of_cluster:
        others = ("embed", "runs/a/b", "--images", "x", "--out", "x.h5", *words)
        assert f"{words[0]} goes with --on ray" in one_line(retrieval(*others))
    assert nothing_was_left(tmp_path)


def test_other_images_are_embedded_to_a_file_and_stored_embeddings_exported(
    retrieval, photos, tmp_path
):
    assert train(retrieval, "--dataset", "folder", "--data", photos, "--name", "out")[0] == 0
    code, out, _ = retrieval(
        "embed", "runs/folder/out", "--images", photos, "--out", "x.h5", "--checkpoint", 2
    )
    assert code == 0
    assert "x.h5: 18 vectors" in out
    assert "step 2" in out
    assert "x.items.csv" in out
    code, out, _ = retrieval("export", "runs/folder/out", "--out", "y.npy")
    assert code == 0
    stored = np.load(tmp_path / "runs/folder/out/embeddings.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), stored)

"""Run folders that are broken, and names that try to be more than text."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.workbench.test_pages import open_page, text_of
from workbench.loading import find_run, load_runs
from workbench.pages import PAGES

NAMES = [
    "<b>bold</b> & <script>window.hacked = true</script>",
    "\"quotes\" 'and' `ticks` $x^2$ :red[red] [link](javascript:alert(1))",
    "🍋 lemon 🍑",
    "תפוח ירוק",
    "long " * 60,
    "| table | **bold** |",
]


def break_run(path, how: str) -> None:
    if how == "no metrics":
        (path / "metrics.json").unlink()
    elif how == "cut embeddings":
        data = (path / "embeddings.npy").read_bytes()
        (path / "embeddings.npy").write_bytes(data[: len(data) // 2])
    elif how == "newer schema":
        metrics = json.loads((path / "metrics.json").read_text())
        (path / "metrics.json").write_text(json.dumps(metrics | {"schema": 99}))
    elif how == "metrics are a list":
        (path / "metrics.json").write_text("[]")
    elif how == "damaged neighbours":
        (path / "neighbours.npz").write_bytes(b"PK nothing")
    elif how == "neighbours outside":
        arrays = dict(np.load(path / "neighbours.npz"))
        arrays["query_gallery/ids"] = arrays["query_gallery/ids"] + 1000
        np.savez(path / "neighbours.npz", **arrays)
    elif how == "config is no mapping":
        (path / "config.yaml").write_text("- 1\n- 2\n")
    elif how == "foreign folder":
        shutil.rmtree(path)
        path.mkdir()
        (path / "photo.jpg").write_bytes(b"")


@pytest.mark.parametrize(
    "how",
    [
        "no metrics",
        "cut embeddings",
        "newer schema",
        "metrics are a list",
        "damaged neighbours",
        "neighbours outside",
        "config is no mapping",
        "foreign folder",
    ],
)
def test_a_broken_run_is_listed_with_its_reason_and_skipped(make_run, monkeypatch, how):
    good, bad = make_run("good"), make_run("bad")
    break_run(bad.path, how)
    root = good.path.parents[1]
    runs, broken = load_runs(root)
    assert [run.name for run in runs] == ["good"]
    assert [run.path.name for run in broken] == ["bad"]
    assert str(bad.path) in broken[0].reason
    assert "\n" not in broken[0].reason
    monkeypatch.setenv("RETRIEVAL_RUNS", str(root))
    assert broken[0].reason in text_of(open_page())


def test_only_broken_runs_show_the_empty_state(make_run, monkeypatch):
    bad = make_run("bad")
    break_run(bad.path, "no metrics")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(bad.path.parents[1]))
    app = open_page()
    assert app.title[0].value == "No runs yet"
    assert "metrics.json is missing" in text_of(app)


def test_no_runs_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(tmp_path / "nowhere"))
    app = open_page()
    assert app.title[0].value == "No runs yet"
    assert app.code[0].value == "make demo"
    assert "retrieval train --dataset grocery --loss all" in app.code[1].value


def test_half_written_runs_are_not_seen(make_run):
    run = make_run("good")
    shutil.copytree(run.path, run.path.with_name(".other.partial"))
    runs, broken = load_runs(run.path.parents[1])
    assert [r.name for r in runs] == ["good"]
    assert broken == []


def test_a_run_repaired_while_the_app_runs_is_read_anew(make_run):
    run = make_run("one")
    text = (run.path / "metrics.json").read_text()
    break_run(run.path, "metrics are a list")
    assert len(load_runs(run.path.parents[1])[1]) == 1
    (run.path / "metrics.json").write_text(text)
    assert len(load_runs(run.path.parents[1])[0]) == 1


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a\\b", ".hidden", "gone"])
def test_runs_are_found_by_name_only_below_the_root(make_run, monkeypatch, name):
    run = make_run("one")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    assert find_run("made", "one") is not None
    assert find_run("made", name) is None
    assert find_run(name, "one") is None


@pytest.mark.parametrize("page", PAGES)
def test_names_stay_text_on_every_page(make_run, photos, monkeypatch, page):
    items = photos.copy()
    items["label_name"] = [NAMES[i % len(NAMES)] + f" {i}" for i in items["label"]]
    items["super_name"] = [NAMES[i % len(NAMES)] for i in items["label"]]
    run = make_run("one", items=items)
    make_run("two", items=items, loss="contrastive_loss")
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    app = open_page(page, item="0")
    for element in (*app.markdown, *app.caption):
        assert "<script>" not in element.value
        assert "](javascript" not in element.value


def test_a_run_without_thumbnails_or_history_draws_every_page(make_run, monkeypatch):
    run = make_run("one", loss=None)
    shutil.rmtree(run.path / "thumbnails")
    (run.path / "history.csv").unlink()
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    for page in PAGES:
        open_page(page)


def test_a_run_with_three_items_draws_every_page(make_run, photos, monkeypatch):
    items = photos.iloc[[0, 2, 6]].assign(role="both").reset_index(drop=True)
    run = make_run("one", items=items, projection=False)
    monkeypatch.setenv("RETRIEVAL_RUNS", str(run.path.parents[1]))
    for page in PAGES:
        open_page(page)


def test_looking_never_loads_tensorflow():
    code = (
        "import sys; import workbench.pages, workbench.images, workbench.figures, workbench.notes;"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

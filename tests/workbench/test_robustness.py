"""Run folders that are broken, and names that try to be more than text."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import streamlit
import yaml

from retrieval.runs import Run
from tests.workbench.run_factory import write_run
from tests.workbench.test_pages import open_page, text_of
from workbench.loading import find_run, load_runs
from workbench.pages import PAGES
from workbench.projections import evolution

NAMES = [
    "<b>bold</b> & <script>window.hacked = true</script>",
    "\"quotes\" 'and' `ticks` $x^2$ :red[red] [link](javascript:alert(1))",
    "🍋 lemon 🍑",
    "תפוח ירוק",
    "long " * 60,
    "| table | **bold** |",
]


@pytest.fixture(scope="module")
def template(tmp_path_factory, photos, vectors, photo_root):
    return write_run(tmp_path_factory.mktemp("whole") / "made" / "one", photos, vectors, photo_root)


@pytest.fixture
def made(template, tmp_path) -> Run:
    """A whole run of one's own, to be damaged."""
    return Run(shutil.copytree(template, tmp_path / "runs" / "made" / "one"))


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


def edit(path, file: str, *keys, to) -> None:
    """Set, or with ``...`` remove, one entry of a run's ``config.yaml`` or ``metrics.json``."""
    content = part = yaml.safe_load((path / file).read_text())  # JSON is YAML
    for key in keys[:-1]:
        part = part[key]
    if to is ...:
        del part[keys[-1]]
    else:
        part[keys[-1]] = to
    (path / file).write_text(json.dumps(content))


def opening(run: Run) -> str:
    """Return why a run cannot be opened, or nothing if it can."""
    _, broken = load_runs(run.path.parents[1])
    return broken[0].reason if broken else ""


@pytest.mark.parametrize(
    ("file", "keys", "to", "reason"),
    [
        ("config.yaml", ["schema"], "2", "schema must be a whole number, not '2'"),
        ("config.yaml", ["schema"], ..., "schema is missing"),
        ("config.yaml", ["settings"], [1, 2], r"settings must be a mapping, not \[1, 2\]"),
        ("config.yaml", ["settings", "seed"], "one\ntwo", "seed must be a whole number, not 'one"),
        ("config.yaml", ["provenance", "seed"], 0.5, "seed must be a whole number, not 0.5"),
        ("config.yaml", ["provenance", "seconds"], {"train": "long"}, "train must be a number"),
        ("config.yaml", ["dataset", "root"], 7, "root must be text, not 7"),
        ("metrics.json", ["schema"], "2", "schema must be a whole number, not '2'"),
        ("metrics.json", ["primary"], "rank_all", "no results under protocol 'rank_all'"),
        ("metrics.json", ["results"], {}, "results must be a list"),
        ("metrics.json", ["results", 1, "protocol", "title"], ..., "result 2: title is missing"),
        ("metrics.json", ["results", 0, "metrics"], ..., "result 1: metrics is missing"),
        ("metrics.json", ["results", 0, "n_queries"], ..., "result 1: n_queries is missing"),
        ("metrics.json", ["results", 0, "metrics", "nmi"], 0.5, "nmi must be a mapping, not 0.5"),
        (
            "metrics.json",
            ["results", 0, "metrics", "nmi", "value"],
            "high",
            "result 1, nmi: value must be a number, not 'high'",
        ),
    ],
)
def test_what_pages_read_is_checked_when_a_run_is_opened(made, file, keys, to, reason):
    edit(made.path, file, *keys, to=to)
    assert re.search(reason, opening(made))
    assert "\n" not in opening(made)


def test_every_protocol_needs_its_neighbours_not_the_primary_alone(made):
    assert made.metrics["primary"] == "query_gallery"
    arrays = dict(np.load(made.path / "neighbours.npz"))
    np.savez(made.path / "neighbours.npz", **{k: v for k, v in arrays.items() if "leave" not in k})
    assert "no neighbours under protocol 'leave_one_out'" in opening(made)
    arrays["leave_one_out/first_hit_item"] = arrays["leave_one_out/first_hit_item"] + 1000
    np.savez(made.path / "neighbours.npz", **arrays)
    assert "'leave_one_out' does not fit items.parquet" in opening(made)


def test_labels_that_are_no_numbers_are_refused(made):
    made.items.assign(label="a").to_parquet(made.path / "items.parquet")
    assert "items.parquet: labels must be whole numbers" in opening(made)


def test_a_newer_schema_is_told_before_its_other_files_are_missed(made):
    edit(made.path, "config.yaml", "schema", to=2)
    (made.path / "neighbours.npz").rename(made.path / "neighbours.zarr")
    assert "schema 2 is newer than this version's 1; update the workbench" in opening(made)


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("embeddings.npy", "embed"),
        ("items.parquet", "embed"),
        ("neighbours.npz", "evaluate"),
        ("metrics.json", "evaluate"),
    ],
)
def test_a_missing_file_comes_with_the_command_that_makes_it(made, file, command):
    (made.path / file).unlink()
    assert f"{file} is missing; make it with `retrieval {command}`" in opening(made)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00bad", b'"', b"other,columns\n1,2\n"])
def test_a_damaged_history_counts_as_none(made, content):
    (made.path / "history.csv").write_bytes(content)
    assert opening(made) == ""
    assert made.history.empty


def test_a_damaged_projection_counts_as_none(made):
    whole = made.projection
    assert len(whole) == len(made.items)
    for damaged in (whole.head(3), whole.drop(columns="umap_x"), whole.astype(str) + "?"):
        damaged.to_parquet(made.path / "projection.parquet")
        assert Run(made.path).projection is None
    for content in (b"", b"PAR1 nothing PAR1"):
        (made.path / "projection.parquet").write_bytes(content)
        assert Run(made.path).projection is None
        assert opening(made) == ""


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no", b"damaged"])
def test_damaged_maps_during_training_count_as_none(made, content):
    (made.path / "evolution.npz").write_bytes(content)
    assert evolution(made) is None


@pytest.mark.parametrize("file", ["images.bin", "offsets.npy"])
@pytest.mark.parametrize("content", [None, b"", b"damaged"])
def test_damaged_thumbnails_count_as_none(made, file, content):
    assert made.thumbnail(0)
    (made.path / "thumbnails" / file).unlink()
    if content is not None:
        (made.path / "thumbnails" / file).write_bytes(content)
    assert Run(made.path).thumbnail(0) is None


def test_damaged_extras_leave_the_pages_standing(made, monkeypatch):
    (made.path / "history.csv").write_bytes(b"")
    (made.path / "projection.parquet").write_bytes(b"no")
    (made.path / "thumbnails" / "images.bin").unlink()
    monkeypatch.setenv("RETRIEVAL_RUNS", str(made.path.parents[1]))
    open_page()
    assert open_page("map").code[0].value == f"retrieval evaluate {made.path}"


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


@pytest.mark.parametrize("tab", ["Confused classes", "Worst classes"])
def test_a_selection_does_not_outlive_its_run_protocol_or_row(make_run, monkeypatch, tab):
    monkeypatch.setenv("RETRIEVAL_RUNS", str(make_run("one").path.parents[1]))
    make_run("two", loss="contrastive_loss")
    keys = []

    def dataframe(*args, key: str, **options) -> dict:
        keys.append(key)
        return {"selection": {"rows": [10_000]}}  # selected when the table was longer

    monkeypatch.setattr(streamlit, "dataframe", dataframe)
    open_page("failures", tab=tab, a="one")
    open_page("failures", tab=tab, a="two")
    open_page("failures", tab=tab, a="two", protocol="leave_one_out")
    assert len(set(keys)) == 3


def test_looking_never_loads_tensorflow():
    code = (
        "import sys; import workbench.pages, workbench.images, workbench.figures, workbench.notes;"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
